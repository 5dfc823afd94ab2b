#include "engine/wal_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"
#include "tests/realm/turning_files.h"

namespace exclave::engine {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kSegment = 1U << 20;
constexpr pg::Timeline kOne(1);
constexpr pg::Timeline kTwo(2);

Bytes log_at(std::uint64_t from, std::uint64_t to) {
  Bytes bytes;
  for (std::uint64_t at = from; at < to; ++at) bytes.push_back(static_cast<Byte>(at * 7 % 251 + 1));
  return bytes;
}

class WalDirectory : public ::testing::Test {
 protected:
  WalDirectory() { writer_ = WalDirectoryWriter::create(files_, directory(), size_, pg::Lsn(kSegment + 40)).take(); }
  std::string directory() const { return scratch_ / "wal"; }
  Status add(pg::Timeline timeline, std::uint64_t from, std::uint64_t to) {
    return writer_->add(timeline, pg::Lsn(from), log_at(from, to));
  }
  WalPlan plan_to(std::uint64_t end) const {
    return {pg::SystemIdentifier(9), size_, {{kOne, pg::Lsn(kSegment + 40), pg::Lsn(end)}}};
  }
  void publish(const WalPlan& plan) {
    ASSERT_TRUE(writer_->plan(plan).ok());
    hold_ = std::move(*std::exchange(writer_, nullptr)).finish();
    ASSERT_TRUE(hold_->publish().ok());
  }
  Result<FetchOutcome> fetch(const std::string& name) const {
    return fetch_wal(files_, directory(), name, scratch_ / "fetched");
  }

  mutable posix::World world_;
  env::FileSystem& files_ = world_.env().files;
  const pg::SegmentSize size_ = pg::SegmentSize::of(kSegment).take();
  conformance::ScratchDirectory scratch_{"wal"};
  std::unique_ptr<WalDirectoryWriter> writer_;
  std::unique_ptr<WalDirectoryHold> hold_;
};

TEST_F(WalDirectory, ends_exactly_where_the_plan_says_with_zeros_behind) {
  ASSERT_TRUE(add(kOne, kSegment - 100, 3 * kSegment + 500).ok());
  publish(plan_to(2 * kSegment + 77));
  const auto fetched = fetch("000000010000000000000002");
  ASSERT_TRUE(fetched.ok()) << fetched.error().message();
  const Bytes segment = files_.read_file(scratch_ / "fetched", kSegment).take();
  ASSERT_EQ(segment.size(), kSegment);
  EXPECT_EQ(Bytes(segment.begin(), segment.begin() + 77), log_at(2 * kSegment, 2 * kSegment + 77));
  EXPECT_EQ(Bytes(segment.begin() + 77, segment.end()), Bytes(kSegment - 77, 0));
  EXPECT_EQ(fetch("000000010000000000000003").value(), FetchOutcome::Absent) << "behind the end";
  EXPECT_EQ(fetch("00000002.history").value(), FetchOutcome::Absent);
  EXPECT_EQ(fetch("000000010000000000000000").error().code(), Code::Precondition) << "before what is here";
  const auto unknown = fetch("000000010000000000000001.partial");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code(), Code::InvalidInput);
  EXPECT_THAT(unknown.error().message(), HasSubstr("000000010000000000000001.partial"));
  EXPECT_THAT(unknown.error().message(), HasSubstr(directory()));
}

TEST_F(WalDirectory, nothing_is_given_out_before_the_plan_and_a_missing_file_is_no_absence) {
  ASSERT_TRUE(add(kOne, kSegment, 2 * kSegment + 10).ok());
  EXPECT_EQ(fetch("000000010000000000000001").error().code(), Code::NotFound);
  ASSERT_TRUE(writer_->plan(plan_to(2 * kSegment + 10)).ok());
  EXPECT_EQ(fetch("000000010000000000000001").error().code(), Code::NotFound) << "it has no name yet";
  publish(plan_to(2 * kSegment + 10));
  std::filesystem::remove(directory() + "/000000010000000000000001");
  EXPECT_EQ(fetch("000000010000000000000001").error().code(), Code::NotFound);
  std::filesystem::resize_file(directory() + "/000000010000000000000002", 5);
  EXPECT_EQ(fetch("000000010000000000000002").error().code(), Code::Corrupt);
}

TEST_F(WalDirectory, streams_overlap_with_equal_bytes_or_the_server_went_two_ways) {
  ASSERT_TRUE(add(kOne, kSegment, kSegment + 9000).ok());
  ASSERT_TRUE(add(kOne, kSegment + 5000, kSegment + 12'000).ok());
  EXPECT_EQ(writer_->extents().at(kOne).to, pg::Lsn(kSegment + 12'000));
  Bytes other = log_at(kSegment + 11'000, kSegment + 13'000);
  other[500] ^= 1;
  EXPECT_EQ(writer_->add(kOne, pg::Lsn(kSegment + 11'000), other).error().code(), Code::Conflict);
  EXPECT_EQ(writer_->extents().at(kOne).to, pg::Lsn(kSegment + 11'500)) << "where they part";
  const Status gap = add(kOne, kSegment + 20'000, kSegment + 21'000);
  EXPECT_EQ(gap.error().code(), Code::Precondition);
  EXPECT_THAT(gap.error().message(), HasSubstr("is missing from 0/102CEC to 0/104E20"));
}

TEST_F(WalDirectory, a_timelines_first_segment_begins_with_its_parents_bytes) {
  const std::uint64_t left = 2 * kSegment + 3000;
  ASSERT_TRUE(add(kOne, kSegment, left + 800).ok());
  ASSERT_TRUE(writer_->add_history(kTwo, as_bytes("1\t0/200BB8\tpromoted\n")).ok());
  ASSERT_TRUE(writer_->add(kTwo, pg::Lsn(left), Bytes(100, 0xee)).ok());
  const WalPlan plan{pg::SystemIdentifier(9),
                     size_,
                     {{kOne, pg::Lsn(kSegment + 40), pg::Lsn(left)}, {kTwo, pg::Lsn(left), pg::Lsn(left + 100)}}};
  publish(plan);
  ASSERT_EQ(fetch("000000020000000000000002").value(), FetchOutcome::HandedOver);
  const Bytes segment = files_.read_file(scratch_ / "fetched", kSegment).take();
  EXPECT_EQ(Bytes(segment.begin(), segment.begin() + 3000), log_at(2 * kSegment, left));
  EXPECT_EQ(Bytes(segment.begin() + 3000, segment.begin() + 3100), Bytes(100, 0xee));
  EXPECT_EQ(fetch("00000002.history").value(), FetchOutcome::HandedOver);
  EXPECT_EQ(fetch("00000003.history").value(), FetchOutcome::Absent);
}

TEST_F(WalDirectory, E_a_link_is_not_taken_for_the_directory) {
  std::filesystem::create_directory(scratch_ / "elsewhere");
  std::filesystem::create_directory_symlink(scratch_ / "elsewhere", scratch_ / "link");
  for (const std::string name : {"link", "link/"}) {
    EXPECT_EQ(WalDirectoryWriter::create(files_, scratch_ / name, size_, pg::Lsn(0)).error().code(),
              Code::Precondition);
  }
  EXPECT_EQ(WalDirectoryWriter::create(files_, scratch_ / "elsewhere/.", size_, pg::Lsn(0)).error().code(),
            Code::InvalidInput);
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "elsewhere"));
}

TEST_F(WalDirectory, E_what_somebody_else_put_beside_the_log_is_not_given_away) {
  ASSERT_TRUE(add(kOne, kSegment, kSegment + 10'000).ok());
  ASSERT_TRUE(writer_->plan(plan_to(kSegment + 10'000)).ok());
  hold_ = std::move(*std::exchange(writer_, nullptr)).finish();
  ASSERT_TRUE(env::create_file_durably(files_, scratch_ / "victim", as_bytes("theirs"), 0600).ok());
  std::filesystem::create_hard_link(scratch_ / "victim", directory() + "/000000010000000000000009");
  const env::FileOwner us{::geteuid(), ::getegid()};
  EXPECT_EQ(hold_->give_to(us).error().code(), Code::Precondition);
  std::filesystem::remove(directory() + "/000000010000000000000009");
  EXPECT_TRUE(hold_->give_to(us).ok());
}

TEST_F(WalDirectory, E_a_directory_that_others_could_write_into_is_closed_and_a_failed_restore_leaves_it_as_it_was) {
  constexpr std::uint32_t kSomebody = 1234;
  const bool is_root = ::geteuid() == 0;
  writer_.reset();
  std::filesystem::create_directory(directory());
  ASSERT_EQ(::chmod(directory().c_str(), 0777), 0);
  ASSERT_TRUE(!is_root || ::chown(directory().c_str(), kSomebody, kSomebody) == 0);
  writer_ = WalDirectoryWriter::create(files_, directory(), size_, pg::Lsn(kSegment)).take();
  EXPECT_EQ(files_.stat(directory()).value().user, ::geteuid());
  EXPECT_EQ(files_.stat(directory()).value().mode, env::kPrivateDirectory);
  writer_.reset();
  EXPECT_EQ(files_.stat(directory()).value().user, is_root ? kSomebody : ::geteuid());
  EXPECT_EQ(files_.stat(directory()).value().mode, 0777U);
}

TEST_F(WalDirectory, E_a_file_that_somebody_else_put_under_a_segments_name_is_not_written_to) {
  ASSERT_TRUE(env::create_file_durably(files_, scratch_ / "victim", Bytes(kSegment, 7), 0600).ok());
  const auto put = [&](const std::string& name) {
    std::filesystem::create_hard_link(scratch_ / "victim", directory() + "/" + name);
  };
  const auto is_untouched = [&] {
    return files_.read_file(scratch_ / "victim", kSegment).take() == Bytes(kSegment, 7);
  };
  put("000000010000000000000001");
  EXPECT_EQ(add(kOne, kSegment, kSegment + 100).error().code(), Code::Precondition) << "it was there before";
  EXPECT_TRUE(is_untouched());

  std::filesystem::remove(directory() + "/000000010000000000000001");
  ASSERT_TRUE(add(kOne, kSegment, 3 * kSegment + 100).ok());
  std::filesystem::remove(directory() + "/000000010000000000000002");
  put("000000010000000000000002");
  EXPECT_EQ(writer_->plan(plan_to(2 * kSegment + 77)).error().code(), Code::Precondition) << "it came in its place";
  EXPECT_TRUE(is_untouched());
}

// Whoever owns what is above it puts something else in its place while the log is fetched.
TEST_F(WalDirectory, E_what_has_its_place_by_then_stays_when_a_restore_fails) {
  writer_ = WalDirectoryWriter::create(files_, scratch_ / "above/wal", size_, pg::Lsn(kSegment)).take();
  std::filesystem::rename(scratch_ / "above", scratch_ / "moved");
  std::filesystem::create_directories(scratch_ / "theirs/wal");
  std::filesystem::create_directory_symlink(scratch_ / "theirs", scratch_ / "above");
  ASSERT_TRUE(add(kOne, kSegment, kSegment + 100).ok());
  writer_.reset();
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "theirs/wal"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "moved/wal")) << "what this restore made";

  writer_ = WalDirectoryWriter::create(files_, directory(), size_, pg::Lsn(kSegment)).take();
  std::filesystem::rename(directory(), scratch_ / "elsewhere");
  std::filesystem::create_directory(directory());
  ASSERT_TRUE(add(kOne, kSegment, kSegment + 100).ok());
  writer_.reset();
  EXPECT_TRUE(std::filesystem::exists(directory()));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "elsewhere")) << "the log went, where it was";
}

TEST_F(WalDirectory, E_what_was_opened_is_begun_though_its_name_is_given_away_meanwhile) {
  writer_.reset();
  realm_tests::TurningFiles turning(files_);
  bool is_turned = false;
  turning.retell = [&](env::FileInfo&) {
    if (!std::exchange(is_turned, true)) std::filesystem::rename(directory(), scratch_ / "elsewhere");
  };
  const auto begun = WalDirectoryWriter::create(turning, directory(), size_, pg::Lsn(kSegment));
  ASSERT_TRUE(is_turned);
  ASSERT_TRUE(begun.ok()) << begun.error().message();
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "elsewhere/restore.unfinished"));
}

// Whoever may write into an archive could have the next restore remove it.
TEST_F(WalDirectory, E_a_mark_that_somebody_else_can_have_made_removes_nothing) {
  writer_.reset();
  std::filesystem::create_directory(directory());
  ASSERT_EQ(::chmod(directory().c_str(), 0755), 0);
  for (const char* name : {"wal/000000010000000000000001", "theirs"})
    ASSERT_TRUE(env::create_file_durably(files_, scratch_ / name, as_bytes("made\n"), 0600).ok());
  std::filesystem::create_hard_link(scratch_ / "theirs", directory() + "/restore.unfinished");
  EXPECT_EQ(WalDirectoryWriter::create(files_, directory(), size_, pg::Lsn(kSegment)).error().code(),
            Code::Precondition);
  EXPECT_TRUE(std::filesystem::exists(directory() + "/000000010000000000000001"));
  EXPECT_EQ(files_.stat(directory()).value().mode, 0755U) << "nor is it closed to those who use it";
}

TEST_F(WalDirectory, is_given_away_with_all_but_the_mark_by_which_the_next_restore_knows_it) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving files away takes root";
  constexpr std::uint32_t kServer = 1234;
  ASSERT_TRUE(add(kOne, kSegment, kSegment + 100).ok());
  ASSERT_TRUE(writer_->plan(plan_to(kSegment + 100)).ok());
  hold_ = std::move(*std::exchange(writer_, nullptr)).finish();
  ASSERT_TRUE(hold_->give_to({kServer, kServer}).ok());
  EXPECT_EQ(files_.stat(directory()).value().user, kServer);
  EXPECT_EQ(files_.stat(directory() + "/000000010000000000000001").value().user, kServer);
  EXPECT_EQ(files_.stat(directory() + "/restore.unfinished").value().user, 0U);
}

TEST_F(WalDirectory, is_made_below_directories_that_a_server_can_come_through) {
  const ::mode_t before = ::umask(022);
  const auto deep = WalDirectoryWriter::create(files_, scratch_ / "srv/log/wal/", size_, pg::Lsn(kSegment));
  ::umask(before);
  ASSERT_TRUE(deep.ok()) << deep.error().message();
  EXPECT_EQ(files_.stat(scratch_ / "srv").value().mode, 0711U);
  EXPECT_EQ(files_.stat(scratch_ / "srv/log").value().mode, 0711U);
  EXPECT_EQ(files_.stat(scratch_ / "srv/log/wal").value().mode, 0700U);
}

TEST_F(WalDirectory, a_slash_behind_its_name_makes_no_difference) {
  writer_.reset();
  writer_ = WalDirectoryWriter::create(files_, directory() + "//", size_, pg::Lsn(kSegment)).take();
  writer_.reset();
  EXPECT_FALSE(std::filesystem::exists(directory()));
}

TEST_F(WalDirectory, a_plan_over_a_timeline_whose_history_is_missing_is_refused) {
  ASSERT_TRUE(add(kOne, kSegment, kSegment + 3000).ok());
  ASSERT_TRUE(add(kTwo, kSegment + 3000, kSegment + 3100).ok());
  const WalPlan plan{pg::SystemIdentifier(9),
                     size_,
                     {{kOne, pg::Lsn(kSegment + 40), pg::Lsn(kSegment + 3000)},
                      {kTwo, pg::Lsn(kSegment + 3000), pg::Lsn(kSegment + 3100)}}};
  const Status refused = writer_->plan(plan);
  ASSERT_FALSE(refused.ok()) << "a server would stop at it";
  EXPECT_EQ(refused.error().code(), Code::NotFound);
  EXPECT_THAT(refused.error().message(), HasSubstr("timeline 2"));
  ASSERT_TRUE(writer_->add_history(kTwo, as_bytes("1\t0/100BB8\tpromoted\n")).ok());
  EXPECT_TRUE(writer_->plan(plan).ok());
}

// Found by review: a base of a standby that was promoted before its segment was full.
TEST_F(WalDirectory, a_timeline_that_begins_in_the_first_file_has_all_of_that_files_beginning) {
  const std::uint64_t begin = kSegment + 40;
  const std::uint64_t left = kSegment + 3000;
  ASSERT_TRUE(add(kOne, kSegment, left).ok());
  ASSERT_TRUE(writer_->add_history(kTwo, as_bytes("1\t0/100BB8\tpromoted\n")).ok());
  ASSERT_TRUE(writer_->add(kTwo, pg::Lsn(left), Bytes(100, 0xee)).ok());
  const WalPlan plan{pg::SystemIdentifier(9),
                     size_,
                     {{kOne, pg::Lsn(begin), pg::Lsn(left)}, {kTwo, pg::Lsn(left), pg::Lsn(left + 100)}}};
  publish(plan);
  ASSERT_EQ(fetch("000000020000000000000001").value(), FetchOutcome::HandedOver);
  const Bytes segment = files_.read_file(scratch_ / "fetched", kSegment).take();
  EXPECT_EQ(Bytes(segment.begin(), segment.begin() + 3000), log_at(kSegment, left));
}

TEST_F(WalDirectory, a_branch_of_the_same_number_goes_for_the_one_whose_history_comes_last) {
  const pg::Timeline three(3);
  ASSERT_TRUE(add(kOne, kSegment, 2 * kSegment).ok());
  ASSERT_TRUE(writer_->add_history(kTwo, as_bytes("1\t0/180000\n")).value().empty());
  ASSERT_TRUE(add(kTwo, kSegment + 0x80000, 2 * kSegment + 100).ok());
  ASSERT_TRUE(writer_->add_history(three, as_bytes("1\t0/180000\n2\t0/1F0000\n")).value().empty());
  ASSERT_TRUE(add(three, kSegment + 0xf0000, 2 * kSegment + 200).ok());
  EXPECT_TRUE(writer_->add_history(kTwo, as_bytes("1\t0/180000\n")).value().empty()) << "the same again";

  const auto dropped = writer_->add_history(kTwo, as_bytes("1\t0/170000\n")).take();
  ASSERT_EQ(dropped.size(), 2U) << "and what descends from it";
  EXPECT_EQ(dropped.at(kTwo)->to, pg::Lsn(2 * kSegment + 100));
  EXPECT_EQ(dropped.at(three)->to, pg::Lsn(2 * kSegment + 200));
  EXPECT_EQ(writer_->extents().size(), 1U);
  EXPECT_FALSE(writer_->has_history(three));
  EXPECT_TRUE(writer_->has_history(kTwo));
  EXPECT_FALSE(std::filesystem::exists(directory() + "/000000020000000000000001"));
  ASSERT_TRUE(add(kTwo, kSegment + 0x70000, kSegment + 0x90000).ok());
  const auto again = writer_->add_history(three, as_bytes("1\t0/160000\n2\t0/1F0000\n")).take();
  EXPECT_EQ(again.size(), 1U) << "a later timeline knows better which one it came from";
}

TEST_F(WalDirectory, is_for_one_restore_at_a_time) {
  const auto second = WalDirectoryWriter::create(files_, directory(), size_, pg::Lsn(kSegment));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::Conflict);
  EXPECT_THAT(second.error().message(), HasSubstr("another restore is at work in"));
  ASSERT_TRUE(add(kOne, kSegment, kSegment + 10).ok());
  EXPECT_TRUE(std::filesystem::exists(directory() + "/000000010000000000000001")) << "the second took something away";
}

TEST_F(WalDirectory, is_gone_with_a_restore_that_failed_and_stays_for_a_server) {
  ASSERT_TRUE(add(kOne, kSegment, 2 * kSegment + 10).ok());
  writer_.reset();
  EXPECT_FALSE(std::filesystem::exists(directory())) << "a log without a plan";

  const auto write = [&] {
    writer_ = WalDirectoryWriter::create(files_, directory(), size_, pg::Lsn(kSegment)).take();
    EXPECT_TRUE(add(kOne, kSegment, kSegment + 10).ok());
    EXPECT_TRUE(writer_->plan(plan_to(kSegment + 50)).ok());
    return std::move(*std::exchange(writer_, nullptr)).finish();
  };
  write().reset();
  EXPECT_FALSE(std::filesystem::exists(directory())) << "a log that no server was led to";

  std::filesystem::create_directory(directory());
  write().reset();
  EXPECT_TRUE(std::filesystem::is_empty(directory())) << "an operator's directory stays";

  {
    const auto kept = write();
    ASSERT_TRUE(kept->publish().ok());
    kept->keep();
  }
  EXPECT_TRUE(std::filesystem::exists(directory() + "/wal.plan"));
  EXPECT_FALSE(std::filesystem::exists(directory() + "/restore.unfinished"));
  const auto again = WalDirectoryWriter::create(files_, directory(), size_, pg::Lsn(kSegment));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), Code::Precondition);
  EXPECT_TRUE(std::filesystem::exists(directory() + "/wal.plan")) << "a server may use it";
}

TEST_F(WalDirectory, what_a_restore_that_was_killed_left_is_removed_by_the_next_one_and_nothing_else_is) {
  constexpr const char* kSegmentFile = "000000010000000000000001";
  const auto leave = [&](const std::map<std::string, std::string>& names) {
    writer_.reset();
    std::filesystem::remove_all(directory());
    std::filesystem::create_directory(directory());
    for (const auto& [name, text] : names) {
      ASSERT_TRUE(env::create_file_durably(files_, directory() + "/" + name, as_bytes(text), 0600).ok());
    }
  };
  const auto begin = [&] { return WalDirectoryWriter::create(files_, directory(), size_, pg::Lsn(kSegment)); };
  for (const char* origin : {"made\n", "found\n"}) {
    leave({{kSegmentFile, "log"},
           {"00000002.history", "1"},
           {".tmp-0123456789abcdef", "plan"},
           {"restore.unfinished", origin}});
    writer_ = begin().take();
    EXPECT_FALSE(std::filesystem::exists(directory() + "/" + kSegmentFile));
    writer_.reset();
    EXPECT_EQ(std::filesystem::exists(directory()), origin == std::string("found\n"))
        << "as before the one that was killed";
  }
  // A log that was published; an archive that is none of ours; somebody's draft.
  for (const auto& names : {std::map<std::string, std::string>{
                                {kSegmentFile, "log"}, {"restore.unfinished", "made\n"}, {"wal.plan", "plan"}},
                            std::map<std::string, std::string>{{kSegmentFile, "log"}, {"00000002.history", "1"}},
                            std::map<std::string, std::string>{{".tmp-0123456789abcdef", "a draft"}}}) {
    leave(names);
    const auto refused = begin();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::Precondition);
    for (const auto& [name, text] : names) EXPECT_TRUE(std::filesystem::exists(directory() + "/" + name)) << name;
  }
}

TEST(wal_plan, round_trips_and_refuses_what_does_not_follow) {
  const WalPlan plan{pg::SystemIdentifier(7),
                     pg::SegmentSize(),
                     {{kOne, pg::Lsn(40), pg::Lsn(900)}, {kTwo, pg::Lsn(900), pg::Lsn(1000)}}};
  const auto read = WalPlan::parse(as_bytes(plan.text()), "p");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().ranges, plan.ranges);
  const std::string head = "exclave/wal-plan/v1\nsystem 7\nsegment-bytes 16777216\n";
  for (const std::string& wrong :
       {head, head + "timeline 1 0/28\n", head + "timeline 1 0/28 0/20\n", head + "timeline x 0/28 0/30\n",
        head + "timeline 1 0/28 0/30\ntimeline 2 0/31 0/40\n", head + "timeline 2 0/28 0/30\ntimeline 1 0/30 0/40\n",
        std::string("exclave/wal-plan/v1\nsystem 7\nsegment-bytes 5\ntimeline 1 0/28 0/30\n")}) {
    const auto refused = WalPlan::parse(as_bytes(wrong), "/x/wal.plan");
    ASSERT_FALSE(refused.ok()) << wrong;
    EXPECT_THAT(refused.error().message(), HasSubstr("/x/wal.plan")) << wrong;
  }
}

}  // namespace
}  // namespace exclave::engine
