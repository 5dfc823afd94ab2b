#include "engine/detail/restore_findings.h"

#include "base/text.h"

namespace exclave::engine {

void RestoreFindings::add(List& list, std::string path, std::string why) {
  ++list.count;
  if (list.first.size() < kMaxListedProblems) list.first.push_back({std::move(path), std::move(why)});
}

void RestoreFindings::note_problem(std::string path, std::string why) {
  const MutexLock lock(mutex_);
  add(problems_, std::move(path), std::move(why));
}

void RestoreFindings::note_content_problem(std::string path, std::string why) {
  const MutexLock lock(mutex_);
  if (!first_content_problem_.has_value()) first_content_problem_ = CaptureProblem{path, why};
  add(problems_, std::move(path), std::move(why));
}

void RestoreFindings::note_taken(const std::string& path, const Error& error) {
  note_content_problem(path, "its name is taken in the target: " + error.message());
}

void RestoreFindings::note_refused(const std::string& path, const Error& error) {
  note_content_problem(path, "the target cannot hold it, so it is not there: " + error.message());
}

void RestoreFindings::note_left_out(std::string path, const Error& error) {
  const MutexLock lock(mutex_);
  if (error.code() == Code::Unavailable) may_be_had_later_ = true;
  add(left_out_, std::move(path), error.message());
}

void RestoreFindings::note_left_out_link(std::string path, const std::string& first) {
  const MutexLock lock(mutex_);
  add(left_out_, std::move(path), "is another name of '" + printable(first) + "'");
}

void RestoreFindings::note_absent_file(std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  ++absent_.files;
  absent_.bytes += bytes;
}

// A disk that fails, and one that the kernel has closed to writing, may have lost what it took before. One that is full
// has not, and what it merely refuses (a name, a size) is this file's affair.
Status RestoreFindings::of_target(Status done) {
  if (done.ok()) return done;
  const Code code = done.error().code();
  if (code == Code::Unavailable || code == Code::Corrupt || code == Code::Denied) {
    const MutexLock lock(mutex_);
    has_target_failed_ = true;
  }
  return done;
}

std::optional<CaptureProblem> RestoreFindings::first_content_problem() const {
  const MutexLock lock(mutex_);
  return first_content_problem_;
}

RestoreFindings::Absent RestoreFindings::absent() const {
  const MutexLock lock(mutex_);
  return absent_;
}

bool RestoreFindings::has_target_failed() const {
  const MutexLock lock(mutex_);
  return has_target_failed_;
}

bool RestoreFindings::may_be_had_later() const {
  const MutexLock lock(mutex_);
  return may_be_had_later_;
}

RestoreFindings::List RestoreFindings::problems() const {
  const MutexLock lock(mutex_);
  return problems_;
}

RestoreFindings::List RestoreFindings::left_out() const {
  const MutexLock lock(mutex_);
  return left_out_;
}

}  // namespace exclave::engine
