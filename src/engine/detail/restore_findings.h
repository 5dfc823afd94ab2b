// RestoreFindings: what a restore could not do as it should, told once at its end.
// Two kinds, never mixed: problems (it is not as it was, or not there as the target cannot hold it), and files left out
// (no vault has their bytes whole). Of the problems, those of content are told apart from those of attributes.
//
// Lists are cut at kMaxListedProblems; counts are not.
// Threads: any.
#pragma once

#include <optional>
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

  // Of attributes alone: it is there, with the content that it had.
  void note_problem(std::string path, std::string why);
  // It is not there, or its content is not all that it was.
  void note_content_problem(std::string path, std::string why);
  // Nothing of ours had the name: the target takes two names of the snapshot for one, or somebody writes there too.
  void note_taken(const std::string& path, const Error& error);
  // The target's file system has no such names, or no files of this size.
  void note_refused(const std::string& path, const Error& error);
  void note_left_out(std::string path, const Error& error);
  void note_left_out_link(std::string path, const std::string& first);
  // A regular file that was counted, and is not there; the finding says why.
  void note_absent_file(std::uint64_t bytes);
  // Passes on what a call on the target said. An error that may mean that it lost something is remembered.
  Status of_target(Status done);

  // Copies, as of now.
  List problems() const;
  List left_out() const;
  std::optional<CaptureProblem> first_content_problem() const;
  struct Absent {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
  };
  Absent absent() const;
  bool has_target_failed() const;
  // A vault that gave no answer may have what is missing of some.
  bool may_be_had_later() const;

 private:
  static void add(List& list, std::string path, std::string why);

  mutable Mutex mutex_;
  List problems_ GUARDED_BY(mutex_);
  List left_out_ GUARDED_BY(mutex_);
  std::optional<CaptureProblem> first_content_problem_ GUARDED_BY(mutex_);
  Absent absent_ GUARDED_BY(mutex_);
  bool may_be_had_later_ GUARDED_BY(mutex_) = false;
  bool has_target_failed_ GUARDED_BY(mutex_) = false;
};

}  // namespace exclave::engine
