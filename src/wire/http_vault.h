// HttpVault: a vault somewhere else, as a VaultApi. The client end of docs/protocols/vault-http.md.
// Hides: connections, retries, documents, and every way in which a vault may answer badly.
//
//   call -> lease a connection -> request -> answer checked -> result
//             ^                                  | Unavailable, OutcomeUnknown: pause, again (every call is idempotent)
//             +----------------------------------+
//
// Units/limits: at most `connections` requests at a time, further callers wait. A call makes at most `attempts`
//     attempts within `call_time`; once a vault has not been reached, later calls make one attempt each until one
//     succeeds. A vault that let a connection's time run out is given `glance_time` for the next ones, and once a minute
//     the whole `connect_time`: one that hangs does not hold up every step of a restore, one that is slow comes back. A vault that
//     has not answered yet, and lets a connection's time run out, gets two attempts at most: it hangs. One that had answered is
//     away for a moment.
//     Answers are bounded: documents 4 MiB, heads 100,000 streams.
// I1  A receipt is returned only after it was checked (receipts.h); an act only if it bears the hash asked for.
// I2  The other end holds the vault's pinned identity key, in every connection.
// I3  An object's bytes are not sent again after an attempt with unknown outcome, if the vault turns out to hold them.
// Threads: as VaultApi.
// Durability: as VaultApi.
// Errors: those of VaultApi. Corrupt: the vault's answer breaks the protocol or a receipt is not credible.
// See: docs/threat-model.md (H9, H10).
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "env/env.h"
#include "policy/policy.h"
#include "store/vault_api.h"
#include "wire/connection_pool.h"
#include "wire/receipts.h"
#include "wire/transport.h"

namespace exclave::wire {

struct HttpVaultOptions {
  std::size_t connections = 4;
  unsigned attempts = 6;
  std::chrono::nanoseconds connect_time = std::chrono::seconds(10);  // with the handshake
  std::chrono::nanoseconds glance_time = connect_time;               // at most that
  std::chrono::nanoseconds call_time = std::chrono::minutes(5);
  std::chrono::nanoseconds first_pause = std::chrono::milliseconds(200);  // doubles, half of it by chance
  std::chrono::nanoseconds longest_pause = std::chrono::seconds(10);
  http::Limits limits = {};
};

class HttpVault final : public store::VaultApi {
 public:
  // The part of the world it uses; all outlive it, as does the transport.
  struct World {
    env::Clock& clock;
    env::Random& random;
    env::Network& network;
    env::Threads& threads;
  };
  HttpVault(const World& world, Transport& transport, const policy::VaultEntry& vault, const format::RealmId& realm,
            const HttpVaultOptions& options = {});

  // Ends what is waiting for the vault, soon, and refuses what comes later, with Cancelled. From any thread.
  void shutdown();

  const std::string& name() const override { return pinned_.name; }
  Result<store::VaultStatus> status() override;
  Status open_stream(const format::SignedStream& stream) override;
  Result<std::optional<format::SignedReceipt>> put(const format::SignedEntry& entry, ByteView object) override;
  Result<bool> has(const format::ObjectName& name) override;
  // One attempt (and another one if the connection had gone stale): who appends retries by itself, and knows better when.
  Result<std::uint64_t> append_frames(const format::StreamId& stream, format::EntryIndex index, std::uint8_t size_class,
                                      std::uint64_t offset, ByteView bytes) override;
  // Over a connection that is there already and takes the bytes at once: null if there is none.
  std::unique_ptr<store::PendingAppend> begin_append(const format::StreamId& stream, format::EntryIndex index,
                                                     std::uint8_t size_class, std::uint64_t offset, ByteView bytes,
                                                     env::Waker* waker) override;
  Result<format::SignedMarkReceipt> put_mark(const format::SignedMark& mark) override;  // one attempt, too
  Result<std::vector<store::OpenSegment>> open_segments(const format::RegistryId& registry) override;
  Status read_frames(const format::StreamId& stream, format::EntryIndex index, std::uint64_t offset,
                     MutableByteView out) override;
  Status announce_reading(const format::SignedReading& reading) override;
  Result<store::QuotaUse> quota(const format::RegistryId& registry) override;
  Result<std::vector<store::StreamHead>> heads(const format::RegistryId& registry) override;
  Result<std::vector<store::HeldEntry>> entries(const format::StreamId& stream, format::EntryIndex from,
                                                std::size_t limit) override;
  Result<std::vector<store::Act>> acts() override;
  Result<Bytes> act(const crypto::Hash256& hash) override;
  Status put_act(ByteView document) override;
  Result<std::uint64_t> size_of(const format::ObjectName& name) override;
  Status read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) override;

 private:
  class FramesInFlight;
  // Runs attempt(client) until it succeeds, fails for good, or the patience is over. `attempts`: 0 = as the options say.
  template <typename Attempt>
  auto call(const Attempt& attempt, unsigned attempts = 0) -> decltype(attempt(std::declval<http::Client&>()));
  // `was_stale`: it failed on a connection from before, which the vault may simply have closed meanwhile.
  template <typename Attempt>
  auto attempt_once(const Attempt& attempt, env::Instant deadline, bool& was_stale)
      -> decltype(attempt(std::declval<http::Client&>()));
  Result<ConnectionPool::Lease> take_connection(env::Instant deadline);
  Result<std::chrono::nanoseconds> pause_before(unsigned attempt);
  // The whole body of a 200 answer to GET, at most `limit` bytes.
  Result<Bytes> get(const std::string& target, std::uint64_t limit);
  // A PUT that answers 200 and nothing else.
  // Exactly out.size() bytes at `offset` of what GET `target` gives. `noun`, for messages.
  Status read_range(const std::string& target, const std::string& noun, std::uint64_t offset, MutableByteView out);
  Status put_document(const std::string& target, ByteView document);
  // The document in a 200 answer to PUT `target`: what a vault signs.
  Result<Bytes> read_receipt(http::Client& client, const http::ResponseHead& head, const std::string& target) const;
  // The segment's end, as an answer to `bytes` bytes at `offset` tells it.
  Result<std::uint64_t> read_end(http::Client& client, const http::ResponseHead& head, std::uint8_t size_class,
                                 std::uint64_t offset, std::uint64_t bytes) const;
  Result<std::optional<format::SignedReceipt>> put_once(http::Client& client, const format::SignedEntry& entry,
                                                        ByteView body);
  Error nonsense(const std::string& why) const;
  // What a vault wrote and we cannot read is the vault's fault.
  template <typename T>
  Result<T> readable(Result<T> parsed) const;

  const World world_;
  const HttpVaultOptions options_;
  const PinnedVault pinned_;
  ConnectionPool pool_;
  ReceiptMemory receipts_;
  std::atomic<bool> is_out_of_reach_ = false;
  std::atomic<bool> has_answered_ = false;  // ever
  std::atomic<bool> is_shut_down_ = false;
  std::atomic<bool> lets_time_run_out_ = false;  // the last connection that it was to take
  std::atomic<env::Instant> next_long_look_{};   // from then on it is given the whole connect_time again
};

}  // namespace exclave::wire
