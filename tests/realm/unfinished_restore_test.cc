// A restore that goes on with what an earlier run left: its mark, finished files, and what others put there meanwhile.
#include <fcntl.h>
#include <gmock/gmock.h>

#include "tests/realm/restore_case.h"

namespace exclave::realm_tests {
namespace {

using format::EntryType;
using format::ListingEntry;

TEST_F(Restore, E_a_link_planted_in_an_unfinished_target_is_not_followed) {
  make_directory("source/d");
  write("d/f", "content");
  write("top", "content");
  const auto report = capture();
  make_directory("outside");
  write_file(files(), at("outside/top"), as_bytes("as it was"));
  make_directory("target");
  mark_unfinished("target", report.snapshot);
  CHECK(::symlink(at("outside/top").c_str(), at("target/top").c_str()) == 0);
  CHECK(::symlink(at("outside").c_str(), at("target/d").c_str()) == 0);
  EXPECT_FALSE(site().restore(report.snapshot, at("target")).ok());
  EXPECT_EQ(must(files().list(at("outside"))), std::vector<std::string>{"top"});
  CHECK(::unlink(at("target/d").c_str()) == 0);
  must(site().restore(report.snapshot, at("target")));
  EXPECT_EQ(as_text(must(files().read_file(at("outside/top"), 100))), "as it was");
  expect_equal(source(), at("target"));
}

// Whoever owns the directory above a target can put a mark there, or another directory in the target's place.
TEST_F(Restore, E_a_mark_that_somebody_else_can_have_made_is_not_gone_on_with) {
  write("f", "content");
  const auto snapshot = capture().snapshot;
  const std::string marker = at("target.exclave-restore");
  const auto remark = [&] {
    ::unlink(marker.c_str());
    mark_unfinished("target", snapshot);
  };
  const auto refuses = [&](const std::string& why) {
    EXPECT_TRUE(failed_with(site().restore(snapshot, at("target")), Code::Precondition)) << why;
    EXPECT_EQ(must(files().list(at("target"))), std::vector<std::string>{"theirs"}) << why;
  };
  make_directory("target");
  write_file(files(), at("target/theirs"), as_bytes("theirs"));
  remark();
  CHECK(::chmod(marker.c_str(), 0666) == 0);
  refuses("others may write it");
  remark();
  CHECK(::link(marker.c_str(), at("second").c_str()) == 0);
  refuses("it has a second name");
  CHECK(::unlink(at("second").c_str()) == 0);
  CHECK(::rename(marker.c_str(), at("mark").c_str()) == 0);
  CHECK(::symlink(at("mark").c_str(), marker.c_str()) == 0);
  refuses("it is a link");
  make_directory("other");
  CHECK(::unlink(marker.c_str()) == 0);
  write_file(files(), marker, as_bytes(mark_of("other", snapshot, "-")));
  refuses("it is of another directory");
  write_file(files(), marker, as_bytes(snapshot.hex() + " -\n"));
  refuses("it says of no directory at all");
  if (is_root()) {
    remark();
    CHECK(::chown(marker.c_str(), 1234, 1234) == 0);
    refuses("it is another user's");
    remark();
    CHECK(::chown(at("target").c_str(), 1234, 1234) == 0);
    refuses("the directory is another user's, and stays it in no restore");
    CHECK(::chown(at("target").c_str(), 0, 0) == 0);
  }
  remark();
  CHECK(::unlink(at("target/theirs").c_str()) == 0);
  write_file(files(), at("target/f"), as_bytes("cont"));
  must(site().restore(snapshot, at("target")));
  expect_equal(source(), at("target"));
}

TEST_F(Restore, a_target_that_is_given_its_owner_at_the_end_can_be_gone_on_with) {
  if (!is_root()) GTEST_SKIP() << "only root gives away";
  write("f", "content");
  CHECK(::chown(source().c_str(), 1234, 5678) == 0);
  const auto snapshot = capture().snapshot;
  make_directory("target");
  write_file(files(), at("target/f"), as_bytes("cont"));
  CHECK(::chown(at("target").c_str(), 1234, 5678) == 0);
  mark_unfinished("target", snapshot);
  must(site().restore(snapshot, at("target")));
  expect_equal(source(), at("target"));
}

TEST_F(Restore, an_unfinished_target_whose_root_was_closed_can_be_gone_on_with) {
  write("f", "content");
  CHECK(::chmod(source().c_str(), 0555) == 0);
  const auto report = capture();
  make_directory("target");
  write_file(files(), at("target/f"), as_bytes("cont"));
  CHECK(::chmod(at("target").c_str(), 0555) == 0);
  mark_unfinished("target", report.snapshot);
  const auto content = must(site().open(report.snapshot));
  engine::RestoreOptions options;
  options.target = at("target");
  engine::StageTimes times;
  std::uint32_t mode_meanwhile = 0;  // root could write anyway; only the mode shows that others can too
  const auto look = [&](const engine::CaptureProgress&) { mode_meanwhile = must(files().stat(at("target"))).mode; };
  must(engine::restore_snapshot(env_, *content, report.snapshot, options, times, look, {}));
  EXPECT_EQ(mode_meanwhile, 0700U);
  expect_equal(source(), at("target"));
}

TEST_F(Restore, a_target_that_stays_marked_can_be_gone_on_with_until_the_mark_goes) {
  write("f", "content");
  const auto report = capture();
  const auto content = must(site().open(report.snapshot));
  engine::RestoreOptions options;
  options.target = at("target");
  options.ending = engine::Ending::StayMarked;
  engine::StageTimes times;
  const auto restore = [&] {
    return engine::restore_snapshot(env_, *content, report.snapshot, options, times, {}, {});
  };
  EXPECT_EQ(must(restore()).kept_files, 0U);
  {
    options.claimed = must(engine::claim_target(files(), at("target")));
    EXPECT_TRUE(failed_with(engine::claim_target(files(), at("target")), Code::Conflict));
    EXPECT_EQ(must(restore()).kept_files, 1U);
    options.claimed.reset();
  }
  CHECK(engine::unmark_targets(files(), {at("target")}).ok());
  EXPECT_TRUE(failed_with(engine::claim_target(files(), at("target")), Code::Precondition));
  EXPECT_TRUE(failed_with(restore(), Code::Precondition));
  expect_equal(source(), at("target"));
}

TEST_F(Restore, marks_that_are_gone_stay_gone_and_where_one_cannot_be_removed_all_stay) {
  write("f", "content");
  const auto snapshot = capture().snapshot;
  const auto stay_marked = [&](const std::string& target) {
    engine::RestoreOptions options;
    options.target = at(target);
    options.ending = engine::Ending::StayMarked;
    must(site().restore(snapshot, options));
  };
  for (const std::string target : {"a", "b", "c", "d", "e"}) stay_marked(target);
  CHECK(::unlink(at("b.exclave-restore").c_str()) == 0);
  must(engine::unmark_targets(files(), {at("a"), at("b")}));
  EXPECT_TRUE(failed_with(engine::claim_target(files(), at("a")), Code::Precondition)) << "its mark is gone";
  CHECK(::unlink(at("d.exclave-restore").c_str()) == 0);
  make_directory("d.exclave-restore");
  EXPECT_TRUE(failed_with(engine::unmark_targets(files(), {at("c"), at("d")}), Code::Precondition));
  EXPECT_TRUE(is_ok(engine::claim_target(files(), at("c"))));
  CHECK(::chmod(at("e.exclave-restore").c_str(), 0666) == 0);
  EXPECT_TRUE(failed_with(engine::unmark_targets(files(), {at("c"), at("e")}), Code::Precondition));
  EXPECT_EQ(must(files().stat(at("e.exclave-restore"))).mode, 0666U) << "it is not made one of ours";
  must(site().restore(snapshot, at("c")));
  expect_equal(source(), at("c"));
}

TEST_F(Restore, a_target_that_holds_a_part_of_another_snapshot_says_of_which) {
  write("f", "content");
  const auto first = capture().snapshot;
  write("f", "other content");
  const auto second = capture().snapshot;
  make_directory("target");
  EXPECT_EQ(engine::unfinished_in(files(), at("target")), std::nullopt);
  write_file(files(), at("target/f"), as_bytes("cont"));
  EXPECT_EQ(engine::unfinished_in(files(), at("target")), std::nullopt);
  mark_unfinished("target", first);
  EXPECT_EQ(engine::unfinished_in(files(), at("target")), first.hex());
  const auto refused = site().restore(second, at("target"));
  ASSERT_TRUE(failed_with(refused, Code::Precondition));
  EXPECT_THAT(refused.error().message(), ::testing::HasSubstr(first.hex().substr(0, 12)));
  EXPECT_THAT(refused.error().hint_text(), ::testing::HasSubstr("--snapshot " + first.hex().substr(0, 12)));
  must(site().restore(first, at("target")));
  EXPECT_EQ(engine::unfinished_in(files(), at("target")), std::nullopt);
}

TEST_F(Restore, E_what_has_a_directorys_name_in_an_unfinished_target_is_left_alone) {
  make_directory("source/d");
  write("d/f", "content");
  const auto snapshot = capture().snapshot;
  write_file(files(), at("victim"), as_bytes("as it was"));
  make_directory("target");
  mark_unfinished("target", snapshot);
  CHECK(::link(at("victim").c_str(), at("target/d").c_str()) == 0);
  EXPECT_TRUE(failed_with(site().restore(snapshot, at("target")), Code::Precondition));
  EXPECT_EQ(must(files().stat(at("victim"))).mode, 0644U);
}

// A tree of more than one batch, by the number of directories, and a restore of it that was stopped half way.
class InterruptedRestore : public Restore {
 protected:
  void SetUp() override {
    Restore::SetUp();
    for (int d = 0; d < kFiles; ++d) {
      const std::string directory = "d" + std::to_string(1000 + d);
      make_directory("source/" + directory);
      write(directory + "/f", noise(200, static_cast<std::uint64_t>(d)));
    }
    snapshot_ = capture().snapshot;
    content_ = must(site().open(snapshot_));
    interrupt();
  }
  void interrupt() {
    std::stop_source stop;
    const auto wanted = must(files().stat(source("d1000/f")));
    const auto stop_when_some_are_finished = [&](const engine::CaptureProgress& progress) {
      if (progress.files < 1024) return;
      for (int tries = 0; tries < 1000; ++tries) {
        const auto info = files().stat(at("target/d1000/f"));
        if (info.ok() && info.value().modified == wanted.modified) break;
        ignore(env_.clock.sleep_until(env_.clock.monotonic() + std::chrono::milliseconds(10)), "never fails here");
      }
      stop.request_stop();
    };
    EXPECT_TRUE(failed_with(restore(stop_when_some_are_finished, stop.get_token()), Code::Cancelled));
  }
  Result<engine::RestoreReport> restore(const engine::OnProgress& on_progress = {}, std::stop_token stop = {}) {
    engine::RestoreOptions options;
    options.target = at("target");
    engine::StageTimes times;
    return engine::restore_snapshot(env_, *content_, snapshot_, options, times, on_progress, std::move(stop));
  }
  // Other bytes of the same length, under the same time.
  void spoil_quietly(const std::string& path) {
    const auto before = must(files().stat(at(path)));
    write_file(files(), at(path), Bytes(before.size));
    env::FileAttributes time;
    time.modified = before.modified;
    must(must(files().open_directory(env::parent_path(at(path))))->set_attributes(env::base_name(path), time));
  }

  static constexpr int kFiles = 1100;
  format::ObjectName snapshot_;
  std::unique_ptr<engine::SnapshotContent> content_;
};

TEST_F(InterruptedRestore, goes_on_and_keeps_what_was_finished) {
  // A file of the right size that was not finished must not be taken for one that was.
  write_file(files(), at("target/d1001/f"), Bytes(200));
  const auto resumed = must(restore());
  EXPECT_GT(resumed.kept_files, 0U);
  EXPECT_LT(resumed.kept_files, static_cast<std::uint64_t>(kFiles));
  EXPECT_EQ(resumed.problem_count, 0U);
  expect_equal(source(), at("target"));
  EXPECT_TRUE(failed_with(files().stat(at("target.exclave-restore")), Code::NotFound));
}

TEST_F(InterruptedRestore, sets_the_attributes_of_what_was_finished_again) {
  CHECK(::chmod(at("target/d1000/f").c_str(), 0600) == 0);
  EXPECT_GT(must(restore()).kept_files, 0U);
  expect_equal(source(), at("target"));
}

TEST_F(InterruptedRestore, E_a_second_name_in_place_of_a_finished_file_is_replaced_and_what_it_names_left_alone) {
  const auto finished = must(files().stat(at("target/d1000/f")));
  write_file(files(), at("theirs"), Bytes(finished.size), 0600);
  env::FileAttributes time;
  time.modified = finished.modified;
  must(must(files().open_directory(base_.path()))->set_attributes("theirs", time));
  CHECK(::unlink(at("target/d1000/f").c_str()) == 0);
  CHECK(::link(at("theirs").c_str(), at("target/d1000/f").c_str()) == 0);
  must(restore());
  expect_equal(source(), at("target"));
  EXPECT_EQ(must(files().stat(at("theirs"))).mode, 0600U);
  EXPECT_EQ(must(files().stat(at("theirs"))).link_count, 1U);
}

TEST_F(InterruptedRestore, E_a_file_of_somebody_elses_is_not_taken_for_a_finished_one) {
  if (!is_root()) GTEST_SKIP() << "only root gives away";
  spoil_quietly("target/d1000/f");
  CHECK(::chown(at("target/d1000/f").c_str(), 1234, 1234) == 0);
  must(restore());
  expect_equal(source(), at("target"));
}

TEST_F(InterruptedRestore, keeps_what_was_finished_when_the_vaults_go_away) {
  for (const auto& tap : site_taps_) tap->is_down = true;
  EXPECT_TRUE(failed_with(restore(), Code::Unavailable));
  for (const auto& tap : site_taps_) tap->is_down = false;
  EXPECT_GT(must(restore()).kept_files, 0U);
  expect_equal(source(), at("target"));
}

TEST_F(InterruptedRestore, trusts_nothing_after_a_power_loss_not_even_when_it_is_interrupted_again) {
  const std::string marker = at("target.exclave-restore");
  write_file(files(), marker, as_bytes(mark_of("target", snapshot_, "00000000-0000-0000-0000-000000000000")));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(failed_with(restore({}, stop.get_token()), Code::Cancelled)) << "the first run after the power loss";
  spoil_quietly("target/d1000/f");
  EXPECT_EQ(must(restore()).kept_files, 0U);
  expect_equal(source(), at("target"));
}

TEST_F(Restore, a_part_does_not_finish_what_a_wider_restore_began) {
  write("a", "1");
  write("b", "2");
  const auto report = capture();
  engine::RestoreOptions options;
  options.target = at("target");
  const auto with = [&](const std::vector<std::string>& paths) {
    options.paths = paths;
    return site().restore(report.snapshot, options);
  };
  make_directory("target");
  write_file(files(), at("target/a"), as_bytes("unfinished"));
  mark_unfinished("target", report.snapshot);
  must(with({"b"}));
  EXPECT_TRUE(is_ok(files().stat(at("target.exclave-restore")))) << "all of it was wanted once";
  must(with({}));
  EXPECT_TRUE(failed_with(files().stat(at("target.exclave-restore")), Code::NotFound));
  expect_equal(source(), at("target"));
  mark_unfinished("target", report.snapshot, std::string("a\0", 2));
  must(with({"b"}));
  EXPECT_TRUE(is_ok(files().stat(at("target.exclave-restore")))) << "a is wanted still";
  must(with({"b", "a"}));
  EXPECT_TRUE(failed_with(files().stat(at("target.exclave-restore")), Code::NotFound));
}

}  // namespace
}  // namespace exclave::realm_tests
