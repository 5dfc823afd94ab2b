// Segment files: a vault's open journal segments on its disk. What is appended survives power loss when the call
// returns; nothing here knows who may do what (journals.h).
// Hides: preallocation, syncing, finding the end again, and how a closed segment becomes an object without being copied.
//
//   create -> zeros of the whole class, synced -> append mark append ... -> adopt (hash; second name in the store) -> close
//   JOURNAL/<stream>/<index>        one open segment
//   JOURNAL/aside/<stream>-<index>-damaged   a segment that its disk spoiled, as it was first found (I4, I5, or at its end)
//
//   | front | frame | frame | torn? zeros ...          end = behind the last whole frame
//
// Units/limits: bytes. A segment's row is in the table before its file is made (Deposits charges it).
// I1  Bytes below a segment's end are durable, and never change.
// I2  After a failed write a segment takes no more frames and is not adopted: the disk may have other bytes than memory,
//     and whoever reads gets memory's. The next opening writes the last call's bytes anew before it relies on them.
// I3  Once a segment's file has an object's name, it is not written to again.
// I4  At opening, what is behind the last whole frame is zeroed. If the segment's mark stands further on, or whole frames
//     follow a bad one there, it is more than a frame that the power tore: the segment's bytes are set aside first, and it
//     is said to be damaged until it is closed. A last frame behind the mark that its disk spoiled cannot be told from one
//     that was torn. Files without a row were closed just before a crash, and are treated as close() would; rows without
//     a file are empty segments.
// I5  What was marked was read back from the disk. Where that gives other bytes than the writer signed for, they are set
//     aside before the writer hears of it, and the segment is said to be damaged until it is closed, over restarts; it
//     takes no more frames, as after I2. So too where it gives none, twice: what fails once and is right then is whole.
// I6  A segment is closed with an object that begins with what was confirmed here: its writer, or whoever has its key, takes
//     nothing away. Unless the disk gives other bytes than came in, or none (no whole frames up to its end, or not what was
//     marked): then what lay here is set aside. Where no mark has come, a front that the disk spoiled, which has no checksum,
//     keeps the segment open.
// Threads: from any thread; one segment's calls take turns, those of several do not wait for each other.
// Errors: NotFound (not open), Conflict (other bytes; being closed), Precondition (beyond the end; I2: it takes the whole
//   object), Unavailable, Exhausted, Corrupt (disk).
// See: format/journal.h, format/mark.h, ADR-0024, ADR-0029.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "env/env.h"
#include "store/object_store.h"
#include "store/vault_api.h"
#include "vault/detail/gate.h"
#include "vault/records.h"

namespace exclave::vault {

class SegmentFiles {
 public:
  struct Parts {
    env::FileSystem& files;
    env::Log& log;
    env::Threads& threads;
    Records& records;
    store::ObjectStore& objects;
    std::uint64_t reserve_bytes = 0;  // that stay free on the file system
  };
  // I4. `directory` is made if it is missing. Parts outlive it.
  static Result<std::unique_ptr<SegmentFiles>> open(const Parts& parts, std::string directory);

  // Room on the disk for a segment of this class: Exhausted if there is none.
  Status check_room(std::uint8_t size_class) const;
  // Knows the segment from now on; its row is in the table. Nothing to do if it is known already. Whoever makes rows and
  // closes segments does it by turns.
  void add(const format::SegmentPlace& place, const SegmentRow& row);
  std::optional<SegmentRow> row(const format::SegmentPlace& place) const;
  // nullopt: not open here.
  std::optional<store::OpenSegment> segment(const format::SegmentPlace& place) const;
  // By place.
  std::vector<store::OpenSegment> list() const;

  // `bytes`: whole frames, with the front before them at offset 0; see VaultApi::append_frames. The end. DURABLE.
  Result<std::uint64_t> append(const format::SegmentPlace& place, std::uint64_t offset, ByteView bytes);
  // See VaultApi::put_mark; the signature was checked. DURABLE.
  Status put_mark(const format::SignedMark& mark);
  Status read(const format::SegmentPlace& place, std::uint64_t offset, MutableByteView out);
  // Gives the segment the object's name in the store, if it bears it: DURABLE; the segment takes no more frames then.
  // nullopt: it does not, or cannot be relied upon. `publish` calls its argument, which tries to give the name.
  using Attempt = std::function<Result<store::PutOutcome>(store::IfPresent)>;
  Result<std::optional<SegmentRow>> adopt(const format::SegmentPlace& place, const format::ObjectName& name,
                                          const std::function<Status(const Attempt&)>& publish);
  // `commit` makes the entry durable, whose object is in the store, and takes the segment's row away: meanwhile no frame
  // and no mark comes in. Conflict, and nothing is committed: I6. Afterwards the file goes, or is set aside if its disk has
  // spoiled it; what fails of that goes into the log, and costs room alone. Nothing of that if the segment is not open.
  Result<HeadRow> close(const format::SegmentPlace& place, const format::ObjectName& name,
                        const std::function<Result<HeadRow>()>& commit);

 private:
  struct Segment;
  SegmentFiles(const Parts& parts, std::string directory) : parts_(parts), directory_(std::move(directory)) {}

  std::string folder_of(const format::SegmentPlace& place) const;
  std::string file_of(const format::SegmentPlace& place) const;
  // Owned by the map, and by whoever is at work on it.
  std::shared_ptr<Segment> find(const format::SegmentPlace& place) const;
  Status create_file(const format::SegmentPlace& place, const Segment& segment);
  Status open_file(const format::SegmentPlace& place, Segment& segment);
  // What stands in the file; the end and the last frame's number go into `segment`.
  Result<Bytes> look(const format::SegmentPlace& place, Segment& segment);
  Status recover(const format::SegmentPlace& place, Segment& segment);
  // What stands behind the end: damage is set aside, and said. `bytes`: the whole file.
  Status judge_tail(const format::SegmentPlace& place, Segment& segment, const std::optional<format::SignedMark>& mark,
                    ByteView bytes);
  // Takes to the disk what was found in the file, with zeros behind the end.
  Status settle(const format::SegmentPlace& place, Segment& segment, Bytes bytes);
  // DURABLE. Nothing to do if it was found damaged before.
  Status keep_damaged(const format::SegmentPlace& place, ByteView bytes);
  // What `read` makes of the segment's file. A disk that fails once is asked again: what it gives is checked. If it cannot be
  // read then either, the segment is damaged, now and at later starts, until it is closed (I5).
  template <typename Read>
  auto read_back(const format::SegmentPlace& place, Segment& segment, const Read& read) -> decltype(read());
  // I5. What the writer hears.
  Error distrust(const format::SegmentPlace& place, Segment& segment);
  std::string aside_file_of(const format::SegmentPlace& place, std::string_view suffix) const;
  std::string damaged_file_of(const format::SegmentPlace& place) const;
  store::OpenSegment shown(const format::SegmentPlace& place, const Segment& segment) const REQUIRES(mutex_);
  // The hash of the segment's first bytes up to its end, read from the disk as far as it has not been.
  Result<crypto::Hash256> hash_of(const format::SegmentPlace& place, Segment& segment);
  // Gives `take` what the disk has between the two offsets, piece by piece.
  Status read_pieces(const format::SegmentPlace& place, std::uint64_t begin, std::uint64_t end,
                     const std::function<void(ByteView)>& take);
  Status remove_strays();
  Status remove_strays_in(const std::string& folder, const format::StreamId& stream);
  Status compare(const format::SegmentPlace& place, std::uint64_t offset, ByteView bytes);
  // Takes `bytes`, all behind the end, to the disk.
  Result<std::uint64_t> write(const format::SegmentPlace& place, Segment& segment, ByteView bytes);
  Result<bool> is_prefix_of(const format::SegmentPlace& place, const Segment& segment, const format::ObjectName& name);
  // Of a segment that is closed by now. `is_same`: the object begins with what lies here.
  void forget(const format::SegmentPlace& place, Segment& segment, bool is_same);
  Status remove_or_set_aside(const format::SegmentPlace& place, bool is_same);
  void note_leftover(const format::SegmentPlace& place, const Status& removed) const;
  Result<bool> is_spoiled(const format::SegmentPlace& place, const Segment& segment);
  // I6. False: its disk has spoiled what lies here. Conflict: the object may not close it.
  Result<bool> begins_as_here(const format::SegmentPlace& place, Segment& segment, const format::ObjectName& name);
  // Moves its file, and says why: "was closed ...".
  Status set_aside(const format::SegmentPlace& place, std::string_view suffix, std::string_view why);
  Error failed(const format::SegmentPlace& place, const Error& error) const;

  const Parts parts_;
  const std::string directory_;
  mutable Mutex mutex_;
  std::map<format::SegmentPlace, std::shared_ptr<Segment>> segments_ GUARDED_BY(mutex_);
};

}  // namespace exclave::vault
