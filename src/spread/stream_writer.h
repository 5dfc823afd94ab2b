// StreamWriter: one stream of a writer, copied whole to every vault of the placement. `copies = all`.
// Hides: a sender thread and a bounded queue per vault, entry signatures, whose head is where, and who has dropped out.
//
//   push -> sign entry -> queue of vault 1 -> put -> receipt -> head 1 -.
//                      -> queue of vault 2 -> put -> receipt -> head 2 -+- durable = the k-th highest head
//                      -> queue of vault 3 -> put -> receipt -> head 3 -'
//
// I1  An entry counts as durable only with k receipts whose signature, stream and chain were checked here.
// I2  A vault whose put failed gets nothing more from this stream (its head would not move): it is *behind*, named with
//     its error, and repaired later from another vault. With fewer than k vaults left push and wait fail at once.
// I3  A vault that gives a receipt for another chain than ours is dropped the same way, as Corrupt: an alarm.
// I4  Memory: kQueueDepth objects per vault at most, shared between the vaults; a slow vault slows the capture.
// I5  Unless the caller wants every vault: one that alone holds up the capture, k others having room, for kTimesAsLong as long
//     as the capture and k others were at work, and kAtLeast, is left behind like one that failed. A hostile vault must not
//     decide how long a capture takes.
// Threads: StreamSink's rule; one sender thread per vault, named "send-<vault>", joined by finish() or the destructor.
// Errors: Unavailable (too few vaults), Exhausted, Denied, Corrupt: the message names every vault's own reason.
// Source: docs/formats/stream.md.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/env.h"
#include "store/stream_sink.h"
#include "store/vault_api.h"

namespace exclave::spread {

inline constexpr std::size_t kQueueDepth = 2;
inline constexpr int kTimesAsLong = 20;
inline constexpr std::chrono::seconds kAtLeast{60};

// What becomes of vaults that take longer than the others.
enum class Behind { GracePeriod, WaitForAll };

struct VaultProgress {
  std::string vault;
  std::uint64_t head = 0;  // entries held with nothing missing below
  std::optional<format::SignedReceipt> receipt;
  std::optional<Error> failure;
  std::chrono::nanoseconds send_time{};  // wall time inside put
};

class StreamWriter : public store::StreamSink {
 public:
  // Opens the stream at every vault at once. Fails if fewer than `durable_copies` (k) accept it. Vaults outlive the
  // writer. `away`, by vault: who did not answer a moment ago counts as dropped out, and is not tried again.
  static Result<std::unique_ptr<StreamWriter>> open(env::Threads& threads, env::Clock& clock,
                                                    std::vector<store::VaultApi*> vaults, std::uint32_t durable_copies,
                                                    const format::SignedStream& stream,
                                                    const crypto::Ed25519SigningKey& writer_key,
                                                    Behind behind = Behind::GracePeriod,
                                                    const std::map<std::string, Error>& away = {});
  ~StreamWriter() override;  // abandons what is queued

  Result<format::EntryIndex> push(store::SealedObject object,
                                  std::optional<format::PeriodNumber> snapshot_oldest) override;
  std::uint64_t durable_count() override;
  Status wait_durable(std::uint64_t count) override;
  // Until every vault has everything or has dropped out, at most to `deadline` (none: no limit); then the senders end.
  // Who is behind then is in progress().
  void finish(std::optional<env::Instant> deadline);
  std::vector<VaultProgress> progress() const;
  const format::StreamId& stream() const { return stream_id_; }

 private:
  struct Item {
    format::SignedEntry entry;
    store::SealedObject object;
  };
  struct Lane;  // one vault's queue, thread and head
  StreamWriter(env::Threads& threads, env::Clock& clock, std::uint32_t durable_copies,
               const format::SignedStream& stream, const crypto::Ed25519SigningKey& writer_key, Behind behind);
  void run_lane(Lane& lane);
  void wait_for_room_locked(Lane& lane);
  bool is_holding_up_locked(const Lane& lane) const;  // so k others have not failed
  std::chrono::nanoseconds time_without_locked(const Lane& lane) const;
  Status accept_receipt(const Lane& lane, const format::SignedReceipt& receipt) const;
  std::uint64_t durable_count_locked() const;
  std::optional<Error> too_few_left_locked() const;

  env::Clock& clock_;
  const std::uint32_t durable_copies_;
  const format::StreamId stream_id_;
  const crypto::Ed25519SigningKey& writer_key_;
  const Behind behind_;
  const env::Instant opened_;
  const std::unique_ptr<env::Monitor> monitor_;
  // Under monitor_:
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<format::ChainHash> chain_;  // h_i of every pushed entry
  std::chrono::nanoseconds held_up_{};    // by single vaults, one after the other
  bool closed_ = false;
};

}  // namespace exclave::spread
