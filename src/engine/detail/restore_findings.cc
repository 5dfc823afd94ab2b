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

void RestoreFindings::note_taken(const std::string& path, const Error& error) {
  note_problem(path, "its name is taken in the target: " + error.message());
}

void RestoreFindings::note_refused(const std::string& path, const Error& error) {
  note_problem(path, "the target cannot hold it, so it is not there: " + error.message());
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
