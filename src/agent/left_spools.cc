#include "agent/left_spools.h"

#include <algorithm>

#include "base/text.h"
#include "env/file_system.h"

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kSpoolTime = 20s;  // for each
constexpr std::size_t kMostTroubles = 10;

void add(std::vector<std::string>& troubles, std::string trouble) {
  if (troubles.size() < kMostTroubles && std::ranges::count(troubles, trouble) == 0)
    troubles.push_back(std::move(trouble));
}

// Spools that wait for the same: a vault that is away is one trouble, however many journals it lacks.
struct Waiting {
  std::string oldest;  // its path
  std::string reasons;
  std::size_t count = 1;
};

void add(std::vector<Waiting>& waiting, std::string path, std::string reasons) {
  const auto same = std::ranges::find(waiting, reasons, &Waiting::reasons);
  if (same == waiting.end()) {
    waiting.push_back({std::move(path), std::move(reasons)});
  } else {
    ++same->count;
  }
}

std::string in_words(const Waiting& waiting) {
  const std::string oldest = "'" + printable(waiting.oldest) + "'";
  return (waiting.count == 1
              ? "the spool " + oldest + " holds a journal of an earlier start"
              : std::to_string(waiting.count) + " spools, the oldest " + oldest + ", hold journals of earlier starts") +
         " that not every vault has: " + waiting.reasons;
}

// Frames, by the journal's start.
using Frames = std::map<std::uint64_t, std::uint64_t>;

bool reaches(const Frames& held, std::uint64_t start, std::uint64_t frames) {
  const auto found = held.find(start);
  return found != held.end() && found->second >= frames;
}

}  // namespace

std::string LeftSpools::path_of(std::uint64_t start) const {
  return env::join_path(folder_, std::to_string(start));
}

Result<std::vector<std::uint64_t>> LeftSpools::starts() const {
  std::vector<std::uint64_t> starts;
  const auto names = files_.list(folder_);
  if (!names.ok() && names.error().code() == Code::NotFound) return starts;
  for (const std::string& name : TRY(names)) {
    const auto start = parse_u64(name);
    if (start.ok()) starts.push_back(start.value());
  }
  std::ranges::sort(starts);
  return starts;
}

// --- the journal that is written ---------------------------------------------------------------------------------------

void LeftSpools::use(std::uint64_t start) {
  const MutexLock lock(mutex_);
  in_use_ = start;
}

void LeftSpools::leave(const std::vector<ExposedJournal>& awaited) {
  const MutexLock lock(mutex_);
  in_use_.reset();
  if (!awaited.empty() && !awaited_.has_value()) awaited_.emplace();
  for (const ExposedJournal& journal : awaited) (*awaited_)[journal.start] = journal.frames;
}

std::optional<std::uint64_t> LeftSpools::in_use() const {
  const MutexLock lock(mutex_);
  return in_use_;
}

// --- of journals that have ended ---------------------------------------------------------------------------------------

void LeftSpools::await_only(const std::vector<ExposedJournal>& journals) {
  const MutexLock lock(mutex_);
  awaited_.emplace();
  for (const ExposedJournal& journal : journals) (*awaited_)[journal.start] = journal.frames;
}

bool LeftSpools::is_held(const ExposedJournal& journal) const {
  const MutexLock lock(mutex_);
  return reaches(held_, journal.start, journal.frames);
}

void LeftSpools::note(std::uint64_t start, std::optional<std::uint64_t> frames) {
  const MutexLock lock(mutex_);
  if (!frames.has_value()) {
    held_.emplace(start, spread::SpooledStream::kAllFrames);  // unless it was seen that it had less
  } else {
    std::uint64_t& held = held_[start];
    held = std::max(held, *frames);
  }
}

std::optional<std::uint64_t> LeftSpools::awaited_of(std::uint64_t start) const {
  const MutexLock lock(mutex_);
  if (!awaited_.has_value()) return std::nullopt;
  const auto awaited = awaited_->find(start);
  return awaited == awaited_->end() ? 0 : awaited->second;
}

bool LeftSpools::stays(std::uint64_t start) const {
  const MutexLock lock(mutex_);
  if (!awaited_.has_value()) return true;
  const auto awaited = awaited_->find(start);
  return awaited != awaited_->end() && reaches(held_, start, awaited->second);
}

std::vector<std::string> LeftSpools::recover(const Vaults& vaults) {
  const auto left = starts();
  if (!left.ok()) return {"the journals in the spool cannot be listed: " + left.error().message()};
  std::vector<std::string> lost;
  std::vector<Waiting> waiting;
  for (const std::uint64_t start : left.value()) {
    if (in_use() == start) continue;
    const std::string spool = "the spool '" + printable(path_of(start)) + "' ";
    const auto standing = recover_one(vaults, start);
    if (!standing.ok()) {
      add(lost, spool + "cannot be brought to the vaults: " + standing.error().message());
      continue;
    }
    if (!standing.value().losses.empty()) add(lost, spool + "lacks what it had: " + standing.value().losses);
    if (!standing.value().reasons.empty()) add(waiting, path_of(start), standing.value().reasons);
  }
  std::vector<std::string> troubles = missing();
  for (std::string& trouble : lost) add(troubles, std::move(trouble));
  for (const Waiting& each : waiting) add(troubles, in_words(each));
  return troubles;
}

Result<LeftSpools::Standing> LeftSpools::recover_one(const Vaults& vaults, std::uint64_t start) {
  const auto left = TRY(spread::recover_spool(vaults.world, path_of(start), vaults.all, vaults.writer,
                                              vaults.world.clock.monotonic() + kSpoolTime, awaited_of(start)));
  Standing standing;
  bool are_held = true;
  bool are_complete = true;
  std::uint64_t frames = spread::SpooledStream::kAllFrames;
  for (const spread::SpooledStream& stream : left) {
    are_held = are_held && stream.holders >= vaults.durable_copies;
    are_complete = are_complete && stream.is_complete;
    frames = std::min(frames, stream.frames_end);
    for (const std::string& loss : stream.losses) append_item(standing.losses, loss, "; ");
    for (const std::string& reason : stream.reasons) append_item(standing.reasons, reason, "; ");
  }
  if (are_held) note(start, left.empty() ? std::nullopt : std::optional(frames));
  if (!are_complete || stays(start)) return standing;
  TRY(TRY(files_.open_directory(folder_))->remove(std::to_string(start)));
  const MutexLock lock(mutex_);
  held_.erase(start);
  return standing;
}

std::vector<std::string> LeftSpools::missing() const {
  std::vector<std::string> missing;
  std::vector<std::uint64_t> awaited;
  {
    const MutexLock lock(mutex_);
    if (!awaited_.has_value()) return missing;
    for (const auto& [start, frames] : *awaited_) {
      if (in_use_ != start && !reaches(held_, start, frames)) awaited.push_back(start);
    }
  }
  for (const std::uint64_t start : awaited) {
    const auto folder = files_.stat(path_of(start));
    if (folder.ok() || folder.error().code() != Code::NotFound) continue;
    missing.push_back("the spool '" + printable(path_of(start)) +
                      "' is gone, and the vaults may lack commits that it alone held: bring it back; "
                      "if it is lost, take a new base backup, stop the agent, remove '" +
                      printable(env::join_path(env::parent_path(folder_), "position")) + "' and start it");
  }
  return missing;
}

}  // namespace exclave::agent
