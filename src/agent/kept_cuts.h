// KeptCuts: cuts on their way into a database's journal, and the newest one of each group that is there.
// Hides: the list between those who hand a cut in and wait, and the stream's thread, the journal's only one.
//
//   coordinator --keep--> list --to_write--> stream appends --written--> frame --durable at k--> off the list, newest of its group
//
// I1  A cut that is on its way while a journal ends is written again into the next one.
// Threads: keep and newest from any; the others from the stream's.
// Errors: keep: Unavailable (not durable at the deadline; it may be there all the same).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "env/time.h"
#include "format/database_journal.h"

namespace exclave::agent {

class KeptCuts {
 public:
  // `wake`: the stream's thread, for there is something to write.
  KeptCuts(env::Clock& clock, std::function<void()> wake) : clock_(clock), wake_(std::move(wake)) {}

  // Waits until k vaults hold it.
  Status keep(const format::Cut& cut, env::Instant deadline);
  struct Newest {
    format::Cut cut;
    env::Instant at;  // when it was handed in
  };
  // Of a group, the last one that was kept since this start; whoever took it.
  std::optional<Newest> newest(const std::string& group) const;

  // In this journal, the number `journal` of this run, k vaults hold the first `durable` frames. What is to be written there.
  std::vector<format::Cut> to_write(std::uint64_t journal, std::uint64_t durable);
  void written(const format::CutId& cut, std::uint64_t journal, format::FrameNumber frame);

 private:
  struct OnItsWay {
    format::Cut cut;
    std::optional<format::FrameNumber> frame;  // once it is written
    std::uint64_t journal = 0;
  };
  env::Clock& clock_;
  const std::function<void()> wake_;
  mutable Mutex mutex_;
  std::deque<OnItsWay> on_their_way_ GUARDED_BY(mutex_);
  std::map<std::string, Newest> newest_ GUARDED_BY(mutex_);  // by group
};

}  // namespace exclave::agent
