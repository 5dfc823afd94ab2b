// LogFramer: gathers the log that came in one go into one journal record.
// Hides: compression, and when it is not worth it.
//
// A frame takes steps of 4 KiB at every vault (format/journal.h): what fits in one step as it is, is not compressed.
// I1  Pieces are contiguous and of one timeline; a new timeline begins a new record.
// Threads: one. Memory: two buffers of a frame.
// Errors: Exhausted (memory).
#pragma once

#include "compress/compress.h"
#include "format/database_journal.h"
#include "pg/lsn.h"

namespace exclave::agent {

class LogFramer {
 public:
  LogFramer();

  // Whose log it is, from here on.
  void set_log(const format::LogId& log) { log_id_ = log; }

  void clear() { log_.clear(); }
  bool is_empty() const { return log_.empty(); }
  std::size_t size() const { return log_.size(); }
  bool is_full() const { return log_.size() + kMostPieceBytes > format::kMaxLogBytes; }
  // Precondition: not full; bytes.size() <= kMostPieceBytes; contiguous.
  void add(pg::Timeline timeline, pg::Lsn start, ByteView bytes);
  pg::Lsn end() const { return start_ + log_.size(); }
  // Hands over what was gathered, and whose log it is. Precondition: this one is empty.
  void trade(LogFramer& other);
  // The record's bytes, good until the next call; the framer is empty then. Precondition: not empty.
  Result<ByteView> take();

  static constexpr std::size_t kMostPieceBytes = 128 * 1024;  // as the server sends it (pg/replication.h)

 private:
  compress::Compressor compressor_;
  format::LogId log_id_;
  pg::Timeline timeline_;
  pg::Lsn start_;
  Bytes log_;
  Bytes record_;
};

}  // namespace exclave::agent
