// recover_spool: what an earlier start sealed goes to the vaults that lack it.
#include <algorithm>
#include <limits>
#include <map>
#include <set>

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
  std::vector<std::uint64_t> blank;         // open ones that nothing was written to
  std::vector<std::uint64_t> damaged;       // open ones whose front is lost, with something behind it
  std::optional<format::ChainHash> before;  // the first one
  // What is here begins before the first frame that was ever in it, or where frames may have been: without any, it has lost
  // them. Otherwise segments left the spool because every vault has them.
  bool has_a_place_for_frames = false;
};

// What one vault said.
struct VaultAnswer {
  std::optional<Error> failure;
  std::optional<std::string> has_more;
  bool lacks_frames = false;        // and cannot have them now
  std::set<std::uint64_t> closed;   // of the open ones here, that are closed there
  std::set<std::uint64_t> damaged;  // of the closed ones here, that it lacks and that the spool has lost
  std::uint64_t segments = 0;       // that it has receipts for
};

constexpr std::uint64_t kAllFrames = std::numeric_limits<std::uint64_t>::max();

struct SealedBytes {
  Bytes bytes;            // the whole class; zeros behind `end`
  std::uint64_t end = 0;  // of whole frames; 0: there is no front
  std::uint8_t size_class = 0;
  // Without a front: nothing stands behind its place. A front is durable before the first frame comes (spool.h).
  bool is_blank = false;
  // With a front: what stands behind it is no frame, and not nothing. Torn by a power failure, or damaged.
  bool has_torn_first = false;
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
  sealed.has_torn_first = scan.bytes == 0 && !is_all_zero(ByteView(sealed.bytes).subspan(format::kSegmentFrontBytes));
  std::fill(sealed.bytes.begin() + static_cast<std::ptrdiff_t>(sealed.end), sealed.bytes.end(), Byte{0});
  return sealed;
}

std::string damage_in_words(std::uint64_t index) {
  return "segment " + std::to_string(index) + " is damaged in the spool";
}

// Corrupt: it is not what it was any more.
Result<SealedBytes> read_segment(const Spool& spool, const LeftSegment& segment) {
  SealedBytes sealed = TRY(read_sealed(spool, segment.index));
  const bool is_whole = segment.entry.has_value() ? format::name_of(sealed.bytes) == segment.entry->entry.object
                                                  : sealed.end == segment.end;
  if (!is_whole) return Error(Code::Corrupt, damage_in_words(segment.index));
  return sealed;
}

Result<LeftStream> look_at_stream(const Spool& spool) {
  LeftStream left;
  left.stream = TRY(spool.stream());
  for (const std::uint64_t index : TRY(spool.segments())) {
    if (auto entry = TRY(spool.entry(index))) {
      left.segments.push_back({index, std::move(entry)});
    } else if (const SealedBytes open = TRY(read_sealed(spool, index)); open.end > 0) {
      left.segments.push_back({index, std::nullopt, open.size_class, open.end});
      left.has_a_place_for_frames = left.has_a_place_for_frames || open.has_torn_first;
    } else {
      (open.is_blank ? left.blank : left.damaged).push_back(index);
    }
  }
  if (!left.blank.empty() || (!left.segments.empty() && left.segments.front().index == 0))
    left.has_a_place_for_frames = true;
  if (left.segments.empty() || left.segments.front().index == 0) {
    left.before = format::chain_start(left.stream.descriptor.id());
  } else if (const auto entry = TRY(spool.entry(left.segments.front().index - 1))) {
    left.before = entry->entry.chain;
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
      if (segment->entry.has_value() && !damaged.contains(segment->index)) return kAllFrames;
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
                 const crypto::Ed25519SigningKey& writer_key, env::Instant deadline, std::uint64_t wanted_frames,
                 LeftStream left)
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
    for (const LeftSegment& segment : left_.segments) {
      TRY(check_time());
      if (segment.entry.has_value()) {
        TRY(put(i, segment));
      } else {
        TRY(append(i, segment, TRY(read_segment(spool_, segment)).bytes, ends[segment.index]));
      }
    }
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
    if (receipt.value().has_value()) {
      answers_[i].segments = std::max(answers_[i].segments, receipt.value()->receipt.index.value() + 1);
    }
    return {};
  }

  // Segments that are damaged in the spool, and that some vault lacks.
  std::set<std::uint64_t> damaged() const {
    std::set<std::uint64_t> all(left_.damaged.begin(), left_.damaged.end());
    for (const VaultAnswer& answer : answers_) all.insert(answer.damaged.begin(), answer.damaged.end());
    return all;
  }

  bool has_lost_its_end() const {
    return frames_end_ < wanted_frames_ && (frames_end_ > 0 || left_.has_a_place_for_frames);
  }

  bool may_close() const {
    return left_.before.has_value() && !has_lost_its_end() &&
           std::all_of(answers_.begin(), answers_.end(), [](const VaultAnswer& answer) {
             return !answer.failure.has_value() && !answer.has_more.has_value() && answer.damaged.empty();
           });
  }

  Status close_open_segments() {
    format::ChainHash chain = *left_.before;
    std::uint64_t next = left_.segments.empty() ? 0 : left_.segments.front().index;
    for (LeftSegment& segment : left_.segments) {
      if (segment.index != next++) return {};  // a hole: what follows cannot be chained
      if (segment.entry.has_value()) {
        chain = segment.entry->entry.chain;
        continue;
      }
      format::Entry entry;
      entry.stream = id_;
      entry.index = format::EntryIndex(segment.index);
      entry.object = format::name_of(TRY(read_segment(spool_, segment)).bytes);
      entry.chain = format::next_chain(chain, entry.object, std::nullopt);
      chain = entry.chain;
      segment.entry = format::SignedEntry::sign(entry, writer_key_);
      // Who has closed it already shall agree before anybody else is asked.
      for (std::size_t i = 0; i < vaults_.size(); ++i) {
        if (!answers_[i].closed.contains(segment.index)) continue;
        Status same = put(i, segment);
        if (same.ok()) continue;
        answers_[i].failure = same.take_error();
        return {};
      }
      // Written by a process that died, its bytes may be in memory alone (spool.h, I1).
      TRY(spool_.sync_segment(segment.index));
      TRY(spool_.put_entry(*segment.entry));
      at_each_vault([&](std::size_t i) { return put(i, segment); });
    }
    return {};
  }

  Result<SpooledStream> report() {
    SpooledStream stream;
    stream.stream = id_;
    stream.segments = left_.segments.size();
    stream.frames_end = frames_end_;
    stream.blank = left_.blank.size();
    for (const std::uint64_t index : damaged()) stream.reasons.push_back(damage_in_words(index));
    if (has_lost_its_end()) {
      stream.reasons.push_back("it had lost its end: " + std::to_string(wanted_frames_) +
                               " frames were synced to the spool, and it has " + std::to_string(frames_end_));
    }
    if (!left_.before.has_value() && left_.damaged.empty())
      stream.reasons.emplace_back("the entry before its first segment is lost");
    const std::uint64_t end = left_.segments.empty() ? 0 : left_.segments.back().index + 1;
    for (std::size_t i = 0; i < vaults_.size(); ++i) {
      const VaultAnswer& answer = answers_[i];
      if (answer.failure.has_value()) {
        stream.reasons.push_back(store::in_list(vaults_[i]->name(), *answer.failure));
      } else if (answer.has_more.has_value()) {
        stream.reasons.push_back(*answer.has_more);
      }
    }
    for (std::size_t i = 0; i < vaults_.size() && stream.reasons.empty(); ++i) {
      if (answers_[i].segments < end) {
        stream.reasons.push_back(vaults_[i]->name() + " lacks earlier segments: its own repair brings them");
      }
    }
    for (const VaultAnswer& answer : answers_) {
      const bool has_all = !answer.failure.has_value() && !answer.lacks_frames && answer.damaged.empty();
      if (has_all && left_.damaged.empty() && !has_lost_its_end()) ++stream.holders;
    }
    stream.is_complete = stream.reasons.empty();
    if (!stream.is_complete) return stream;
    // First, because alone they would look like a spool that lost what it had.
    for (const std::uint64_t index : left_.blank) TRY(spool_.remove_segment(index));
    TRY(spool_.remove_all());
    return stream;
  }

  const JournalWriter::World& world_;
  const std::vector<store::VaultApi*>& vaults_;
  Spool& spool_;
  const crypto::Ed25519SigningKey& writer_key_;
  const env::Instant deadline_;
  const std::uint64_t wanted_frames_;
  LeftStream left_;
  const format::StreamId id_;
  std::vector<VaultAnswer> answers_;
  std::uint64_t frames_end_ = 0;
};

}  // namespace

Result<std::vector<SpooledStream>> recover_spool(const JournalWriter::World& world, const std::string& spool_directory,
                                                 const std::vector<store::VaultApi*>& vaults,
                                                 const crypto::Ed25519SigningKey& writer_key, env::Instant deadline,
                                                 std::uint64_t wanted_frames) {
  std::vector<SpooledStream> all;
  for (const format::StreamId& id : TRY(Spool::streams(world.files, spool_directory))) {
    Spool spool(world.files, spool_directory, id);
    auto left = look_at_stream(spool);
    // The descriptor is the first file that comes and the last one that goes: nothing else is there.
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
