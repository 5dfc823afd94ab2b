// StreamMemory: what a database's stream must know of its earlier runs, in its dataset's directory.
// Hides: files and their texts.
//
//   DIR/system     the server's system identifier
//   DIR/position   exclave/stream-position/v1: acknowledged, commit, timeline, switch*,
//                  [exposed-from, exposed-to, exposed-since, exposed-in*], [tail-from, tail-to, tail-hash]
//   DIR/journal    where the newest journal's start stands in the order of all
//
// I1  A journal's start is later than that of every journal before it, whatever the clock says: readers order journals by it.
// I2  Each file is replaced as a whole. A position that is older than the truth means that log is sent again, nothing else.
// Threads: one. Durability: after a call returned.
// Errors: Precondition (another system), Corrupt (a file that is not as it was written; the hint says what to do), the disk's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/log_tail.h"
#include "env/env.h"
#include "pg/timeline_history.h"

namespace exclave::agent {

// A journal in whose spool alone acknowledged log may lie.
struct ExposedJournal {
  std::uint64_t start = 0;   // its place in the order of all
  std::uint64_t frames = 0;  // so many at least were synced there
  friend bool operator==(const ExposedJournal&, const ExposedJournal&) = default;
};

// Log that was acknowledged while the vaults lacked it.
struct Exposure {
  pg::Lsn from;
  pg::Lsn to;
  env::Timestamp since;                       // to the second
  std::vector<ExposedJournal> journals = {};  // which k vaults are not known to hold yet
  friend bool operator==(const Exposure&, const Exposure&) = default;
};

struct StreamPosition {
  pg::TimelineHistory history;  // on its way
  pg::Lsn acknowledged;         // to the server: everything before it; 0: the log goes on wherever the server's does
  pg::Lsn commit;               // the end of the last commit of that; 0: none is known
  std::optional<Exposure> exposed;
  std::optional<LogStretch> tail;  // the newest that ends there at most

  // The file's text, and what a text says. Corrupt, InvalidInput: it is none.
  std::string text() const;
  static Result<StreamPosition> parse(ByteView document, const std::string& source);
  friend bool operator==(const StreamPosition&, const StreamPosition&) = default;
};

class StreamMemory {
 public:
  StreamMemory(env::FileSystem& files, std::string directory, std::string dataset)
      : files_(files), directory_(std::move(directory)), dataset_(std::move(dataset)) {}

  // The first one is remembered, and a position of a server before it forgotten; Precondition for another one.
  Status check_system(pg::SystemIdentifier system);
  // The same for who only reads the server: nothing is remembered, and where none is known yet any will do.
  Status check_known_system(pg::SystemIdentifier system) const;

  Result<bool> knows_system() const;  // whether a server was ever streamed into the dataset
  std::string system_path() const;    // where that stands

  Result<std::optional<StreamPosition>> position() const;
  Status keep(const StreamPosition& position);
  Status forget_position();  // DURABLE

  // For a journal that is about to begin (I1).
  Result<std::uint64_t> next_journal_start(env::Timestamp now);

 private:
  std::string path_of(std::string_view file) const;
  Result<std::optional<std::string>> read(std::string_view file, std::size_t most) const;

  env::FileSystem& files_;
  const std::string directory_;
  const std::string dataset_;
};

}  // namespace exclave::agent
