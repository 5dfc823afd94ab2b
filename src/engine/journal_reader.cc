#include "engine/journal_reader.h"

#include <algorithm>
#include <optional>

#include "crypto/tree_hash.h"
#include "store/vault_words.h"

namespace exclave::engine {
// What one vault holds of an open segment. Two are compared as ciphertext: a frame that was sealed once has the same
// bytes everywhere.
struct JournalReader::Prefix {
  store::VaultApi* vault = nullptr;
  Bytes bytes;
  std::uint64_t end = 0;  // of authentic frames
  std::uint64_t frames_end = 0;
};

struct JournalReader::Copy {
  std::size_t vault = 0;
  std::vector<format::SignedEntry> entries;     // genuine, from 0, without a hole
  std::map<std::uint64_t, std::uint64_t> open;  // ends by index
};

JournalReader::JournalReader(const format::RealmId& realm, const format::SignedStream& stream,
                             std::vector<store::VaultApi*> vaults, std::vector<format::OpeningKey> keys)
    : realm_(realm), stream_(stream), vaults_(std::move(vaults)), keys_(std::move(keys)) {}

Result<const format::OpeningKey*> JournalReader::key_for(const format::KeyId& id) const {
  for (const format::OpeningKey& key : keys_) {
    if (key.id == id) return &key;
  }
  return Error(Code::Denied, "no key of " + format::to_string(id) + " was released");
}

bool JournalReader::is_before_released(const format::KeyId& id) const {
  return !keys_.empty() && std::all_of(keys_.begin(), keys_.end(), [&](const format::OpeningKey& key) {
    return key.id.registry == id.registry && key.id.era == id.era && id.period < key.id.period;
  });
}

Result<std::vector<JournalReader::Copy>> JournalReader::look(JournalEnd& end) const {
  const format::StreamId id = stream_.descriptor.id();
  std::vector<Copy> copies;
  for (std::size_t i = 0; i < vaults_.size(); ++i) {
    store::VaultApi& vault = *vaults_[i];
    const auto give_up = [&](const Error& error) { end.unreachable.push_back(store::in_list(vault.name(), error)); };
    Copy copy;
    copy.vault = i;
    format::ChainHash chain = format::chain_start(id);
    bool is_over = false;
    std::optional<Error> failed;
    while (!is_over) {
      auto page = vault.entries(id, format::EntryIndex(copy.entries.size()), store::kMaxEntriesPerCall);
      if (!page.ok()) {
        // A vault that never heard of the stream holds nothing of it.
        if (page.error().code() != Code::NotFound) failed = page.take_error();
        break;
      }
      is_over = page.value().size() < store::kMaxEntriesPerCall;
      for (const store::HeldEntry& held : page.value()) {
        const format::Entry& entry = held.entry.entry;
        if (entry.index.value() != copy.entries.size()) {
          is_over = true;  // a hole
          break;
        }
        const bool is_genuine = entry.stream == id &&
                                entry.chain == format::next_chain(chain, entry.object, entry.snapshot_oldest) &&
                                held.entry.check_signature(stream_.descriptor.writer).ok();
        if (!is_genuine) {
          end.problems.push_back(vault.name() + " lists an entry " + std::to_string(entry.index.value()) +
                                 " that its writer did not sign there");
          is_over = true;
          break;
        }
        chain = entry.chain;
        copy.entries.push_back(held.entry);
      }
    }
    if (failed.has_value()) {
      give_up(*failed);
      continue;
    }
    const auto open = vault.open_segments(stream_.descriptor.registry);
    if (!open.ok() && open.error().code() != Code::Unsupported) {
      give_up(open.error());
      continue;
    }
    // What it shows is good, whether it is all or not.
    if (open.ok()) {
      if (const auto less = look_at_open(open.value(), copy, end)) give_up(*less);
    }
    copies.push_back(std::move(copy));
  }
  if (copies.empty()) return Error(Code::Unavailable, "no vault answers");
  return copies;
}

std::optional<Error> JournalReader::look_at_open(const std::vector<store::OpenSegment>& open, Copy& copy,
                                                 JournalEnd& end) const {
  std::optional<Error> less;
  for (const store::OpenSegment& segment : open) {
    if (segment.stream != stream_.descriptor.id()) continue;
    copy.open[segment.index.value()] = segment.end;
    if (segment.is_damaged) {
      less = Error(Code::Corrupt, "a segment that it has open was damaged, and may have reached further");
    }
    if (!segment.mark.has_value()) continue;
    if (!segment.mark->check_signature(stream_.descriptor.writer).ok()) {
      end.problems.push_back(vaults_[copy.vault]->name() + " shows a mark of segment " +
                             std::to_string(segment.index.value()) + " that its writer did not sign");
      continue;
    }
    const format::Mark& mark = segment.mark->mark;
    end.marked = std::max(end.marked, mark.frames);
    if (mark.end > segment.end) {
      less = Error(Code::Corrupt, "it shows " + std::to_string(segment.end) + " bytes of segment " +
                                      std::to_string(segment.index.value()) + " and had vouched for " +
                                      std::to_string(mark.end));
    }
  }
  return less;
}

Status JournalReader::read_closed(const std::vector<Copy>& copies, format::EntryIndex index,
                                  const format::ObjectName& name, JournalEnd& end, format::FrameNumber from,
                                  const Visitor& visit) {
  std::string noun = format::to_string(format::SegmentPlace{stream_.descriptor.id(), index});
  Bytes object;
  std::string reasons;
  for (const Copy& copy : copies) {
    if (copy.entries.size() <= index.value()) continue;
    store::VaultApi& vault = *vaults_[copy.vault];
    const auto size = vault.size_of(name);
    Status got = size.ok() ? Status() : Status(size.error());
    if (got.ok() && !format::class_of_bytes(size.value()).has_value()) {
      got = Error(Code::Corrupt, "it has a size that no object has");
    }
    if (got.ok()) {
      object.resize(static_cast<std::size_t>(size.value()));
      got = vault.read(name, 0, object);
    }
    if (got.ok() && format::ObjectName(crypto::tree_hash(object).array()) != name) {
      got = Error(Code::Corrupt, "its bytes have another name");
    }
    if (got.ok()) break;
    object.clear();
    end.problems.push_back(vault.name() + " does not give " + noun + ": " + got.error().message());
    reasons += "; " + end.problems.back();
  }
  if (object.empty()) return Error(Code::Corrupt, noun + " cannot be had whole from any vault" + reasons);
  const format::SegmentFront front = TRY(format::decode_segment_front(object).in([&] { return noun; }));
  if (!end.has_begun && is_before_released(front.header.key)) {
    ++end.passed_over;
    return {};
  }
  const format::OpeningKey* const key = TRY(key_for(front.header.key));
  const auto frame = [&](const format::SegmentOpener::Frame& opened) -> Status {
    end.has_begun = true;
    end.frames = opened.number.value() + 1;
    if (opened.number < from) return {};
    return visit({opened.number, index, opened.plain});
  };
  std::optional<format::FrameNumber> first;
  if (end.has_begun || end.passed_over == 0) first = format::FrameNumber(end.frames);
  return format::open_segment(*key, realm_, {stream_.descriptor.id(), index}, object, first, frame);
}

Result<std::optional<JournalReader::Prefix>> JournalReader::read_prefix(store::VaultApi& vault,
                                                                        const format::SegmentPlace& place,
                                                                        std::uint64_t bytes, JournalEnd& end) const {
  const auto problem = [&](const std::string& why) {
    end.problems.push_back(vault.name() + ": " + format::to_string(place) + ": " + why);
    return std::optional<Prefix>();
  };
  if (bytes > format::kMaxObjectBytes) return problem("is larger than any segment");
  Prefix prefix;
  prefix.vault = &vault;
  prefix.bytes.resize(static_cast<std::size_t>(bytes));
  const Status got = vault.read_frames(place.stream, place.index, 0, prefix.bytes);
  if (!got.ok()) return problem(got.error().message());
  const auto front = format::decode_segment_front(prefix.bytes);
  if (!front.ok()) return problem(front.error().message());
  if (!end.has_begun && is_before_released(front.value().header.key)) {
    ++end.passed_over;
    return std::optional<Prefix>();
  }
  const format::OpeningKey* const key = TRY(key_for(front.value().header.key));
  auto opener = format::SegmentOpener::open(*key, realm_, place, prefix.bytes);
  if (!opener.ok()) return problem(opener.error().message());
  prefix.end = format::kSegmentFrontBytes;
  prefix.frames_end = end.frames;
  while (prefix.end < bytes) {
    const auto frame =
        opener.value().open_frame(prefix.end, ByteView(prefix.bytes).subspan(static_cast<std::size_t>(prefix.end)));
    if (!frame.ok()) {
      problem(frame.error().message());
      break;
    }
    if (!frame.value().has_value()) break;
    const std::uint64_t number = frame.value()->number.value();
    const bool may_be_any = !end.has_begun && end.passed_over > 0 && prefix.end == format::kSegmentFrontBytes;
    if (may_be_any) prefix.frames_end = number;
    if (number != prefix.frames_end) {
      problem("frame " + std::to_string(number) + " is here, and frame " + std::to_string(prefix.frames_end) +
              " is nowhere");
      break;
    }
    ++prefix.frames_end;
    prefix.end += frame.value()->bytes;
  }
  return std::optional(std::move(prefix));
}

Status JournalReader::read_open(const std::vector<Copy>& copies, format::EntryIndex index, JournalEnd& end,
                                bool& is_there, format::FrameNumber from, const Visitor& visit) {
  const format::SegmentPlace place{stream_.descriptor.id(), index};
  const std::uint64_t before = end.frames;
  std::vector<Prefix> prefixes;
  for (const Copy& copy : copies) {
    const auto held = copy.open.find(index.value());
    if (held == copy.open.end() || held->second < format::kSegmentFrontBytes) continue;
    store::VaultApi& vault = *vaults_[copy.vault];
    auto prefix = TRY(read_prefix(vault, place, held->second, end));
    if (!prefix.has_value()) continue;
    // It counts for a vault only behind all that comes before.
    std::uint64_t& of_vault = end.frames_by_vault[vault.name()];
    if (of_vault == before) of_vault = prefix->frames_end;
    prefixes.push_back(std::move(*prefix));
  }
  is_there = !prefixes.empty();
  if (!is_there) return {};
  const Prefix* longest = &prefixes.front();
  for (const Prefix& prefix : prefixes) {
    if (prefix.end > longest->end) longest = &prefix;
  }
  for (const Prefix& prefix : prefixes) {
    const auto size = static_cast<std::size_t>(prefix.end);
    if (equal(ByteView(prefix.bytes).first(size), ByteView(longest->bytes).first(size))) continue;
    return Error(Code::Conflict, format::to_string(place) + ": vaults " + prefix.vault->name() + " and " +
                                     longest->vault->name() +
                                     " hold different frames that are both authentic: its writer, or a clone of it, "
                                     "went two ways")
        .hint("choose one of the two by hand; nothing was written");
  }
  if (longest->frames_end > before) end.has_open_tail = true;
  const auto front = TRY(format::decode_segment_front(longest->bytes));
  auto opener = TRY(format::SegmentOpener::open(*TRY(key_for(front.header.key)), realm_, place, longest->bytes));
  for (std::uint64_t at = format::kSegmentFrontBytes; at < longest->end;) {
    const auto frame = TRY(opener.open_frame(at, ByteView(longest->bytes).subspan(static_cast<std::size_t>(at))));
    CHECK(frame.has_value());
    end.has_begun = true;
    end.frames = frame->number.value() + 1;
    if (frame->number >= from) TRY(visit({frame->number, index, frame->plain}));
    at += frame->bytes;
  }
  return {};
}

Result<JournalEnd> JournalReader::read(format::FrameNumber from, const Visitor& visit) {
  JournalEnd end;
  const std::vector<Copy> copies = TRY(look(end));
  const Copy* longest = &copies.front();
  for (const Copy& copy : copies) {
    if (copy.entries.size() > longest->entries.size()) longest = &copy;
  }
  for (const Copy& copy : copies) {
    end.frames_by_vault[vaults_[copy.vault]->name()] = 0;
    if (copy.entries.empty()) continue;
    const std::size_t last = copy.entries.size() - 1;
    if (copy.entries[last].entry.chain == longest->entries[last].entry.chain) continue;
    return Error(Code::Conflict, "stream " + stream_.descriptor.id().hex() + ": vaults " + vaults_[copy.vault]->name() +
                                     " and " + vaults_[longest->vault]->name() +
                                     " hold different entries that its writer signed");
  }
  end.closed = longest->entries.size();
  for (std::uint64_t index = 0; index < end.closed; ++index) {
    const auto known = frames_end_.find(index);
    if (known != frames_end_.end() && known->second <= from.value()) {
      end.frames = known->second;
    } else {
      TRY(read_closed(copies, format::EntryIndex(index), longest->entries[index].entry.object, end, from, visit));
      frames_end_[index] = end.frames;
    }
    for (const Copy& copy : copies) {
      if (copy.entries.size() > index) end.frames_by_vault[vaults_[copy.vault]->name()] = end.frames;
    }
  }
  bool is_there = true;
  // Of the two that may be open, the first may be missing: its hole shows in the numbers.
  for (std::uint64_t index = end.closed; is_there || index < end.closed + store::kMostOpenSegments; ++index) {
    TRY(read_open(copies, format::EntryIndex(index), end, is_there, from, visit));
  }
  return end;
}

}  // namespace exclave::engine
