#include "env/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace exclave::env {
namespace {

// Takes a few bytes per call, and fails after a given number of calls.
class ShortWriter : public Connection {
 public:
  ShortWriter(std::size_t bytes_per_call, int calls) : bytes_per_call_(bytes_per_call), calls_left_(calls) {}

  Result<std::size_t> read_some(MutableByteView, Instant) override { return Error(Code::Bug, "not read from"); }
  Result<std::size_t> write_some(ByteView data, Instant deadline) override {
    if (calls_left_-- == 0) return Error(Code::Unavailable, "cut");
    const std::size_t n = std::min(bytes_per_call_, data.size());
    written_ += as_text(data.first(n));
    last_deadline_ = deadline;
    return n;
  }
  bool is_readable() override { return false; }
  bool takes_at_once(std::size_t) override { return false; }
  std::shared_ptr<const Watch> wake_when_readable(Waker&) override { return nullptr; }
  void shutdown() override {}
  std::string peer_address() const override { return "test"; }

  const std::string& written() const { return written_; }
  Instant last_deadline() const { return last_deadline_; }

 private:
  const std::size_t bytes_per_call_;
  int calls_left_;
  std::string written_;
  Instant last_deadline_;
};

TEST(NetworkTest, write_all_goes_on_until_all_is_written) {
  ShortWriter writer(3, 100);
  EXPECT_TRUE(write_all(writer, as_bytes("ten  bytes"), {42}).ok());
  EXPECT_EQ(writer.written(), "ten  bytes");
  EXPECT_EQ(writer.last_deadline().nanoseconds, 42) << "one deadline for the whole";
}

TEST(NetworkTest, write_all_passes_an_error_up) {
  ShortWriter writer(3, 2);
  const Status status = write_all(writer, as_bytes("ten  bytes"), {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message(), "cut");
  EXPECT_EQ(writer.written(), "ten  b");
}

TEST(NetworkTest, write_all_of_nothing_does_not_touch_the_connection) {
  ShortWriter writer(3, 0);
  EXPECT_TRUE(write_all(writer, {}, {}).ok());
}

}  // namespace
}  // namespace exclave::env
