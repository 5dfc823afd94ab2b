#include "engine/recovery_point.h"

#include <algorithm>
#include <iterator>

#include "env/workers.h"
#include "format/signed_text.h"

namespace exclave::engine {
namespace {

struct Opened {
  const FoundSnapshot* found = nullptr;
  std::optional<DatasetSnapshot> snapshot;
  std::optional<Error> why_not;
};

}  // namespace

DatasetSnapshot describe(const FoundSnapshot& found, const format::Snapshot& record) {
  return {
      found,      record.dataset, record.kind, env::Timestamp{record.started_ns}, env::Timestamp{record.finished_ns},
      record.base};
}

Result<DatasetSurvey> survey_datasets(env::Threads& threads, const std::vector<FoundSnapshot>& snapshots,
                                      const OpenRecord& open, std::stop_token stop) {
  DatasetSurvey survey;
  const auto work = [&](const FoundSnapshot* found, std::size_t) -> Result<Opened> {
    if (stop.stop_requested()) return Error(Code::Cancelled, "the restore was interrupted");
    auto record = open(*found);
    if (record.ok()) {
      if (Status name = format::check_name("dataset", record.value().dataset); !name.ok()) record = name.take_error();
    }
    if (!record.ok()) return Opened{found, std::nullopt, record.take_error()};
    return Opened{found, describe(*found, record.value()), std::nullopt};
  };
  const auto sink = [&](Opened opened) -> Status {
    if (opened.snapshot.has_value()) {
      survey.datasets[opened.snapshot->dataset].push_back(std::move(*opened.snapshot));
    } else {
      survey.lost.push_back({*opened.found, std::move(*opened.why_not)});
    }
    return {};
  };
  const std::size_t workers = std::min(kSurveyThreads, snapshots.size());
  env::OrderedPipeline<const FoundSnapshot*, Opened> pipeline(threads, workers, 2 * workers, work, sink);
  for (const FoundSnapshot& found : snapshots) TRY(pipeline.submit(&found));
  TRY(pipeline.finish());
  for (auto& [dataset, list] : survey.datasets) {
    const bool has_base = std::ranges::count(list, format::DatasetKind::Database, &DatasetSnapshot::kind) > 0;
    const format::DatasetKind kind = has_base ? format::DatasetKind::Database : list.back().kind;
    const auto is_other = [&](const DatasetSnapshot& each) { return each.kind != kind; };
    std::ranges::copy_if(list, std::back_inserter(survey.of_other_kinds), is_other);
    std::erase_if(list, is_other);
  }
  return survey;
}

env::Timestamp instant_of(const RecoveryGoal& goal, const DatabaseLog& log, const DatasetSnapshot& base) {
  CHECK(!log.needs_older_base);
  env::Timestamp instant = log.reached.last_commit.has_value() ? log.reached.last_commit->time : base.finished;
  if (log.cut.has_value()) instant = std::max(instant, env::Timestamp{log.cut->taken_ns});
  if (log.point.has_value()) instant = std::max(instant, log.point->point.time);
  const auto* const time = std::get_if<ToCommitTime>(&goal);
  if (time != nullptr && log.reached.end != log.proven.end) instant = std::max(instant, time->time);
  return instant;
}

ChosenSnapshot choose_after(const std::vector<DatasetSnapshot>& snapshots, env::Timestamp instant) {
  CHECK(!snapshots.empty());
  const auto first = std::find_if(snapshots.begin(), snapshots.end(),
                                  [&](const DatasetSnapshot& each) { return each.began > instant; });
  const DatasetSnapshot& chosen = first != snapshots.end() ? *first : snapshots.back();
  return {chosen, chosen.began - instant};
}

}  // namespace exclave::engine
