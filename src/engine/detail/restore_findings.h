// RestoreFindings: what a restore could not do as it should, told once at its end.
// Two kinds, never mixed: problems (it is there, but not as it was), and files left out (no vault has their bytes whole).
//
// Lists are cut at kMaxListedProblems; counts are not.
// Threads: any.
#pragma once

#include <string>
#include <vector>

#include "base/mutex.h"
#include "engine/capture.h"

namespace exclave::engine {

class RestoreFindings {
 public:
  struct List {
    std::uint64_t count = 0;
    std::vector<CaptureProblem> first;  // at most kMaxListedProblems
  };

  void note_problem(std::string path, std::string why);
  // Nothing of ours had the name: the target takes two names of the snapshot for one, or somebody writes there too.
  void note_taken(const std::string& path, const Error& error);
  // The target's file system has no such names, or no files of this size.
  void note_refused(const std::string& path, const Error& error);
  void note_left_out(std::string path, const Error& error);
  void note_left_out_link(std::string path, const std::string& first);

  // Copies, as of now.
  List problems() const;
  List left_out() const;
  // A vault that gave no answer may have what is missing of some.
  bool may_be_had_later() const;

 private:
  static void add(List& list, std::string path, std::string why);

  mutable Mutex mutex_;
  List problems_ GUARDED_BY(mutex_);
  List left_out_ GUARDED_BY(mutex_);
  bool may_be_had_later_ GUARDED_BY(mutex_) = false;
};

}  // namespace exclave::engine
