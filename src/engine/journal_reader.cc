#include "engine/journal_reader.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "engine/detail/patience.h"
#include "env/at_once.h"
#include "env/workers.h"
#include "format/object.h"
#include "store/vault_words.h"

namespace exclave::engine {
namespace {

// Also from one vault: between an answer and the next request its line would be idle.
constexpr std::size_t kFetchers = JournalReader::kMostFetched - 1;

// So many that follow a segment that does not tell are asked in its place.
constexpr std::uint64_t kNeighbours = 8;

// A segment that the vault showed as open, and that was closed meanwhile, begins with the same bytes.
Status read_of_closed(store::VaultApi& vault, const format::SegmentPlace& place, MutableByteView out) {
  const auto held = TRY(vault.entries(place.stream, place.index, 1));
  if (held.empty() || held.front().entry.entry.index != place.index) {
    return Error(Code::NotFound, format::to_string(place) + " is neither open there nor closed");
  }
  return vault.read(held.front().entry.entry.object, 0, out);
}

Error two_ways(const format::SegmentPlace& place, const store::VaultApi& one, const store::VaultApi& other) {
  return Error(Code::Conflict, format::to_string(place) + ": vaults " + one.name() + " and " + other.name() +
                                   " hold different frames that are both authentic: its writer, or a clone of it, "
                                   "went two ways")
      .hint("choose one of the two by hand; nothing was written");
}

}  // namespace

struct JournalReader::Closed {
  format::EntryIndex index;
  Bytes object;
  std::optional<Error> lost = {};  // why there is none
};

// Vaults are compared by ciphertext: a frame that was sealed once has the same bytes everywhere, at the same place.
struct JournalReader::Shown {
  store::VaultApi* vault = nullptr;
  Bytes bytes;
  bool is_signed_whole = false;
  std::optional<Error> wrong = {};  // the first thing that is
};

struct JournalReader::Found {
  format::SegmentOpener::Frame frame;
  ByteView sealed;
  store::VaultApi* vault = nullptr;
};

JournalReader::JournalReader(const World& world, const format::RealmId& realm, const format::SignedStream& stream,
                             std::vector<store::VaultApi*> vaults, std::vector<format::OpeningKey> keys)
    : world_(world), realm_(realm), stream_(stream), vaults_(std::move(vaults)), keys_(std::move(keys)) {}

std::string JournalReader::noun(format::EntryIndex index) const {
  return format::to_string(format::SegmentPlace{stream_.descriptor.id(), index});
}

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

// All vaults at once: over long lines each takes a few round trips.
Result<std::vector<JournalReader::Copy>> JournalReader::look(JournalEnd& end) const {
  struct Look {
    std::optional<Copy> copy;
    JournalEnd end;
  };
  std::vector<Look> looks(vaults_.size());
  detail::Patience patience(world_.clock, world_.quorum.answers_needed(world_.vaults));
  env::at_once(
      world_.threads, vaults_.size(), [&](std::size_t i) { return "look-" + vaults_[i]->name(); },
      [&](std::size_t i) { looks[i].copy = look_at(i, patience, looks[i].end); });
  std::vector<Copy> copies;
  for (Look& look : looks) {
    std::move(look.end.problems.begin(), look.end.problems.end(), std::back_inserter(end.problems));
    std::move(look.end.unreachable.begin(), look.end.unreachable.end(), std::back_inserter(end.unreachable));
    end.marked = std::max(end.marked, look.end.marked);
    if (look.copy.has_value()) copies.push_back(std::move(*look.copy));
  }
  if (copies.empty()) return Error(Code::Unavailable, "no vault answers").hint("look at the vaults: exclave status");
  return copies;
}

std::optional<JournalReader::Copy> JournalReader::look_at(std::size_t at, detail::Patience& patience,
                                                          JournalEnd& end) const {
  const format::StreamId id = stream_.descriptor.id();
  store::VaultApi& vault = *vaults_[at];
  const auto give_up = [&](const Error& error) { end.unreachable.push_back({vault.name(), error}); };
  Copy copy;
  copy.vault = at;
  // Before the entries: a segment that is closed meanwhile is in both answers, the other way round it would be in neither.
  const auto open = vault.open_segments(stream_.descriptor.registry);
  if (!open.ok() && open.error().code() != Code::Unsupported) {
    give_up(open.error());
    return std::nullopt;
  }
  format::ChainHash chain = format::chain_start(id);
  bool is_over = false;
  while (!is_over) {
    if (const Status waits = patience.check(); !waits.ok()) {
      give_up(waits.error());
      return std::nullopt;
    }
    const auto page = vault.entries(id, format::EntryIndex(copy.entries.size()), store::kMaxEntriesPerCall);
    if (!page.ok()) {
      // A vault that never heard of the stream holds nothing of it.
      if (page.error().code() == Code::NotFound) break;
      give_up(page.error());
      return std::nullopt;
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
  patience.one_has_answered();
  // What it shows is good, whether it is all or not.
  if (open.ok()) {
    if (const auto less = look_at_open(open.value(), copy, end)) give_up(*less);
  }
  return copy;
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
    if (mark.end >= segment.end) copy.signed_whole.insert(segment.index.value());
    if (mark.end > segment.end) {
      less = Error(Code::Corrupt, "it shows " + std::to_string(segment.end) + " bytes of segment " +
                                      std::to_string(segment.index.value()) + " and had vouched for " +
                                      std::to_string(mark.end));
    }
  }
  return less;
}

Result<JournalReader::Closed> JournalReader::fetch(const format::SignedEntry& entry) {
  const format::ObjectName& name = entry.entry.object;
  auto object = closed_->read_whole(name, format::kMaxObjectBytes, [&](ByteView bytes) -> Status {
    if (format::name_of(bytes) == name) return {};
    return Error(Code::Corrupt, "its copy is damaged: the bytes have another name");
  });
  if (object.ok()) return Closed{entry.entry.index, object.take()};
  if (auto open = fetch_open(entry)) return Closed{entry.entry.index, std::move(*open)};
  const bool is_away = object.error().code() == Code::Unavailable;
  return Error(is_away ? Code::Unavailable : Code::Corrupt,
               noun(entry.entry.index) + " cannot be had whole from any vault: " + object.error().message())
      .hint("bring back another vault that held it; or restore from a younger base, or to a place before it");
}

std::optional<Bytes> JournalReader::fetch_open(const format::SignedEntry& entry) {
  const format::SegmentPlace place{stream_.descriptor.id(), entry.entry.index};
  for (const Copy& copy : copies_) {
    const auto held = copy.open.find(place.index.value());
    if (held == copy.open.end() || held->second < format::kSegmentFrontBytes) continue;
    JournalEnd alone;
    auto shown = ask_for(*vaults_[copy.vault], place, held->second, false, alone);
    if (!shown.has_value()) continue;
    const auto front = format::decode_segment_front(shown->bytes);
    if (!front.ok()) continue;
    shown->bytes.resize(std::max(shown->bytes.size(), format::object_bytes(front.value().header.size_class)));
    if (format::name_of(shown->bytes) == entry.entry.object) return std::move(shown->bytes);
  }
  return std::nullopt;
}

Status JournalReader::open_closed(const Closed& closed, JournalEnd& end, const Visitor& visit) const {
  const format::SegmentFront front =
      TRY(format::decode_segment_front(closed.object).in([&] { return noun(closed.index); }));
  if (!end.has_begun && is_before_released(front.header.key)) {
    ++end.passed_over;
    return {};
  }
  const format::OpeningKey* const key = TRY(key_for(front.header.key));
  const auto frame = [&](const format::SegmentOpener::Frame& opened) -> Status {
    end.has_begun = true;
    end.frames = opened.number.value() + 1;
    return visit({opened.number, closed.index, opened.content});
  };
  std::optional<format::FrameNumber> first;
  if (end.has_begun || end.passed_over == 0) first = format::FrameNumber(end.frames);
  return format::open_segment(*key, realm_, {stream_.descriptor.id(), closed.index}, closed.object, first, frame);
}

Result<std::optional<format::EntryIndex>> JournalReader::read_closed(const std::vector<format::SignedEntry>& entries,
                                                                     std::uint64_t first, JournalEnd& end,
                                                                     const Visitor& visit) {
  std::optional<format::EntryIndex> lost;
  using Pipeline = env::OrderedPipeline<const format::SignedEntry*, Closed>;
  Pipeline pipeline(
      world_.threads, kFetchers, kMostFetched,
      [this](const format::SignedEntry* entry, std::size_t) -> Result<Closed> {
        auto fetched = fetch(*entry);
        if (fetched.ok()) return fetched;
        return Closed{entry->entry.index, {}, fetched.take_error()};
      },
      [&](Closed closed) -> Status {
        if (!closed.lost.has_value()) return open_closed(closed, end, visit);
        end.lost = closed.lost;
        lost = closed.index;
        return *closed.lost;  // ends the fetching of what follows
      });
  Status done;
  for (std::uint64_t index = first; index < entries.size() && done.ok(); ++index)
    done = pipeline.submit(&entries[index]);
  const Status finished = pipeline.finish();
  if (lost.has_value()) return lost;
  TRY(done);
  TRY(finished);
  return lost;
}

Result<std::optional<Bearing>> JournalReader::told_by(format::EntryIndex index, ByteView beginning,
                                                      const Locator& locate) const {
  const format::SegmentFront front = TRY(format::decode_segment_front(beginning));
  if (is_before_released(front.header.key)) return std::optional(Bearing::AtOrBefore);
  const format::OpeningKey* const key = TRY(key_for(front.header.key));
  auto opener = TRY(format::SegmentOpener::open(*key, realm_, {stream_.descriptor.id(), index}, beginning));
  for (std::uint64_t at = format::kSegmentFrontBytes; at < beginning.size();) {
    const auto frame = opener.open_frame(at, beginning.subspan(static_cast<std::size_t>(at)));
    if (!frame.ok() || !frame.value().has_value()) break;
    const auto told = TRY(locate(frame.value()->content));
    if (told.has_value()) return told;
    at += frame.value()->bytes;
  }
  return std::optional<Bearing>();
}

// Mostly the first frame tells. It is authenticated at its place, so its beginning is enough, without the object's name.
Result<std::optional<Bearing>> JournalReader::bearing_of(const format::SignedEntry& entry, const Locator& locate) {
  const format::EntryIndex index = entry.entry.index;
  Bytes beginning(format::object_bytes(format::kSizeClasses.front()));
  std::optional<Bearing> told;
  const Status got = closed_->read_checked(entry.entry.object, 0, beginning, [&](ByteView bytes) -> Status {
    // Of an earlier period it cannot be opened: only the object's name vouches for what its front says.
    const format::SegmentFront front = TRY(format::decode_segment_front(bytes));
    if (!is_before_released(front.header.key)) told = TRY(told_by(index, bytes, locate));
    return {};
  });
  if (got.ok() && !told.has_value()) {
    const auto whole = fetch(entry);
    if (whole.ok()) told = TRY(told_by(index, whole.value().object, locate));
  }
  return told;
}

Result<std::optional<std::uint64_t>> JournalReader::seek(const std::vector<format::SignedEntry>& entries,
                                                         const Locator& locate) {
  if (entries.empty()) return std::optional(std::uint64_t{0});
  // The journal's first frame tells most: whose it is.
  const auto first = TRY(bearing_of(entries.front(), locate));
  if (first == Bearing::Elsewhere) return std::optional<std::uint64_t>();
  // Segments before `from` begin at or before the place; those from `to` on behind it, or nothing tells.
  std::uint64_t from = first == Bearing::AtOrBefore ? 1 : 0;
  std::uint64_t to = entries.size();
  while (from < to) {
    const std::uint64_t middle = from + (to - from) / 2;
    std::uint64_t at = middle;
    auto bearing = TRY(bearing_of(entries[at], locate));
    // One that is lost lies before what its neighbour lies before.
    while (!bearing.has_value() && at + 1 < std::min(to, middle + kNeighbours))
      bearing = TRY(bearing_of(entries[++at], locate));
    if (bearing == Bearing::Elsewhere) return std::optional<std::uint64_t>();
    if (bearing == Bearing::AtOrBefore) {
      from = at + 1;
    } else {
      to = middle;
    }
  }
  return std::optional(from == 0 ? 0 : from - 1);
}

void JournalReader::note_incidents(const std::vector<format::SignedEntry>& entries, JournalEnd& end) const {
  std::map<format::ObjectName, format::EntryIndex> indices;
  for (const format::SignedEntry& entry : entries) indices.emplace(entry.entry.object, entry.entry.index);
  for (const spread::ReadIncident& incident : closed_->incidents()) {
    const format::EntryIndex index = indices.at(incident.object);
    const auto copy = std::find_if(copies_.begin(), copies_.end(),
                                   [&](const Copy& each) { return vaults_[each.vault]->name() == incident.vault; });
    // One that is behind the others never said that it holds it.
    const bool promised = copy != copies_.end() && copy->entries.size() > index.value();
    if (!promised && incident.error.code() == Code::NotFound) continue;
    if (incident.error.code() == Code::Unavailable) continue;  // of its line, which says nothing about what it holds
    std::string problem = incident.vault + " does not give " + noun(index) + ": " + incident.error.message();
    if (std::count(end.problems.begin(), end.problems.end(), problem) == 0) end.problems.push_back(std::move(problem));
  }
}

std::optional<JournalReader::Shown> JournalReader::ask_for(store::VaultApi& vault, const format::SegmentPlace& place,
                                                           std::uint64_t bytes, bool is_signed_whole,
                                                           JournalEnd& end) const {
  Shown shown{&vault, {}, is_signed_whole};
  if (bytes > format::kMaxObjectBytes) {
    shown.wrong = Error(Code::Corrupt, "is larger than any segment");
  } else {
    shown.bytes.resize(static_cast<std::size_t>(bytes));
    Status got = vault.read_frames(place.stream, place.index, 0, shown.bytes);
    if (!got.ok() && got.error().code() == Code::NotFound) got = read_of_closed(vault, place, shown.bytes);
    if (got.ok()) return shown;
    shown.wrong = got.error();
  }
  tell_wrong(place, shown, 0, end);
  return std::nullopt;
}

void JournalReader::tell_wrong(const format::SegmentPlace& place, const Shown& shown, std::uint64_t used,
                               JournalEnd& end) const {
  if (!shown.wrong.has_value()) return;
  end.problems.push_back(shown.vault->name() + ": " + format::to_string(place) + ": " + shown.wrong->message());
  // What it showed and does not give may be what was acknowledged last, unless its writer signed for all of it: then `marked`
  // tells whether somebody shows it (I4).
  const bool is_read_to_its_end = !shown.bytes.empty() && used >= shown.bytes.size();
  if (!is_read_to_its_end && !shown.is_signed_whole) end.unreachable.push_back({shown.vault->name(), *shown.wrong});
}

Result<std::optional<format::SegmentOpener>> JournalReader::open_front(const format::SegmentPlace& place,
                                                                       std::vector<Shown>& shown,
                                                                       JournalEnd& end) const {
  std::optional<format::SegmentOpener> opener;
  const Shown* by = nullptr;
  std::vector<Shown*> earlier;
  std::optional<Error> denied;
  std::uint32_t denials = 0;
  const auto front_of = [](const Shown& one) { return ByteView(one.bytes).first(format::kSegmentFrontBytes); };
  for (Shown& one : shown) {
    if (by != nullptr && equal(front_of(one), front_of(*by))) continue;
    const auto front = format::decode_segment_front(one.bytes);
    if (!front.ok()) {
      one.wrong = front.error();
      continue;
    }
    if (!end.has_begun && is_before_released(front.value().header.key)) {
      earlier.push_back(&one);
      continue;
    }
    const auto key = key_for(front.value().header.key);
    if (!key.ok()) {
      denied = one.wrong = key.error();
      ++denials;
      continue;
    }
    auto opened = format::SegmentOpener::open(*key.value(), realm_, place, one.bytes);
    if (!opened.ok()) {
      one.wrong = opened.error();
      continue;
    }
    if (opener.has_value()) return two_ways(place, *by->vault, *one.vault);
    opener = opened.take();
    by = &one;
  }
  if (opener.has_value()) {
    for (Shown* one : earlier) one->wrong = Error(Code::Corrupt, "its front names a period that it is not of");
    return opener;
  }
  if (denials > world_.quorum.b) return *denied;
  if (!earlier.empty()) ++end.passed_over;
  for (const Shown& one : shown) tell_wrong(place, one, 0, end);
  return opener;
}

Result<std::optional<JournalReader::Found>> JournalReader::find_frame(const format::SegmentPlace& place,
                                                                      format::SegmentOpener& opener, std::uint64_t at,
                                                                      std::vector<Shown>& shown) const {
  std::optional<Found> found;
  for (Shown& one : shown) {
    if (at >= one.bytes.size()) continue;
    const ByteView rest = ByteView(one.bytes).subspan(static_cast<std::size_t>(at));
    const bool is_same = found.has_value() && rest.size() >= found->sealed.size() &&
                         equal(rest.first(found->sealed.size()), found->sealed);
    if (is_same) continue;
    auto frame = opener.open_frame(at, rest);
    if (!frame.ok() || !frame.value().has_value()) {
      const Error why = frame.ok() ? Error(Code::Corrupt, "its frames end before it does") : frame.error();
      if (!one.wrong.has_value()) one.wrong = why;
      continue;
    }
    if (found.has_value()) return two_ways(place, *found->vault, *one.vault);
    const std::size_t bytes = frame.value()->bytes;
    found = Found{std::move(*frame.value()), rest.first(bytes), one.vault};
  }
  return found;
}

Result<std::optional<Bytes>> JournalReader::assemble(const format::SegmentPlace& place, std::vector<Shown> shown,
                                                     JournalEnd& end, const Visitor& visit) const {
  auto opener = TRY(open_front(place, shown, end));
  if (!opener.has_value()) return std::optional<Bytes>();
  const auto opened = std::find_if(shown.begin(), shown.end(), [](const Shown& one) { return !one.wrong.has_value(); });
  Bytes whole = to_bytes(ByteView(opened->bytes).first(format::kSegmentFrontBytes));
  while (true) {
    const auto found = TRY(find_frame(place, *opener, whole.size(), shown));
    if (!found.has_value()) break;
    const std::uint64_t number = found->frame.number.value();
    const bool may_be_any = !end.has_begun && end.passed_over > 0;
    if (!may_be_any && number != end.frames) {
      end.problems.push_back(found->vault->name() + ": " + format::to_string(place) + ": frame " +
                             std::to_string(number) + " is here, and frame " + std::to_string(end.frames) +
                             " is nowhere");
      end.marked = std::max(end.marked, number + 1);  // sealed by the writer: as good as its word for those before it
      break;
    }
    append(whole, found->sealed);
    end.has_begun = true;
    end.frames = number + 1;
    TRY(visit({found->frame.number, place.index, found->frame.content}));
  }
  for (const Shown& one : shown) tell_wrong(place, one, whole.size(), end);
  return std::optional(std::move(whole));
}

Status JournalReader::read_open(format::EntryIndex index, JournalEnd& end, bool& is_there, const Visitor& visit) {
  const format::SegmentPlace place{stream_.descriptor.id(), index};
  std::vector<Shown> shown;
  for (const Copy& copy : copies_) {
    const auto held = copy.open.find(index.value());
    if (held == copy.open.end() || held->second < format::kSegmentFrontBytes) continue;
    const bool has_frames = held->second > format::kSegmentFrontBytes;
    const bool is_signed_whole = !has_frames || copy.signed_whole.contains(index.value());
    auto one = ask_for(*vaults_[copy.vault], place, held->second, is_signed_whole, end);
    if (one.has_value()) shown.push_back(std::move(*one));
  }
  const auto read = TRY(assemble(place, std::move(shown), end, visit));
  is_there = read.has_value();
  if (is_there && read->size() > format::kSegmentFrontBytes) end.has_open_tail = true;
  return {};
}

// A vault that lags shows a segment open that others have closed, and the object begins with what it has. If not, somebody with
// the writer's key closed it with less, or with others (ADR-0033).
Status JournalReader::compare_with_closed(const std::vector<format::SignedEntry>& entries, std::uint64_t first,
                                          JournalEnd& end) {
  for (const Copy& copy : copies_) {
    for (const auto& [index, bytes] : copy.open) {
      // An honest vault has no others open.
      const std::uint64_t own = copy.entries.size();
      const bool is_next = own <= index && index < own + store::kMostOpenSegments;
      if (!is_next || index < first || index >= entries.size() || bytes <= format::kSegmentFrontBytes) continue;
      store::VaultApi& vault = *vaults_[copy.vault];
      JournalEnd alone;  // as if nothing had been read: its first frame may have any number
      alone.passed_over = 1;
      const format::SegmentPlace place{stream_.descriptor.id(), format::EntryIndex(index)};
      std::vector<Shown> shown;
      auto one = ask_for(vault, place, bytes, false, alone);
      if (one.has_value()) shown.push_back(std::move(*one));
      const auto open = assemble(place, std::move(shown), alone, [](const JournalFrame&) { return Status(); });
      end.unreachable.insert(end.unreachable.end(), alone.unreachable.begin(), alone.unreachable.end());
      if (!open.ok() || !open.value().has_value()) continue;  // it gives nothing that is authentic
      const auto closed = fetch(entries[index]);
      if (!closed.ok()) {  // it was read a moment ago
        end.problems.push_back(closed.error().message());
        continue;
      }
      const Bytes& object = closed.value().object;
      const std::size_t size = open.value()->size();
      const bool is_same = size <= object.size() && equal(*open.value(), ByteView(object).first(size));
      if (is_same) continue;
      return Error(Code::Conflict, noun(format::EntryIndex(index)) +
                                       " is closed at other vaults without frames that vault " + vault.name() +
                                       " has confirmed: its writer, or whoever has its key, went two ways")
          .hint("choose one of the two by hand: leave the others out of the site's policy; nothing was written");
    }
  }
  return {};
}

Result<JournalEnd> JournalReader::read(const Visitor& visit, const Locator& locate) {
  JournalEnd end;
  copies_ = TRY(look(end));
  std::vector<store::VaultApi*> answering;
  for (const Copy& copy : copies_) answering.push_back(vaults_[copy.vault]);
  closed_ = std::make_unique<spread::CopiesReader>(world_.threads, world_.clock, std::move(answering));
  const Copy* longest = &copies_.front();
  for (const Copy& copy : copies_) {
    if (copy.entries.size() > longest->entries.size()) longest = &copy;
  }
  for (const Copy& copy : copies_) {
    if (copy.entries.empty()) continue;
    const std::size_t last = copy.entries.size() - 1;
    if (copy.entries[last].entry.chain == longest->entries[last].entry.chain) continue;
    return Error(Code::Conflict, "stream " + stream_.descriptor.id().hex() + ": vaults " + vaults_[copy.vault]->name() +
                                     " and " + vaults_[longest->vault]->name() +
                                     " hold different entries that its writer signed");
  }
  const std::vector<format::SignedEntry>& entries = longest->entries;
  end.closed = entries.size();
  std::uint64_t first = 0;
  if (locate) {
    const auto sought = TRY(seek(entries, locate));
    end.is_elsewhere = !sought.has_value();
    first = sought.value_or(entries.size());
    end.passed_over = first;
  }
  if (end.is_elsewhere) {
    note_incidents(entries, end);
    return end;
  }
  const auto read = read_closed(entries, first, end, visit);
  note_incidents(entries, end);
  bool is_there = true;
  if (const auto lost = TRY(read)) {
    // Vaults that have it open still hold frames of it, and they were acknowledged.
    TRY(read_open(*lost, end, is_there, visit));
    return end;
  }
  TRY(compare_with_closed(entries, first, end));
  // Of the two that may be open, the first may be missing: its hole shows in the numbers.
  for (std::uint64_t index = end.closed; is_there || index < end.closed + store::kMostOpenSegments; ++index) {
    TRY(read_open(format::EntryIndex(index), end, is_there, visit));
  }
  return end;
}

}  // namespace exclave::engine
