// JournalReader: all frames of one journal stream, in order, out of whatever vaults are left.
// Hides: entries and chains, which vault gave which bytes, keys per period, where a closed segment ends and an open one
// begins, which segments are not worth their way.
//
//   entries of every vault -> the longest genuine chain -> closed segments s..n-1, several at once from all vaults, by name;
//                                                          opened and visited in order
//                                                          (or, where they have one open still, from that)
//   open segments n, n+1 of every vault -> frame by frame, from whichever has it right -> up to the last authentic one
//
//   s   0; or, for whom the journal is of use from one place on, the last segment that begins at or before that place:
//       found by halving, with the beginnings of the first segment and of about log2(n) others
//
// I1  Every content was authenticated under a released key, at its place, with the number that follows its predecessor's.
// I2  Two vaults that hold different authentic frames under one number, or different genuine entries under one index,
//     prove that the writer (or a clone of it, or who has its key) went two ways: Conflict, an alarm; the operator chooses. So
//     does a segment that is closed at one vault without frames that another one has.
// I5  Segments of periods before the oldest that was released, and those before s, are passed over: whoever restores needs
//     the log from its base backup on. One of a later period is Denied: it would be missed at the end; more vaults than may lie
//     show it, or one that has closed it. For a segment that
//     cannot be had, or does not tell where it lies, those that follow it tell; it moves s back, never forward.
//     What a vault shows is one moment's: a segment that its writer closes meanwhile is read as the object that it became.
// I3  What ends early because a vault is gone, or a closed segment cannot be had, is not an error: the end says what was read and
//     why no more.
// I4  A vault that gives wrong bytes is named in `problems` and passed over; of an open segment, for the frames that it has not
//     right. One that shows a mark of its writer's (format/mark.h) beyond what it holds has lost what it confirmed, and one
//     whose part of an open segment cannot be read to its end, and that no mark vouches for, may have: both are named in
//     `unreachable`, for their ends say nothing.
// Threads: one at a time; vaults are asked at once, and visits come one after the other, from threads of its own. Memory: kMostFetched segments, and an
//   open one for each vault; 16 MiB each at most.
// Errors: Conflict (I2), Denied (a period's key is missing), Corrupt (a segment that bears its name is malformed),
//   Unavailable (no vault answers), and those of the visitor.
// Source: docs/formats/journal.md.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "env/env.h"
#include "format/journal.h"
#include "policy/policy.h"
#include "spread/copies_reader.h"
#include "store/vault_api.h"

namespace exclave::engine {

namespace detail {
class Patience;
}

struct JournalFrame {
  format::FrameNumber number;
  format::EntryIndex segment;
  ByteView content;  // good during the visit
};

// A vault whose word about the end is missing, or worth nothing (I4).
struct NoAnswer {
  std::string vault;
  Error why;
};

struct JournalEnd {
  std::uint64_t frames = 0;       // frames 0..frames-1 were visited, or passed over
  std::uint64_t closed = 0;       // segments 0..closed-1 have an entry
  std::uint64_t passed_over = 0;  // segments at the front (I5)
  bool is_elsewhere = false;      // none of it is of use: it was not read
  bool has_begun = false;         // at least one frame was read
  // A closed segment that no vault gives right: of it, what vaults have that hold it open was visited; nothing behind it.
  std::optional<Error> lost;
  bool has_open_tail = false;         // frames of an open segment follow the closed ones
  std::uint64_t marked = 0;           // frames that the writer signed for in open segments, or that a later one proves
  std::vector<std::string> problems;  // damage, lies, a hole behind which frames stand
  std::vector<NoAnswer> unreachable;
};

// Where a frame lies, for whom a journal is of use from one place on. Frames of one journal lie in their order.
enum class Bearing { AtOrBefore, Behind, Elsewhere };

class JournalReader {
 public:
  static constexpr std::size_t kMostFetched = 5;  // segments on their way or waiting for their turn

  // The part of the world it uses; outlives it.
  struct World {
    env::Clock& clock;
    env::Threads& threads;
    policy::Quorum quorum;  // how many may lie, and how many need not wait for a slower one (detail/patience.h)
    std::size_t vaults;     // of the policy
  };
  // `stream` is the registry's own: signed by a writer whom the policy pins, or pinned (SnapshotFinder). Vaults outlive
  // the reader, seen as a site. Precondition: at least one.
  JournalReader(const World& world, const format::RealmId& realm, const format::SignedStream& stream,
                std::vector<store::VaultApi*> vaults, std::vector<format::OpeningKey> keys);

  using Visitor = std::function<Status(const JournalFrame&)>;
  // nullopt: this frame does not tell. Asked with some frames of some closed segments, in any order.
  using Locator = std::function<Result<std::optional<Bearing>>(ByteView content)>;
  // From the front, or, with `locate`, from s on.
  Result<JournalEnd> read(const Visitor& visit, const Locator& locate = {});

 private:
  struct Copy {  // what one vault says it holds
    std::size_t vault = 0;
    std::vector<format::SignedEntry> entries;     // genuine, from 0, without a hole
    std::map<std::uint64_t, std::uint64_t> open;  // ends by index
    std::set<std::uint64_t> signed_whole;         // of those: the writer signed for all that this vault says it holds
  };
  struct Shown;  // and what it gives of an open segment
  // Why the open segments that a vault shows are not all that it confirmed; nullopt: nothing tells so.
  std::optional<Error> look_at_open(const std::vector<store::OpenSegment>& open, Copy& copy, JournalEnd& end) const;
  Result<std::vector<Copy>> look(JournalEnd& end) const;
  // What it adds to `end` is about this vault alone. nullopt: it does not answer.
  std::optional<Copy> look_at(std::size_t at, detail::Patience& patience, JournalEnd& end) const;
  struct Closed;  // a segment as it was fetched
  // Where the closed segments begin that are of use; nullopt: none of the journal is.
  Result<std::optional<std::uint64_t>> seek(const std::vector<format::SignedEntry>& entries, const Locator& locate);
  // What the first frame that tells says, of those that stand whole in the segment's beginning.
  Result<std::optional<Bearing>> told_by(format::EntryIndex index, ByteView beginning, const Locator& locate) const;
  // nullopt if it cannot be had, or does not tell.
  Result<std::optional<Bearing>> bearing_of(const format::SignedEntry& entry, const Locator& locate);
  // Several at once.
  // The one that is lost; nothing behind it was visited.
  Result<std::optional<format::EntryIndex>> read_closed(const std::vector<format::SignedEntry>& entries,
                                                        std::uint64_t first, JournalEnd& end, const Visitor& visit);
  Result<Closed> fetch(const format::SignedEntry& entry);
  // A vault that has it open still, with all its frames: zeros behind them make it the object.
  std::optional<Bytes> fetch_open(const format::SignedEntry& entry);
  Status open_closed(const Closed& closed, JournalEnd& end, const Visitor& visit) const;
  // What was gone round while closed segments were fetched.
  void note_incidents(const std::vector<format::SignedEntry>& entries, JournalEnd& end) const;
  // I2. From segment `first` on.
  Status compare_with_closed(const std::vector<format::SignedEntry>& entries, std::uint64_t first, JournalEnd& end);
  // nullopt: nothing, and `end` says why.
  std::optional<Shown> ask_for(store::VaultApi& vault, const format::SegmentPlace& place, std::uint64_t bytes,
                               bool is_signed_whole, JournalEnd& end) const;
  // What `wrong` is of a vault whose frames were used up to `used`.
  void tell_wrong(const format::SegmentPlace& place, const Shown& shown, std::uint64_t used, JournalEnd& end) const;
  // nullopt: no front can be opened.
  Result<std::optional<format::SegmentOpener>> open_front(const format::SegmentPlace& place, std::vector<Shown>& shown,
                                                          JournalEnd& end) const;
  struct Found;  // a frame
  Result<std::optional<Found>> find_frame(const format::SegmentPlace& place, format::SegmentOpener& opener,
                                          std::uint64_t at, std::vector<Shown>& shown) const;
  // Visits the frames; returns the authentic part of the segment. nullopt: there is none.
  Result<std::optional<Bytes>> assemble(const format::SegmentPlace& place, std::vector<Shown> shown, JournalEnd& end,
                                        const Visitor& visit) const;
  Status read_open(format::EntryIndex index, JournalEnd& end, bool& is_there, const Visitor& visit);
  std::string noun(format::EntryIndex index) const;
  Result<const format::OpeningKey*> key_for(const format::KeyId& id) const;
  bool is_before_released(const format::KeyId& id) const;

  const World world_;
  const format::RealmId realm_;
  const format::SignedStream stream_;
  const std::vector<store::VaultApi*> vaults_;
  const std::vector<format::OpeningKey> keys_;
  std::vector<Copy> copies_;                      // of the vaults that answered
  std::unique_ptr<spread::CopiesReader> closed_;  // the objects of closed segments, at the vaults that answered
};

}  // namespace exclave::engine
