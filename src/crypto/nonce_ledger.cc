#include "crypto/nonce_ledger.h"

#include <atomic>
#include <unordered_map>

#include "base/mutex.h"
#include "crypto/hash.h"

namespace exclave::crypto {
namespace {

struct Ledger {
  std::atomic<bool> enabled = false;
  Mutex mutex;
  std::unordered_map<Hash256, Hash256> seen GUARDED_BY(mutex);  // key and nonce -> tag, as fingerprints
};

Ledger& ledger() {
  static Ledger the_ledger;
  return the_ledger;
}

}  // namespace

void enable_nonce_ledger() {
  ledger().enabled.store(true, std::memory_order_relaxed);
}

void record_nonce(ByteView key, ByteView nonce, ByteView tag) {
  Ledger& book = ledger();
  if (!book.enabled.load(std::memory_order_relaxed)) return;
  // Keyed by the key itself, so the ledger holds nothing from which a key could be guessed piece by piece.
  const Hash256 fingerprint = HmacSha256(key).of(nonce);
  const Hash256 message = HmacSha256(key).of(tag);
  bool is_first = false;
  {
    const MutexLock lock(book.mutex);
    is_first = book.seen.emplace(fingerprint, message).first->second == message;
  }
  CHECK(is_first && "this key and nonce have sealed a message before");
}

std::uint64_t recorded_nonces() {
  Ledger& book = ledger();
  const MutexLock lock(book.mutex);
  return book.seen.size();
}

}  // namespace exclave::crypto
