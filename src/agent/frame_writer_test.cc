#include "agent/frame_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "posix/world.h"

namespace exclave::agent {
namespace {

using ::testing::HasSubstr;

constexpr pg::Timeline kFirstTimeline(1);
constexpr std::size_t kLittle = 1000;
constexpr std::size_t kMuch = 128 * 1024;

class FrameWriterTest : public ::testing::Test {
 protected:
  // A journal that keeps whose thread appended, and says what it was told to say.
  Result<format::FrameNumber> append(ByteView record) {
    const env::MonitorLock lock(*monitor_);
    while (is_stuck_) monitor_->wait();
    if (error_.has_value()) return *error_;
    const auto decoded = format::decode_record(record);
    EXPECT_TRUE(decoded.ok());
    starts_.push_back(std::get<format::JournalLog>(decoded.value()).start.value());
    threads_.push_back(std::this_thread::get_id());
    return format::FrameNumber(starts_.size() - 1);
  }
  void set_stuck(bool stuck) {
    const env::MonitorLock lock(*monitor_);
    is_stuck_ = stuck;
    monitor_->notify_all();
  }
  std::unique_ptr<FrameWriter> start() {
    auto writer = FrameWriter::start(
        world_.env().threads, "people", [this](ByteView record) { return append(record); }, [this] { ++woken_; });
    EXPECT_TRUE(writer.ok());
    return writer.take();
  }
  void gather(std::size_t bytes) {
    framer_.add(kFirstTimeline, pg::Lsn(at_), Bytes(bytes, 7));
    at_ += bytes;
  }

  posix::World world_;
  const std::unique_ptr<env::Monitor> monitor_ = world_.env().threads.make_monitor();
  LogFramer framer_;
  std::uint64_t at_ = 100;
  std::atomic<int> woken_ = 0;
  // Under monitor_:
  bool is_stuck_ = false;
  std::optional<Error> error_;
  std::vector<std::uint64_t> starts_;
  std::vector<decltype(std::this_thread::get_id())> threads_;
};

TEST_F(FrameWriterTest, a_commit_is_appended_before_write_returns) {
  const auto writer = start();
  gather(kLittle);
  ASSERT_TRUE(writer->write(framer_, 1).ok());
  EXPECT_TRUE(framer_.is_empty());
  ASSERT_EQ(threads_.size(), 1U);
  EXPECT_TRUE(threads_[0] == std::this_thread::get_id());
  const auto written = writer->take_written();
  ASSERT_TRUE(written.ok());
  ASSERT_EQ(written.value().size(), 1U);
  EXPECT_EQ(written.value()[0].end, pg::Lsn(100 + kLittle));
  EXPECT_EQ(written.value()[0].commits, 1U);
  EXPECT_GT(written.value()[0].bytes, kLittle);
  EXPECT_TRUE(writer->take_written().value().empty()) << "said once";
}

TEST_F(FrameWriterTest, a_full_frame_is_appended_while_the_next_is_gathered_and_order_is_kept) {
  const auto writer = start();
  set_stuck(true);
  gather(kMuch);
  ASSERT_TRUE(writer->write(framer_, 1).ok()) << "returns although the journal takes nothing";
  EXPECT_TRUE(framer_.is_empty());
  gather(kLittle);
  EXPECT_TRUE(writer->take_written().value().empty());
  set_stuck(false);
  ASSERT_TRUE(writer->write(framer_, 2).ok());
  gather(kMuch);
  ASSERT_TRUE(writer->write(framer_, 3).ok());
  ASSERT_TRUE(writer->settle().ok());
  const auto written = writer->take_written();
  ASSERT_TRUE(written.ok());
  ASSERT_EQ(written.value().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(written.value()[i].frame.value(), i);
    EXPECT_EQ(written.value()[i].commits, i + 1);
  }
  EXPECT_EQ(starts_, (std::vector<std::uint64_t>{100, 100 + kMuch, 100 + kMuch + kLittle}));
  EXPECT_TRUE(threads_[0] != std::this_thread::get_id());
  EXPECT_GT(woken_.load(), 0) << "or nobody would hear of it until something else happens";
}

TEST_F(FrameWriterTest, the_first_failure_is_told_by_every_later_call) {
  const auto writer = start();
  error_ = Error(Code::Exhausted, "the spool's disk is full");
  gather(kMuch);
  ASSERT_TRUE(writer->write(framer_, 1).ok());
  const Status settled = writer->settle();
  ASSERT_FALSE(settled.ok());
  EXPECT_THAT(settled.error().message(), HasSubstr("disk is full"));
  gather(kLittle);
  EXPECT_FALSE(writer->write(framer_, 2).ok());
  EXPECT_FALSE(writer->take_written().ok());
}

TEST_F(FrameWriterTest, ends_although_a_frame_was_just_given) {
  auto writer = start();
  gather(kMuch);
  ASSERT_TRUE(writer->write(framer_, 1).ok());
  writer.reset();
}

}  // namespace
}  // namespace exclave::agent
