// recover_spool: what an earlier start sealed goes to the vaults that lack it.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "env/at_once.h"
#include "format/object.h"
#include "spread/detail/journal_state.h"
#include "spread/journal_writer.h"
#include "store/vault_words.h"

namespace exclave::spread {
namespace {

using detail::Spool;

// Its bytes stay on disk until a vault wants them: a spool may be larger than memory.
struct LeftSegment {
  std::uint64_t index = 0;
  std::optional<format::SignedEntry> entry;  // of a closed one
  std::uint8_t size_class = 0;               // of an open one
  std::uint64_t end = 0;                     // of an open one's whole frames
};

struct LeftStream {
  format::SignedStream stream;
  std::vector<LeftSegment> segments;
  std::vector<std::uint64_t> blank;    // open ones that nothing was written to
  std::vector<std::uint64_t> damaged;  // open ones whose front is lost, with something behind it
  // Whatever came before this one has left the spool: vaults have it, or it is lost.
  std::uint64_t first = 0;
  std::optional<format::SignedEntry> gone;  // of the one before it; none where its entry is lost as well
  std::uint64_t first_open = 0;             // behind all closed ones; where there is none: one more than the last
  bool has_open_hole = false;               // between open ones
};

// What one vault said.
struct VaultAnswer {
  std::optional<Error> failure;
  std::optional<std::string> has_more;  // than the spool
  bool lacks_frames = false;            // and cannot have them now
  std::set<std::uint64_t> closed;       // of the open ones here, that are closed there
  bool differs = false;                 // the one that is being closed here it has closed otherwise
  std::set<std::uint64_t> damaged;      // of the closed ones here, that it lacks and that the spool has lost
  std::uint64_t segments = 0;           // that it has signed for: 0..segments-1
  std::uint64_t same = 0;               // of these, the ones that end in an entry which is here: they are the very same
};

struct SealedBytes {
  Bytes bytes;            // the whole class; zeros behind `end`
  std::uint64_t end = 0;  // of whole frames; 0: there is no front
  std::uint8_t size_class = 0;
  // Without a front: nothing stands behind its place. A front is durable before the first frame comes (spool.h).
  bool is_blank = false;
};

Result<SealedBytes> read_sealed(const Spool& spool, std::uint64_t index) {
  SealedBytes sealed;
  sealed.bytes = TRY(spool.read_segment(index));
  const auto size_class = format::class_of_bytes(sealed.bytes.size());
  const auto front = format::decode_segment_front(sealed.bytes);
  if (!size_class.has_value() || !front.ok() || front.value().header.size_class != *size_class) {
    const ByteView all = sealed.bytes;
    sealed.is_blank = is_all_zero(all.subspan(std::min(all.size(), format::kSegmentFrontBytes)));
    return sealed;
  }
  sealed.size_class = *size_class;
  const format::FrameScan scan = format::scan_frames(ByteView(sealed.bytes).subspan(format::kSegmentFrontBytes));
  sealed.end = format::kSegmentFrontBytes + scan.bytes;
  std::fill(sealed.bytes.begin() + static_cast<std::ptrdiff_t>(sealed.end), sealed.bytes.end(), Byte{0});
  return sealed;
}

// Corrupt: it is not what it was any more.
Result<SealedBytes> read_segment(const Spool& spool, const LeftSegment& segment) {
  SealedBytes sealed = TRY(read_sealed(spool, segment.index));
  const bool is_whole = segment.entry.has_value() ? format::name_of(sealed.bytes) == segment.entry->entry.object
                                                  : sealed.end == segment.end;
  if (!is_whole) return Error(Code::Corrupt, "segment " + std::to_string(segment.index) + " is damaged in the spool");
  return sealed;
}

// Of what has left the spool, its last entry stays.
Status look_before(const Spool& spool, LeftStream& left) {
  const std::vector<std::uint64_t> entries = TRY(spool.entries());
  left.first = !left.segments.empty() ? left.segments.front().index : entries.empty() ? 0 : entries.back() + 1;
  if (left.first > 0) left.gone = TRY(spool.entry(left.first - 1));
  return {};
}

Result<LeftStream> look_at_stream(const Spool& spool) {
  LeftStream left;
  left.stream = TRY(spool.stream());
  for (const std::uint64_t index : TRY(spool.segments())) {
    if (auto entry = TRY(spool.entry(index))) {
      left.segments.push_back({index, std::move(entry)});
    } else if (const SealedBytes open = TRY(read_sealed(spool, index)); open.end > 0) {
      left.segments.push_back({index, std::nullopt, open.size_class, open.end});
    } else {
      (open.is_blank ? left.blank : left.damaged).push_back(index);
    }
  }
  TRY(look_before(spool, left));
  left.first_open = left.segments.empty() ? left.first : left.segments.back().index + 1;
  for (auto open = left.segments.rbegin(); open != left.segments.rend() && !open->entry.has_value(); ++open) {
    left.has_open_hole = left.has_open_hole || open->index + 1 != left.first_open;
    left.first_open = open->index;
  }
  return left;
}

// One more than the number of the last frame that the spool has. What is closed, and only `damaged` in the spool where some
// vault lacks it, has all its frames: each vault took it by its entry, which came after them.
Result<std::uint64_t> frames_end_of(const Spool& spool, const LeftStream& left,
                                    const std::set<std::uint64_t>& damaged) {
  for (auto segment = left.segments.rbegin(); segment != left.segments.rend(); ++segment) {
    const auto sealed = read_segment(spool, *segment);
    if (!sealed.ok() && sealed.error().code() == Code::Corrupt) {
      if (segment->entry.has_value() && !damaged.contains(segment->index)) return SpooledStream::kAllFrames;
      continue;
    }
    if (!sealed.ok()) return sealed.error();
    const std::uint64_t end = detail::frames_below(sealed.value().bytes, sealed.value().end, 0);
    if (end > 0) return end;
  }
  return 0;
}

class StreamRecovery {
 public:
  StreamRecovery(const JournalWriter::World& world, const std::vector<store::VaultApi*>& vaults, Spool& spool,
                 const crypto::Ed25519SigningKey& writer_key, env::Instant deadline,
                 std::optional<std::uint64_t> wanted_frames, LeftStream left)
      : world_(world),
        vaults_(vaults),
        spool_(spool),
        writer_key_(writer_key),
        deadline_(deadline),
        wanted_frames_(wanted_frames),
        left_(std::move(left)),
        id_(left_.stream.descriptor.id()),
        answers_(vaults.size()) {}

  Result<SpooledStream> run() {
    at_each_vault([&](std::size_t i) { return bring(i); });
    frames_end_ = TRY(frames_end_of(spool_, left_, damaged()));
    if (may_close()) TRY(close_open_segments());
    return report();
  }

 private:
  template <typename Step>
  void at_each_vault(const Step& step) {
    env::at_once(
        world_.threads, vaults_.size(), [&](std::size_t i) { return "recover-" + vaults_[i]->name(); },
        [&](std::size_t i) {
          if (answers_[i].failure.has_value()) return;
          Status done = step(i);
          if (!done.ok()) answers_[i].failure = done.take_error();
        });
  }

  Status check_time() const {
    if (world_.clock.monotonic() < deadline_) return {};
    return Error(Code::Unavailable, "there was not enough time");
  }

  // Closed segments, and what there is of open ones.
  Status bring(std::size_t i) {
    store::VaultApi& vault = *vaults_[i];
    TRY(check_time());
    TRY(vault.open_stream(left_.stream));
    std::map<std::uint64_t, std::uint64_t> ends;
    for (const store::OpenSegment& open : TRY(vault.open_segments(left_.stream.descriptor.registry))) {
      if (open.stream == id_) ends[open.index.value()] = open.end;
    }
    for (const std::uint64_t index : left_.blank) {
      if (ends[index] > 0) answers_[i].has_more = more_in_words(i, index);
    }
    TRY(ask_how_far(i));
    for (const LeftSegment& segment : left_.segments) {
      // It is not asked for each: a spool of a long partition has hundreds, and there may be time for a part of it only.
      if (segment.entry.has_value() && segment.index < answers_[i].same) continue;
      TRY(check_time());
      if (segment.entry.has_value()) {
        TRY(put(i, segment));
      } else {
        TRY(append(i, segment, TRY(read_segment(spool_, segment)).bytes, ends[segment.index]));
      }
    }
    return {};
  }

  // Of what has left the spool.
  Status ask_how_far(std::size_t i) {
    if (!left_.gone.has_value()) return {};
    const auto receipt = vaults_[i]->put(*left_.gone, {});
    if (receipt.ok()) return note(i, receipt.value());
    return receipt.error().code() == Code::NotFound ? Status() : receipt.error();
  }

  // A vault's receipts are of all its segments up to one.
  Status note(std::size_t i, const std::optional<format::SignedReceipt>& signed_receipt) {
    if (!signed_receipt.has_value()) return {};
    const format::Receipt& receipt = signed_receipt->receipt;
    const std::uint64_t index = receipt.index.value();
    const auto is_last = [&](const LeftSegment& segment) { return segment.index == index; };
    const auto found = std::find_if(left_.segments.begin(), left_.segments.end(), is_last);
    const bool is_gone = left_.gone.has_value() && index + 1 == left_.first;
    const auto& entry = found != left_.segments.end() ? found->entry : is_gone ? left_.gone : std::nullopt;
    if (entry.has_value() && entry->entry.chain != receipt.chain)
      return Error(Code::Corrupt, "it signs for other segments than these");
    VaultAnswer& answer = answers_[i];
    answer.segments = std::max(answer.segments, index + 1);
    if (entry.has_value()) answer.same = std::max(answer.same, index + 1);
    return {};
  }

  std::string more_in_words(std::size_t i, std::uint64_t index) const {
    return vaults_[i]->name() + " holds more of segment " + std::to_string(index) + " than the spool: it stays open";
  }

  Status append(std::size_t i, const LeftSegment& segment, ByteView bytes, std::uint64_t held) {
    if (held > segment.end) {
      answers_[i].has_more = more_in_words(i, segment.index);
      return {};
    }
    // From the front: what it holds is compared on the way, because a clone may have written other frames there.
    for (std::uint64_t at = 0; at < segment.end;) {
      const std::uint64_t end = detail::step_end(bytes, at, segment.end, store::kMaxAppendBytes);
      const auto appended =
          vaults_[i]->append_frames(id_, format::EntryIndex(segment.index), segment.size_class, at,
                                    bytes.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(end - at)));
      if (!appended.ok() && appended.error().code() == Code::Conflict && held == 0) {
        answers_[i].closed.insert(segment.index);
        return {};
      }
      // Too many are open there, or its disk failed under this one: it comes whole when it is closed.
      if (!appended.ok() && appended.error().code() == Code::Precondition) {
        answers_[i].lacks_frames = true;
        return {};
      }
      if (!appended.ok()) return appended.error();
      // Somebody else appends.
      if (appended.value() > segment.end) answers_[i].has_more = more_in_words(i, segment.index);
      at = end;
    }
    return {};
  }

  Status put(std::size_t i, const LeftSegment& segment) {
    auto receipt = vaults_[i]->put(*segment.entry, {});
    if (!receipt.ok() && receipt.error().code() == Code::NotFound) {
      const auto sealed = read_segment(spool_, segment);
      if (!sealed.ok() && sealed.error().code() == Code::Corrupt) {
        answers_[i].damaged.insert(segment.index);
        return {};
      }
      if (!sealed.ok()) return sealed.error();
      receipt = vaults_[i]->put(*segment.entry, sealed.value().bytes);
    }
    if (!receipt.ok()) return receipt.error();
    return note(i, receipt.value());
  }

  // Segments that are damaged in the spool, and that some vault lacks.
  std::set<std::uint64_t> damaged() const {
    std::set<std::uint64_t> all(left_.damaged.begin(), left_.damaged.end());
    for (const VaultAnswer& answer : answers_) all.insert(answer.damaged.begin(), answer.damaged.end());
    return all;
  }

  // The newest segment with frames is in the spool as long as the spool is.
  bool has_lost_its_end() const { return frames_end_ < wanted_frames_.value_or(0); }

  bool may_close() const {
    return wanted_frames_.has_value() && !has_lost_its_end() &&
           std::all_of(answers_.begin(), answers_.end(), [](const VaultAnswer& answer) {
             return !answer.failure.has_value() && !answer.has_more.has_value() && answer.damaged.empty();
           });
  }

  bool is_signed_everywhere(std::uint64_t index) const {
    return std::all_of(answers_.begin(), answers_.end(), [&](const auto& answer) { return answer.segments > index; });
  }

  bool is_closed_everywhere(std::uint64_t index) const {
    return std::all_of(answers_.begin(), answers_.end(),
                       [&](const auto& answer) { return answer.segments > index || answer.closed.contains(index); });
  }

  // Whether a vault that has closed the segment did so with this object. It has it, then: the object's front names its place.
  Status compare(std::size_t i, std::uint64_t index, const format::ObjectName& object) {
    VaultAnswer& answer = answers_[i];
    if (!answer.closed.contains(index)) return {};
    TRY(check_time());
    if (!TRY(vaults_[i]->has(object))) answer.differs = true;
    return {};
  }

  // Who has closed it already has an entry of ours, which a home that was set back does not remember: no other one is signed.
  // Whether this one may be.
  bool is_first_entry(std::uint64_t index, const format::ObjectName& object) {
    at_each_vault([&](std::size_t i) { return compare(i, index, object); });
    bool is_first = true;
    for (VaultAnswer& answer : answers_) {
      is_first = is_first && !answer.differs && !answer.failure.has_value();
      if (!std::exchange(answer.differs, false)) continue;
      // Nobody counts on these frames, and every vault has the segment as it became.
      if (wanted_frames_ == 0U && is_closed_everywhere(index)) {
        is_replaced_ = true;
      } else {
        answer.failure =
            Error(Code::Conflict, "it has closed segment " + std::to_string(index) + " with something else");
      }
    }
    return is_first;
  }

  // nullopt: the entry is lost.
  Result<std::optional<format::ChainHash>> chain_before(std::uint64_t index) const {
    if (index == 0) return std::optional(format::chain_start(id_));
    const auto entry = TRY(spool_.entry(index - 1));
    return entry.has_value() ? std::optional(entry->entry.chain) : std::nullopt;
  }

  Status close_open_segments() {
    for (LeftSegment& segment : left_.segments) {
      if (segment.entry.has_value()) continue;
      const auto chain = TRY(chain_before(segment.index));
      if (!chain.has_value()) {
        if (segment.index >= left_.first_open && !is_signed_everywhere(segment.index))
          unchained_.push_back(segment.index);
        continue;
      }
      format::Entry entry;
      entry.stream = id_;
      entry.index = format::EntryIndex(segment.index);
      const Bytes bytes = TRY(read_segment(spool_, segment)).bytes;
      entry.object = format::name_of(bytes);
      entry.chain = format::next_chain(*chain, entry.object, std::nullopt);
      if (!is_first_entry(segment.index, entry.object)) return {};
      segment.entry = format::SignedEntry::sign(entry, writer_key_);
      // Written by a process that died, its bytes may be in memory alone (spool.h, I1).
      TRY(spool_.write_again(segment.index, bytes));
      TRY(spool_.put_entry(*segment.entry));
      at_each_vault([&](std::size_t i) { return put(i, segment); });
    }
    return {};
  }

  // Of it all, closed.
  std::uint64_t end() const { return left_.segments.empty() ? left_.first : left_.segments.back().index + 1; }

  bool has_all_frames(const VaultAnswer& answer) const {
    if (answer.failure.has_value() || !left_.damaged.empty() || has_lost_its_end()) return false;
    if (answer.segments >= end()) return true;
    return answer.segments >= left_.first_open && !left_.has_open_hole && !answer.lacks_frames &&
           answer.damaged.empty();
  }

  std::vector<std::string> losses_in_words() const {
    std::vector<std::string> losses;
    for (const std::uint64_t index : damaged()) losses.push_back("segment " + std::to_string(index) + " is damaged");
    if (has_lost_its_end()) {
      losses.push_back("it had lost its end: " + std::to_string(*wanted_frames_) +
                       " frames were synced to it, and it has " + std::to_string(frames_end_));
    }
    for (const std::uint64_t index : unchained_)
      losses.push_back("the entry before segment " + std::to_string(index) + " is lost");
    return losses;
  }

  std::vector<std::string> answers_in_words() const {
    std::vector<std::string> reasons;
    for (std::size_t i = 0; i < vaults_.size(); ++i) {
      if (answers_[i].failure.has_value()) {
        reasons.push_back(store::in_list(vaults_[i]->name(), *answers_[i].failure));
      } else if (answers_[i].has_more.has_value()) {
        reasons.push_back(*answers_[i].has_more);
      }
    }
    return reasons;
  }

  // Every vault has taken what is here, and some have not signed for all of it.
  void tell_of_gaps(SpooledStream& stream) const {
    std::uint64_t most = 0;
    for (const VaultAnswer& answer : answers_) most = std::max(most, answer.segments);
    const auto is_most = [&](const LeftSegment& segment) { return segment.index == most; };
    if (most < end() && std::none_of(left_.segments.begin(), left_.segments.end(), is_most)) {
      stream.losses.push_back("segment " + std::to_string(most) + " is gone, and no vault has signed for it");
      return;
    }
    for (std::size_t i = 0; i < vaults_.size(); ++i) {
      if (answers_[i].segments < end())
        stream.reasons.push_back(vaults_[i]->name() + " lacks earlier segments: its own repair brings them");
    }
  }

  Result<SpooledStream> report() {
    SpooledStream stream;
    stream.stream = id_;
    stream.segments = left_.segments.size();
    stream.frames_end = frames_end_;
    stream.losses = losses_in_words();
    stream.reasons = answers_in_words();
    const bool may_be_complete = wanted_frames_.has_value() && stream.losses.empty() && stream.reasons.empty();
    if (may_be_complete && !is_replaced_) tell_of_gaps(stream);
    for (const VaultAnswer& answer : answers_) stream.holders += has_all_frames(answer) ? 1U : 0U;
    stream.is_complete = wanted_frames_.has_value() && stream.losses.empty() && stream.reasons.empty();
    if (stream.is_complete) TRY(spool_.remove_all());
    return stream;
  }

  const JournalWriter::World& world_;
  const std::vector<store::VaultApi*>& vaults_;
  Spool& spool_;
  const crypto::Ed25519SigningKey& writer_key_;
  const env::Instant deadline_;
  const std::optional<std::uint64_t> wanted_frames_;
  LeftStream left_;
  const format::StreamId id_;
  std::vector<VaultAnswer> answers_;
  std::uint64_t frames_end_ = 0;
  std::vector<std::uint64_t> unchained_;  // open ones that cannot be closed
  bool is_replaced_ = false;  // every vault has closed an open one with other frames, and nobody counts on these
};

}  // namespace

Result<std::vector<SpooledStream>> recover_spool(const JournalWriter::World& world, const std::string& spool_directory,
                                                 const std::vector<store::VaultApi*>& vaults,
                                                 const crypto::Ed25519SigningKey& writer_key, env::Instant deadline,
                                                 std::optional<std::uint64_t> wanted_frames) {
  TRY(Spool::remove_ended(world.files, spool_directory).in([] { return "journal spool"; }));
  std::vector<SpooledStream> all;
  for (const format::StreamId& id : TRY(Spool::streams(world.files, spool_directory))) {
    Spool spool(world.files, spool_directory, id);
    auto left = look_at_stream(spool);
    // The descriptor is the first file that comes: nothing else is there.
    if (!left.ok() && left.error().code() == Code::NotFound) {
      if (!TRY(spool.segments()).empty()) {
        return Error(Code::Corrupt,
                     "journal spool: the descriptor of stream " + id.hex() + " is gone, and segments of it are there");
      }
      TRY(spool.remove_all());
      continue;
    }
    if (!left.ok()) return Error(left.error()).in("journal spool");
    if (left.value().stream.descriptor.id() != id) {
      return Error(Code::Corrupt, "journal spool: the descriptor of stream " + id.hex() + " is of another stream");
    }
    all.push_back(TRY(StreamRecovery(world, vaults, spool, writer_key, deadline, wanted_frames, left.take()).run()));
  }
  return all;
}

}  // namespace exclave::spread
