// LogCollector: takes the records of a database's journals, one journal after the other, into the files of its log.
// Hides: whose records are whose, decompression, branches that replace each other, what a hole ends.
//
//   journal -> record -> log       -> WalDirectoryWriter
//                        history   -> kept back until there is log of its branch, if it drops another one
//                        exposure, cut -> DatabaseLog
//
// I1  Only records of the wanted dataset and server count; cuts are those of whoever is in them.
// I2  Behind a hole, or where one timeline's log goes on in two ways, nothing more of that timeline is taken (database_log.h, I5).
// I3  A branch that is replaced takes its cuts, its named points and its holes with it, and is told in `problems`.
// Threads: one. Memory: one record.
// Errors: Corrupt (a record that does not decode, or stands where none of its kind may), the disk's.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>

#include "compress/compress.h"
#include "engine/database_log.h"

namespace exclave::engine::detail {

// By timeline: why nothing more of it was taken.
using Holes = std::map<pg::Timeline, std::string>;

class LogCollector {
 public:
  // `points`: nullptr if no named point is wanted. All outlive the collector.
  LogCollector(const LogRequest& request, WalDirectoryWriter& writer, RestorePoints* points, DatabaseLog& log);

  void begin_journal(const format::StreamStart& start);
  Status take(const JournalFrame& frame);
  // An opening of the present journal whose frames are gone past.
  void note(const format::JournalOpening& opening);

  // Of the present journal.
  struct Place {
    format::LogTimeline timeline;
    format::LogPosition start;
    auto operator<=>(const Place&) const = default;
  };
  // Where its log of this dataset begins, as far as it was taken.
  const std::optional<Place>& begins() const { return begins_; }
  // Whether it says of itself that it is another dataset's or server's.
  bool is_of_another() const { return is_of_another_; }

  // Of all journals so far.
  bool has_found_any() const { return has_found_any_; }
  // Set if the dataset's last journal is of another server: what it goes on with is not in this log.
  const std::optional<std::string>& goes_on() const { return goes_on_; }
  // The timeline of the last log that there was.
  std::optional<pg::Timeline> last() const { return last_; }
  // Timelines of which another branch was here before, and since which journal it is not.
  const std::map<pg::Timeline, format::StreamStart>& replaced() const { return replaced_; }
  const Holes& holes() const { return holes_; }

 private:
  struct Announced {
    pg::TimelineHistory history;
    Bytes text;
  };
  Status take(const format::JournalHistory& record);
  Status take(const format::JournalLog& log);
  Status add_history(pg::Timeline number, ByteView text);
  void look_for_points(const format::JournalLog& log, ByteView bytes);

  const LogRequest& request_;
  const format::LogId log_id_;
  WalDirectoryWriter& writer_;
  RestorePoints* const points_;
  DatabaseLog& log_;
  bool has_found_any_ = false;
  bool is_of_another_ = false;
  std::optional<std::string> goes_on_;
  std::optional<Place> begins_;
  format::StreamStart start_;
  std::optional<Announced> announced_;
  std::optional<pg::Timeline> last_;
  std::map<pg::Timeline, format::StreamStart> replaced_;
  Holes holes_;
  compress::Decompressor decompressor_;
  Bytes plain_;
};

}  // namespace exclave::engine::detail
