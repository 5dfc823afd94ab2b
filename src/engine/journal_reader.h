// JournalReader: all frames of one journal stream, in order, out of whatever vaults are left.
// Hides: entries and chains, which vault gave which bytes, keys per period, where a closed segment ends and an open one
// begins.
//
//   entries of every vault -> the longest genuine chain -> closed segments 0..n-1, each from any vault, by name
//   open segments n, n+1 of every vault -> each one's authentic prefix -> the longest one
//
// I1  Every plaintext was authenticated under a released key, at its place, with the number that follows its predecessor's.
// I2  Two vaults that hold different authentic frames under one number, or different genuine entries under one index,
//     prove that the writer (or a clone of it) went two ways: Conflict, an alarm; the operator chooses.
// I5  Segments of periods before the oldest that was released are passed over as long as nothing was read: whoever
//     restores needs the log from its base backup on. One of a later period is Denied: it would be missed at the end.
// I3  What ends early because a vault is gone is not an error: the end says what was read and why no more.
// I4  A vault that gives wrong bytes is named in `problems` and passed over. One that shows a mark of its writer's
//     (format/mark.h) beyond what it holds has lost what it confirmed: it is named in `unreachable`, for its end says
//     nothing.
// Threads: one at a time. Memory: one segment for each vault, 16 MiB at most.
// Errors: Conflict (I2), Denied (a period's key is missing), Corrupt (no vault gives a closed segment's bytes right),
//   Unavailable (no vault answers), and those of the visitor.
// Source: docs/formats/journal.md.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/journal.h"
#include "store/vault_api.h"

namespace exclave::engine {

struct JournalFrame {
  format::FrameNumber number;
  format::EntryIndex segment;
  ByteView plain;  // good during the visit
};

struct JournalEnd {
  std::uint64_t frames = 0;       // frames 0..frames-1 were visited (or passed over, before `from`)
  std::uint64_t closed = 0;       // segments 0..closed-1 have an entry
  std::uint64_t passed_over = 0;  // segments at the front (I5)
  bool has_begun = false;         // at least one frame was read
  bool has_open_tail = false;     // frames of an open segment follow the closed ones
  std::uint64_t marked = 0;       // frames that the writer signed for in open segments, as any vault shows
  // How many frames each vault that answered holds, closed ones by its entries: the k-th highest is what k vaults confirm.
  std::map<std::string, std::uint64_t> frames_by_vault;
  std::vector<std::string> problems;     // damage, lies, a hole behind which frames stand
  std::vector<std::string> unreachable;  // "lux: connection refused"
};

class JournalReader {
 public:
  // `stream` is the registry's own: signed by a writer whom the policy pins, or pinned (SnapshotFinder). Vaults outlive
  // the reader, seen as a site.
  JournalReader(const format::RealmId& realm, const format::SignedStream& stream, std::vector<store::VaultApi*> vaults,
                std::vector<format::OpeningKey> keys);

  using Visitor = std::function<Status(const JournalFrame&)>;
  // Frames from `from` on; those before it are passed over. Whole closed segments before it are not even read, if their
  // frames are known from an earlier read of this reader.
  Result<JournalEnd> read(format::FrameNumber from, const Visitor& visit);

 private:
  struct Copy;    // what one vault says it holds
  struct Prefix;  // and what of an open segment is authentic
  // Why the open segments that a vault shows are not all that it confirmed; nullopt: nothing tells so.
  std::optional<Error> look_at_open(const std::vector<store::OpenSegment>& open, Copy& copy, JournalEnd& end) const;
  Result<std::vector<Copy>> look(JournalEnd& end) const;
  Status read_closed(const std::vector<Copy>& copies, format::EntryIndex index, const format::ObjectName& name,
                     JournalEnd& end, format::FrameNumber from, const Visitor& visit);
  // nullopt: nothing of it can be used, and `end` says why.
  Result<std::optional<Prefix>> read_prefix(store::VaultApi& vault, const format::SegmentPlace& place,
                                            std::uint64_t bytes, JournalEnd& end) const;
  Status read_open(const std::vector<Copy>& copies, format::EntryIndex index, JournalEnd& end, bool& is_there,
                   format::FrameNumber from, const Visitor& visit);
  Result<const format::OpeningKey*> key_for(const format::KeyId& id) const;
  bool is_before_released(const format::KeyId& id) const;

  const format::RealmId realm_;
  const format::SignedStream stream_;
  const std::vector<store::VaultApi*> vaults_;
  const std::vector<format::OpeningKey> keys_;
  std::map<std::uint64_t, std::uint64_t> frames_end_;  // by closed segment, from earlier reads
};

}  // namespace exclave::engine
