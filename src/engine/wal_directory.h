// WalDirectory: the log that a database is recovered with, as files that a server's restore_command hands over, and the
// proof of where it ends.
// Hides: how pieces of log become segment files, the plan's text, what a name that is asked for means.
//
//   DIR/000000010000000000000003 ...   segments; the last one is zero from the end on: the server stops exactly there
//   DIR/00000002.history               of every timeline on the way, but 1
//   DIR/restore.unfinished             while a restore is under way
//   DIR/wal.plan                       gets its name last, when a server may be started: without it nothing is given out
//
//   plan := exclave/wal-plan/v1: system, segment-bytes, timeline*       timeline: "T FROM TO", ascending
//
// I1  Bytes are added once: what comes again (streams overlap) must be equal, or it is Conflict, and the timeline ends here
//     where the two ways part; what would leave a gap is refused.
// I5  Two servers can give their timelines the same number. Home follows the one whose history comes last: the branch that
//     was here under that number is removed, with what descends from it.
// I2  "Absent" is answered for what lies behind the planned end and for timelines that the plan does not know, and for
//     nothing else: whoever asks takes it for the end of the log, and opens the database. Everything that should be here and
//     is not, or cannot be read, is an error.
// I3  A segment is handed over as a copy: a server may write into what it was given.
// I4  Until a server may be started on it, a log is of use to nobody: what a restore that failed wrote is removed, and what
//     one that was killed left is removed by the next, which tells it by the mark, of this user, and the missing plan;
//     nothing else is ever removed. One restore at a time: the directory is locked. It is written, synced and removed
//     through the handles of it and of the directory above, opened once: whoever owns what is above may put something
//     else in its place at any moment, and that stays.
// I6  From before the first byte until give_to nobody but this user comes into the directory, whoever made it, and it
//     has no ACL. Each file in it is made by this restore, and none that was there is written to, or given away.
// Threads: one at a time. Durability: all but the plan's name after plan() returned, that after publish().
// Errors: Conflict (I1: two histories; I4: another restore is at work in it), Precondition (a gap; I6), Corrupt (a
//   file that is not as it was written), InvalidInput (a plan that is none, an unknown name), NotFound (no plan, no
//   history), Exhausted.
// See: docs/formats/wal-plan.md, ADR-0026.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "env/file_system.h"
#include "pg/timeline_history.h"

namespace exclave::engine {

// The part [from, to) of the log that is read on `timeline`.
struct LogRange {
  pg::Timeline timeline;
  pg::Lsn from;
  pg::Lsn to;
  friend bool operator==(const LogRange&, const LogRange&) = default;
};

struct WalPlan {
  pg::SystemIdentifier system;
  pg::SegmentSize segment_size;
  std::vector<LogRange> ranges;  // ascending, each begins where the one before ends; never empty

  pg::Lsn end() const { return ranges.back().to; }
  pg::Timeline timeline() const { return ranges.back().timeline; }
  std::string text() const;
  static Result<WalPlan> parse(ByteView document, std::string source);
};

// The directory while a restore is under way (I4).
class WalDirectoryHold {
 public:
  // Made if missing, so that a server's user can come through what is made above it; must be empty or hold what an
  // interrupted restore left, which is removed (Precondition otherwise, or if it is a link, or cannot be closed to
  // others).
  static Result<std::unique_ptr<WalDirectoryHold>> take(env::FileSystem& files, const std::string& directory);
  // Removes what was written, and the directory, unless it was there before, and empty: then its owner and mode are as
  // this run found them. Its ACLs are gone.
  ~WalDirectoryHold();

  // On disk, but for the name.
  Status draft_plan(const WalPlan& plan);
  // DURABLE. Gives the plan its name. Precondition: it was drafted.
  Status publish();
  // A server is about to use it: it stays. Precondition: it was published.
  void keep();
  env::Directory& directory() const { return *directory_; }
  // A file that this restore made, to be written again. Precondition: it is not (any more).
  Result<std::unique_ptr<env::WritableFile>> open_own(std::string_view name);
  Error not_of_this_restore(std::string_view name) const;
  // To another user, when all but the plan's name is there: what is in it but for the mark, then itself. Precondition:
  // as for publish.
  Status give_to(const env::FileOwner& owner);

 private:
  enum class Origin { Ours, Found };
  WalDirectoryHold(env::FileSystem& files, std::string path, std::unique_ptr<env::Directory> above,
                   std::unique_ptr<env::Directory> directory)
      : files_(files), path_(std::move(path)), above_(std::move(above)), directory_(std::move(directory)) {}
  Status close_to_others();
  Status begin(bool was_there);
  Status mark(bool was_there, const std::vector<env::DirectoryEntry>& entries);
  Status remove();
  Status remove_itself();

  env::FileSystem& files_;
  const std::string path_;
  std::unique_ptr<env::Directory> above_;  // nullptr: it may not be read
  std::unique_ptr<env::Directory> directory_;
  bool is_drafted_ = false;
  bool is_published_ = false;
  Origin origin_ = Origin::Ours;
  env::FileAttributes as_found_{};  // whose the directory was, and who might come in
  bool is_kept_ = true;             // until all in it is known to be a restore's
};

class WalDirectoryWriter {
 public:
  // `directory`: as for WalDirectoryHold. Bytes before `first` are not wanted.
  static Result<std::unique_ptr<WalDirectoryWriter>> create(env::FileSystem& files, const std::string& directory,
                                                            pg::SegmentSize size, pg::Lsn first);
  ~WalDirectoryWriter();

  // Log of one timeline, at or before where that timeline's bytes end here. The first of a timeline may begin anywhere.
  Status add(pg::Timeline timeline, pg::Lsn start, ByteView bytes);
  // What is here of each timeline.
  struct Extent {
    pg::Lsn from;
    pg::Lsn to;
  };
  // Whether what is here is of another branch (I5).
  bool is_of_another_branch(const pg::TimelineHistory& history) const;
  // What had to go for this one (I5): timelines, and what was here of each.
  using Dropped = std::map<pg::Timeline, std::optional<Extent>>;
  Result<Dropped> add_history(pg::Timeline timeline, ByteView text);

  const std::map<pg::Timeline, Extent>& extents() const { return extents_; }
  // Whether a server that comes past the timeline finds its history here. Timeline 1 has none.
  bool has_history(pg::Timeline timeline) const { return timeline == pg::Timeline(1) || histories_.contains(timeline); }
  // The history of the newest timeline that has bytes here; NotFound if its history did not come.
  Result<pg::TimelineHistory> newest_history() const;
  // Reads [at, at + out.size()) of a timeline's bytes.
  Status read(pg::Timeline timeline, pg::Lsn at, MutableByteView out);

  // DURABLE. Ends the log at the last range's end: zeros behind it, later files removed; then drafts the plan.
  // NotFound: a history that a server asks for on the way is not here.
  Status plan(const WalPlan& plan);
  // The end of writing. Without it the directory is removed together with the writer.
  std::unique_ptr<WalDirectoryHold> finish() &&;

 private:
  WalDirectoryWriter(std::unique_ptr<WalDirectoryHold> hold, pg::SegmentSize size, pg::Lsn first);
  Status write(pg::Timeline timeline, pg::Lsn at, ByteView bytes);
  // How many bytes at the front are as they are here.
  Result<std::size_t> count_same(pg::Timeline timeline, pg::Lsn at, ByteView bytes);
  Status open_for_write(const std::string& name);
  Status remove_file(const std::string& name);
  // Histories here of timelines that `history` has as well, and otherwise.
  std::vector<pg::TimelineHistory> others_than(const pg::TimelineHistory& history) const;
  Status drop(pg::Timeline timeline);
  Status fill_before(const LogRange& range, const WalPlan& plan);
  Status end_at(const WalPlan& plan);

  std::unique_ptr<WalDirectoryHold> hold_;
  env::Directory& directory_;  // hold_'s
  const pg::SegmentSize size_;
  const pg::Lsn first_;
  std::map<pg::Timeline, Extent> extents_;
  std::map<pg::Timeline, pg::TimelineHistory> histories_;
  std::set<std::string> segments_;  // files that this made (I6)
  std::string open_name_;
  std::unique_ptr<env::WritableFile> open_file_;
};

enum class FetchOutcome { HandedOver, Absent };
// What restore_command does: `name` as the server asks, `target` the path it wants it at.
Result<FetchOutcome> fetch_wal(env::FileSystem& files, const std::string& directory, const std::string& name,
                               const std::string& target);

}  // namespace exclave::engine
