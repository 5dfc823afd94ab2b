// FrameWriter: takes gathered log into the journal. Little of it at once, on the caller's thread; full frames on a thread of
// its own, so that the next one is received and checked while this one is compressed and sealed.
// Hides: that thread, and which of the two it was.
//
//   a commit:     gather -> compress, seal, append, send      (the caller waits for nobody)
//   catching up:  gather -> thread: compress, seal, append    (the caller gathers on; waits if one is still at work)
//
// Measured: a server's sender and one thread that does both take turns, because what lies between them is a small socket
// buffer; with two threads catching up is bound by the sender (docs/performance.md).
//
// I1  Frames are appended in the order of write().
// I2  Between settle() and the next write() nobody here touches the journal: other records may be appended to it.
// Threads: its methods by one thread; "frames-<dataset>" is its own, joined by the destructor. `on_written` is called on it.
// Errors: those of compressing and of the journal. The first one stays: every later call returns it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/log_framer.h"
#include "env/threads.h"
#include "format/journal.h"

namespace exclave::agent {

class FrameWriter {
 public:
  struct Written {
    format::FrameNumber frame;
    pg::Lsn end;                // of the log in it
    std::uint64_t bytes = 0;    // of the record
    std::uint64_t commits = 0;  // as given to write()
  };
  using Append = std::function<Result<format::FrameNumber>(ByteView record)>;

  // What is called outlives the writer. Exhausted: no thread to be had.
  static Result<std::unique_ptr<FrameWriter>> start(env::Threads& threads, const std::string& dataset, Append append,
                                                    std::function<void()> on_written);
  ~FrameWriter();
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;

  // Takes what `framer` holds, which is empty then. `commits`: received up to its end.
  Status write(LogFramer& framer, std::uint64_t commits);
  // What was appended since the last call, in order.
  Result<std::vector<Written>> take_written();
  // Waits until everything given to write() is appended.
  Status settle();

 private:
  FrameWriter(env::Threads& threads, Append append, std::function<void()> on_written);
  Result<Written> append_from(LogFramer& framer, std::uint64_t commits);
  void run();

  const Append append_;
  const std::function<void()> on_written_;
  const std::unique_ptr<env::Monitor> monitor_;
  LogFramer held_;  // by the thread while `is_busy_`, else under monitor_
  // Under monitor_:
  std::uint64_t held_commits_ = 0;
  bool is_busy_ = false;
  bool is_ending_ = false;
  std::vector<Written> written_;
  std::optional<Error> error_;
  std::unique_ptr<env::Thread> thread_;
};

}  // namespace exclave::agent
