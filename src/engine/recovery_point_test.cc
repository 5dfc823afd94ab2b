#include "engine/recovery_point.h"

#include <gtest/gtest.h>

#include "posix/world.h"

namespace exclave::engine {
namespace {

using std::chrono::seconds;

env::Timestamp at(std::int64_t second) {
  return env::Timestamp::from_seconds(1'800'000'000 + second);
}
DatasetSnapshot walk(std::int64_t second) {
  DatasetSnapshot snapshot;
  snapshot.dataset = "papers";
  snapshot.began = at(second);
  snapshot.finished = at(second + 5);
  return snapshot;
}
// A log that ends at `end`, with a last commit at that second.
DatabaseLog log_to(std::uint64_t end, std::optional<std::int64_t> commit) {
  DatabaseLog log;
  log.reached.end = pg::Lsn(end);
  log.proven.end = pg::Lsn(1000);
  if (commit.has_value()) log.reached.last_commit = pg::LastCommit{pg::TransactionId(7), at(*commit), pg::Lsn(end)};
  return log;
}
pg::RestorePoint point_at(std::int64_t second) {
  return {"x", at(second), pg::Lsn(500)};
}

TEST(ChooseAfter, takes_the_first_walk_that_began_after_the_point) {
  const std::vector<DatasetSnapshot> walks = {walk(10), walk(20), walk(30)};
  const ChosenSnapshot chosen = choose_after(walks, at(12));
  EXPECT_EQ(chosen.snapshot.began, at(20));
  EXPECT_EQ(chosen.after, seconds(8));
  EXPECT_FALSE(chosen.is_behind());
  EXPECT_EQ(choose_after(walks, at(9)).snapshot.began, at(10));
}

TEST(ChooseAfter, one_that_was_under_way_at_the_point_is_not_after_it) {
  const std::vector<DatasetSnapshot> walks = {walk(10), walk(20)};
  EXPECT_EQ(choose_after(walks, at(10)).snapshot.began, at(20));
  EXPECT_EQ(choose_after(walks, at(11)).snapshot.began, at(20));
}

TEST(ChooseAfter, without_one_the_newest_is_behind) {
  const std::vector<DatasetSnapshot> walks = {walk(10), walk(20)};
  for (const std::int64_t second : {20, 50}) {
    const ChosenSnapshot chosen = choose_after(walks, at(second));
    EXPECT_EQ(chosen.snapshot.began, at(20));
    EXPECT_EQ(chosen.after, seconds(20 - second));
    EXPECT_TRUE(chosen.is_behind());
  }
}

TEST(InstantOf, is_the_last_commits_time_or_when_the_base_was_finished) {
  EXPECT_EQ(instant_of(ToProvenEnd{}, log_to(1000, 40), walk(0)), at(40));
  EXPECT_EQ(instant_of(ToLogPosition{pg::Lsn(500)}, log_to(500, 30), walk(0)), at(30));
  EXPECT_EQ(instant_of(ToProvenEnd{}, log_to(1000, std::nullopt), walk(0)), at(5));
}

TEST(InstantOf, is_the_time_that_was_asked_for_if_the_log_goes_on_behind_it) {
  EXPECT_EQ(instant_of(ToCommitTime{at(35)}, log_to(500, 30), walk(0)), at(35));
  EXPECT_EQ(instant_of(ToCommitTime{at(90)}, log_to(1000, 40), walk(0)), at(40)) << "nothing is known of later";
}

TEST(InstantOf, of_cuts_and_points_is_theirs_and_never_before_the_last_commit) {
  DatabaseLog log = log_to(500, 30);
  log.cut = format::Cut{};
  log.cut->taken_ns = at(33).nanoseconds;
  EXPECT_EQ(instant_of(ToCut{"latest"}, log, walk(0)), at(33));
  log.cut->taken_ns = at(29).nanoseconds;  // another clock
  EXPECT_EQ(instant_of(ToCut{"latest"}, log, walk(0)), at(30));
  log.cut.reset();
  log.point = RestorePoints::Found{point_at(32), 1};
  EXPECT_EQ(instant_of(ToRestorePoint{"x"}, log, walk(0)), at(32));
}

TEST(SurveyDatasets, sorts_all_snapshots_by_dataset_and_names_those_that_cannot_be_opened) {
  std::vector<FoundSnapshot> found(100);
  for (std::size_t i = 0; i < found.size(); ++i) store_u64(found[i].object.name.mutable_view(), i);
  const OpenRecord open = [](const FoundSnapshot& each) -> Result<format::Snapshot> {
    const std::uint64_t number = load_u64(each.object.name.view());
    if (number % 10 == 9) return Error(Code::Unavailable, "no vault gives it");
    format::Snapshot record;
    record.dataset = number % 2 == 0 ? "people" : "papers";
    record.kind = number % 2 == 0 ? format::DatasetKind::Database : format::DatasetKind::Tree;
    if (number == 98) record.dataset = "../people";
    if (number == 1) record.kind = format::DatasetKind::ByteStream;  // the name was another thing's before
    if (number == 96) record.kind = format::DatasetKind::Tree;       // and hides no base
    record.started_ns = at(static_cast<std::int64_t>(number)).nanoseconds;
    return record;
  };
  posix::World world(env::LogLevel::Error);
  const auto surveyed = survey_datasets(world.env().threads, found, open, {});
  ASSERT_TRUE(surveyed.ok()) << surveyed.error().message();
  const DatasetSurvey& survey = surveyed.value();
  ASSERT_EQ(survey.datasets.size(), 2U);
  EXPECT_EQ(survey.datasets.at("people").size(), 48U);
  const auto& papers = survey.datasets.at("papers");
  EXPECT_EQ(papers.size(), 39U);
  EXPECT_EQ(papers.front().began, at(3));
  EXPECT_TRUE(std::is_sorted(papers.begin(), papers.end(),
                             [](const DatasetSnapshot& a, const DatasetSnapshot& b) { return a.began < b.began; }));
  ASSERT_EQ(survey.of_other_kinds.size(), 2U);
  EXPECT_EQ(survey.of_other_kinds[0].kind, format::DatasetKind::ByteStream);
  EXPECT_EQ(survey.of_other_kinds[1].dataset, "people");
  ASSERT_EQ(survey.lost.size(), 11U);
  EXPECT_EQ(load_u64(survey.lost.front().snapshot.object.name.view()), 9U);
  EXPECT_EQ(survey.lost[9].why.message(), "dataset name '../people' is not usable");
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_EQ(survey_datasets(world.env().threads, found, open, stopped.get_token()).error().code(), Code::Cancelled);
}

}  // namespace
}  // namespace exclave::engine
