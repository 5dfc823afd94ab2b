// What a server that lies, stumbles or falls silent may send to a receiver.
#include <gtest/gtest.h>

#include "pg/replication.h"
#include "pg/testing/fake_server.h"
#include "posix/world.h"

namespace exclave::pg {
namespace {

using testing::copy_both;
using testing::copy_data;
using testing::copy_done;
using testing::FakeServer;
using testing::ready;
using testing::rows;
using testing::wal_data;

constexpr std::uint64_t kStart = 0x1000000;

class ReplicationProtocol : public ::testing::Test {
 protected:
  Until soon(std::chrono::nanoseconds patience = std::chrono::seconds(20)) {
    return {env_.clock.monotonic() + patience, {}};
  }
  // The last event of a stream that a server begins with `sent`, after `good` whole ones.
  Result<WalEvent> event_after(const std::string& sent, int good = 0) {
    server_ = std::make_unique<FakeServer>(env_, std::vector<std::string>{copy_both() + sent});
    connection_ = std::make_unique<ReplicationConnection>(
        ReplicationConnection::open(env_.clock, server_->endpoint(), soon()).take());
    TRY(connection_->start_replication("", Lsn(kStart), Timeline(1), soon()));
    for (int i = 0; i < good; ++i) TRY(connection_->next(soon()));
    return connection_->next(soon());
  }
  void TearDown() override {
    connection_.reset();  // first, so that the server's thread ends
    server_.reset();
  }

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<ReplicationConnection> connection_;
};

TEST_F(ReplicationProtocol, data_that_joins_is_taken) {
  const auto event = event_after(wal_data(kStart, "abc") + wal_data(kStart + 3, "de"), 1);
  ASSERT_TRUE(event.ok()) << event.error().message();
  EXPECT_EQ(as_text(std::get<WalData>(event.value()).bytes), "de");
  EXPECT_EQ(connection_->received(), Lsn(kStart + 5));
}

TEST_F(ReplicationProtocol, a_waker_ends_the_wait_and_the_stream_is_whole) {
  ASSERT_TRUE(event_after(wal_data(kStart, "abc")).ok());
  const auto waker = env_.network.make_waker();
  ASSERT_TRUE(waker.ok());
  waker.value()->wake();
  const Until until = soon();
  const auto event = connection_->next(until, waker.value().get());
  ASSERT_TRUE(event.ok()) << event.error().message();
  EXPECT_TRUE(std::holds_alternative<Nothing>(event.value()));
  EXPECT_LT(env_.clock.monotonic(), until.deadline);
  EXPECT_TRUE(connection_->is_streaming());
}

TEST_F(ReplicationProtocol, a_gap_or_an_overlap_is_corrupt) {
  for (const std::uint64_t second : {kStart + 4, kStart + 2, kStart}) {
    const auto event = event_after(wal_data(kStart, "abc") + wal_data(second, "de"), 1);
    ASSERT_FALSE(event.ok());
    EXPECT_EQ(event.error().code(), Code::Corrupt) << event.error().message();
    EXPECT_NE(event.error().message().find("0/1000003"), std::string::npos) << event.error().message();
    TearDown();
  }
}

TEST_F(ReplicationProtocol, malformed_messages_are_corrupt) {
  const std::string keepalive = "k" + std::string(17, '\0');
  for (const std::string& bad : {std::string("x"), std::string("w"), "w" + std::string(23, '\0'), keepalive + "x",
                                 keepalive.substr(1), std::string("k"), std::string(100, 'z')}) {
    const auto event = event_after(copy_data(bad));
    ASSERT_FALSE(event.ok()) << bad;
    EXPECT_EQ(event.error().code(), Code::Corrupt) << event.error().message();
    TearDown();
  }
}

TEST_F(ReplicationProtocol, a_next_timeline_must_be_newer_and_whole) {
  for (const auto& row : {testing::Cells{"1", "0/1000000"}, testing::Cells{"0", "0/1000000"}, testing::Cells{"2", "x"},
                          testing::Cells{"2", std::nullopt}, testing::Cells{"99999999999", "0/1000000"}}) {
    const auto event = event_after(copy_done() + rows({row}, 2) + ready());
    ASSERT_FALSE(event.ok());
    TearDown();
  }
  const auto event = event_after(copy_done() + rows({{"5", "0/F00000"}}, 2) + ready());
  ASSERT_TRUE(event.ok()) << event.error().message();
  EXPECT_EQ(std::get<TimelineEnded>(event.value()).next, Timeline(5));
}

TEST_F(ReplicationProtocol, errors_within_a_stream_keep_their_meaning) {
  auto event =
      event_after(testing::server_error("58P01", "requested WAL segment 0001 has already been removed") + ready());
  ASSERT_FALSE(event.ok());
  EXPECT_EQ(event.error().code(), Code::Precondition) << event.error().message();
  TearDown();
  event = event_after(testing::server_error("57P01", "terminating\x1b[31m connection") + ready());
  ASSERT_FALSE(event.ok());
  EXPECT_EQ(event.error().code(), Code::Unavailable);
  EXPECT_EQ(event.error().message().find('\x1b'), std::string::npos) << "control characters must not reach a terminal";
}

TEST_F(ReplicationProtocol, versions_outside_13_to_17_are_unsupported) {
  for (const char* version : {"12.22", "18.0", "9.6.24"}) {
    FakeServer server(env_, {}, version);
    const auto opened = ReplicationConnection::open(env_.clock, server.endpoint(), soon());
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code(), Code::Unsupported) << opened.error().message();
  }
}

TEST_F(ReplicationProtocol, a_silent_server_costs_no_more_than_the_deadline) {
  FakeServer server(env_, {""});
  auto connection = ReplicationConnection::open(env_.clock, server.endpoint(), soon()).take();
  const env::Instant begin = env_.clock.monotonic();
  const auto identity = connection.identify_system(soon(std::chrono::milliseconds(100)));
  EXPECT_EQ(identity.error().code(), Code::Unavailable);
  EXPECT_LT(env_.clock.monotonic() - begin, std::chrono::seconds(2));
  // Nobody answers at all.
  auto listener = env_.network.listen("127.0.0.1:0").take();
  Endpoint nobody = server.endpoint();
  const std::string address = listener->address();
  nobody.conninfo = "host=127.0.0.1 user=x port=" + address.substr(address.rfind(':') + 1);
  const auto opened = ReplicationConnection::open(env_.clock, nobody, soon(std::chrono::milliseconds(100)));
  EXPECT_EQ(opened.error().code(), Code::Unavailable) << opened.error().message();
  std::stop_source stopped;
  stopped.request_stop();
  const Until never{env_.clock.monotonic() + std::chrono::minutes(1), stopped.get_token()};
  EXPECT_EQ(ReplicationConnection::open(env_.clock, nobody, never).error().code(), Code::Cancelled);
}

TEST_F(ReplicationProtocol, malformed_identities_are_refused) {
  for (const auto& row :
       {testing::Cells{"x", "1", "0/1"}, testing::Cells{"1", "-1", "0/1"}, testing::Cells{"1", "1", "01"},
        testing::Cells{"1", "1", std::nullopt}, testing::Cells{"1", "0", "0/1"}}) {
    FakeServer server(env_, {rows({row}, 3) + ready()});
    auto connection = ReplicationConnection::open(env_.clock, server.endpoint(), soon()).take();
    EXPECT_FALSE(connection.identify_system(soon()).ok());
  }
  FakeServer server(env_, {rows({}, 3) + ready()});
  auto connection = ReplicationConnection::open(env_.clock, server.endpoint(), soon()).take();
  EXPECT_EQ(connection.identify_system(soon()).error().code(), Code::Corrupt);
}

// What a server may say, and would end an agent that believed it.
TEST_F(ReplicationProtocol, a_slot_or_a_timeline_that_stands_at_nothing_is_refused) {
  FakeServer server(env_, {rows({testing::Cells{"physical", "0/0", "1"}}, 3) + ready()});
  auto connection = ReplicationConnection::open(env_.clock, server.endpoint(), soon()).take();
  EXPECT_EQ(connection.read_slot("slot", soon()).error().code(), Code::Corrupt);
  for (const auto& row : {testing::Cells{"0", "0/1"}, testing::Cells{"1", "0/1"}, testing::Cells{"2", "0/0"}}) {
    FakeServer ending(env_, {rows({row}, 2) + ready()});
    auto streaming = ReplicationConnection::open(env_.clock, ending.endpoint(), soon()).take();
    EXPECT_EQ(streaming.start_replication("", Lsn(kStart), Timeline(1), soon()).error().code(), Code::Corrupt);
  }
  EXPECT_EQ(parse_timeline_history(Timeline(2), as_bytes("1\t0/0\tno reason\n")).error().code(), Code::Corrupt);
}

}  // namespace
}  // namespace exclave::pg
