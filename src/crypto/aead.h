// AES-256-GCM with 96-bit nonces and 128-bit tags, one message at a time.
// Nonces are the caller's: every caller's header says why a (key, nonce) pair cannot repeat.
//
// Limits: text and associated data below 2 GiB each (far above any segment or wrapped secret).
// Errors: Corrupt from open(), nothing else.
// In test builds every (key, nonce) used for sealing goes to the nonce ledger (nonce_ledger.h).
#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"

namespace exclave::crypto {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kNonceBytes = 12;
using Nonce = std::array<Byte, kNonceBytes>;

// A cipher with its key set up once (re-keying costs 0.5 us per message). By one thread at a time.
class Aes256Gcm {
 public:
  explicit Aes256Gcm(ByteView key);  // kKeyBytes
  ~Aes256Gcm();
  Aes256Gcm(Aes256Gcm&&) noexcept;
  Aes256Gcm& operator=(Aes256Gcm&&) noexcept;

  // `text` is replaced by its ciphertext; the tag goes to `tag` (16 bytes, may directly follow text).
  void seal_in_place(const Nonce& nonce, ByteView associated, MutableByteView text, MutableByteView tag);
  // `out` and `ciphertext` may be the same memory. On Corrupt, out holds zeros: no plaintext byte is released.
  Status open(const Nonce& nonce, ByteView associated, ByteView ciphertext, ByteView tag, MutableByteView out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace exclave::crypto
