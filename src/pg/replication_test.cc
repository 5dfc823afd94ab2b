// Streaming and commands against a real server. What a server that breaks the protocol may send: replication_protocol_test.
#include "pg/replication.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <utility>

#include "pg/testing/test_server.h"
#include "posix/world.h"

namespace exclave::pg {
namespace {

using testing::Ending;
using testing::TestServer;
using testing::TestServerOptions;

constexpr std::chrono::seconds kPatience{20};

class Replication : public ::testing::Test {
 protected:
  Until soon(std::chrono::nanoseconds patience = kPatience) { return {clock_.monotonic() + patience, {}}; }
  ReplicationConnection connect(const TestServer& server, std::string_view name = "vault") {
    auto connection = ReplicationConnection::open(clock_, server.endpoint(name), soon());
    if (!connection.ok()) ADD_FAILURE() << connection.error().message();
    return connection.take();
  }
  // Takes what comes until `target` is reached; answers pings with what was `flushed`, if that is said.
  void receive_until(ReplicationConnection& connection, Lsn target, Bytes& bytes) {
    const Until until = soon();
    while (connection.received() < target) {
      auto event = connection.next(until);
      ASSERT_TRUE(event.ok()) << event.error().message();
      if (const auto* data = std::get_if<WalData>(&event.value())) append(bytes, data->bytes);
      ASSERT_FALSE(std::holds_alternative<Nothing>(event.value())) << "nothing came";
      ASSERT_FALSE(std::holds_alternative<ServerClosed>(event.value()));
      ASSERT_FALSE(std::holds_alternative<TimelineEnded>(event.value()));
    }
  }
  static Lsn flushed_at(const TestServer& server) { return lsn_of(server, "pg_current_wal_flush_lsn()"); }
  static Lsn lsn_of(const TestServer& server, std::string_view expression) {
    return parse_lsn(server.psql(fmt::format("select {}", expression))).take();
  }
  Bytes wal_of_files(const TestServer& server, Lsn from, Lsn to) {
    const SegmentSize size = SegmentSize::of(1 << 20).take();
    Bytes bytes;
    for (Lsn at = size.segment_start(from); at < to; at = size.segment_end(at)) {
      const std::string path = server.data_directory() + "/pg_wal/" + wal_file_name(Timeline(1), at, size);
      append(bytes, env_.files.read_file(path, size.bytes()).take());
    }
    const auto skip = static_cast<std::ptrdiff_t>(size.offset_in_segment(from));
    return {bytes.begin() + skip, bytes.begin() + skip + static_cast<std::ptrdiff_t>(bytes_between(from, to))};
  }
  WalChecker checker_for(ReplicationConnection& connection, Lsn start) {
    WalStart begin;
    begin.system = connection.identify_system(soon()).take().system;
    begin.segment_size = connection.segment_size(soon()).take();
    begin.start = start;
    return WalChecker::create(begin).take();
  }
  bool is_finished(env::RunningCommand& command) {
    std::stop_source source;
    source.request_stop();
    Byte byte = 0;
    return command.read_output({&byte, 1}, source.get_token()).ok();
  }

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
  env::Clock& clock_ = env_.clock;
};

TEST_F(Replication, tells_who_the_server_is_and_how_it_is_set) {
  auto server = TestServer::create(env_, {});
  auto connection = connect(*server);
  const SystemIdentity identity = connection.identify_system(soon()).take();
  EXPECT_EQ(to_text(identity.system), server->psql("select system_identifier from pg_control_system()"));
  EXPECT_EQ(identity.timeline, Timeline(1));
  EXPECT_EQ(identity.flushed, flushed_at(*server));
  EXPECT_EQ(connection.version().major, ServerMajor(15));
  EXPECT_EQ(connection.segment_size(soon()).take().bytes(), std::uint64_t{1} << 20);
  EXPECT_EQ(connection.show("data_checksums", soon()).take(), "on");
  EXPECT_EQ(connection.show("x; drop table t", soon()).error().code(), Code::InvalidInput);
  EXPECT_FALSE(connection.show("no_such_setting", soon()).ok());
  EXPECT_TRUE(connection.identify_system(soon()).ok()) << "an error does not spoil the connection";
}

TEST_F(Replication, slots_are_made_read_and_dropped_any_number_of_times) {
  auto server = TestServer::create(env_, {{{"wal_level", "logical"}}, {}});
  auto connection = connect(*server);
  EXPECT_EQ(connection.read_slot("vault", soon()).error().code(), Code::NotFound);
  EXPECT_EQ(connection.create_physical_slot("No'", SlotReserve::Now, soon()).error().code(), Code::InvalidInput);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(connection.create_physical_slot("vault", SlotReserve::Now, soon()).ok());
  const SlotPosition position = connection.read_slot("vault", soon()).take();
  EXPECT_TRUE(position.restart.has_value());
  EXPECT_EQ(position.timeline, Timeline(1));
  // Without reserving, nothing is held until it is used.
  EXPECT_TRUE(connection.create_physical_slot("later", SlotReserve::AtFirstUse, soon()).ok());
  EXPECT_FALSE(connection.read_slot("later", soon()).take().restart.has_value());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(connection.drop_slot("vault", soon()).ok());
  EXPECT_EQ(connection.read_slot("vault", soon()).error().code(), Code::NotFound);
  server->psql("select pg_create_logical_replication_slot('logical', 'test_decoding')");
  const Status other = connection.create_physical_slot("logical", SlotReserve::Now, soon());
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code(), Code::Precondition) << other.error().message();
}

TEST_F(Replication, streams_from_any_byte_exactly_what_is_in_the_wal_files) {
  auto server = TestServer::create(env_, {});
  server->psql(
      "create table t (a int, b text); insert into t select g, repeat('x', 500) from generate_series(1, 5000) g");
  const Lsn end = flushed_at(*server);
  for (const std::uint64_t back : {std::uint64_t{1}, std::uint64_t{12'345}, std::uint64_t{2'000'001}}) {
    auto connection = connect(*server);
    const Lsn start(end.value() - back);
    ASSERT_TRUE(connection.start_replication("", start, Timeline(1), soon()).ok());
    EXPECT_TRUE(connection.is_streaming());
    Bytes bytes;
    receive_until(connection, end, bytes);
    EXPECT_EQ(connection.received(), end);
    EXPECT_EQ(bytes, wal_of_files(*server, start, end));
  }
}

TEST_F(Replication, streams_the_same_over_tls) {
  auto server = TestServer::create(env_, {});
  const std::string folder = server->data_directory();
  testing::must_run(
      env_, server->as_server({"openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=test", "-out",
                               folder + "/server.crt", "-keyout", folder + "/server.key"}));
  server->append_settings("ssl = on");
  server->stop(Ending::Fast);
  server->start();
  const Lsn start = flushed_at(*server);
  server->psql(
      "create table t (a int, b text); insert into t select g, repeat('x', 500) from generate_series(1, 20000) g");
  const Lsn end = flushed_at(*server);
  Endpoint endpoint = server->endpoint("vault");
  endpoint.conninfo += " sslmode=require";
  auto connection = ReplicationConnection::open(clock_, endpoint, soon()).take();
  ASSERT_TRUE(connection.start_replication("", start, Timeline(1), soon()).ok());
  Bytes bytes;
  receive_until(connection, end, bytes);
  EXPECT_EQ(bytes, wal_of_files(*server, start, end));
  EXPECT_EQ(server->psql("select bool_and(ssl) from pg_stat_ssl join pg_stat_replication using (pid)"), "t");
}

TEST_F(Replication, a_commit_is_acknowledged_when_its_position_is_reported_and_not_before) {
  auto server = TestServer::create(env_, {});
  server->psql("create table t (a int)");
  auto connection = connect(*server);
  ASSERT_TRUE(connection.create_physical_slot("vault", SlotReserve::Now, soon()).ok());
  const Lsn start = connection.identify_system(soon()).take().flushed;
  ASSERT_TRUE(connection.start_replication("vault", start, Timeline(1), soon()).ok());
  ASSERT_TRUE(connection.send_status(start, Reply::Wanted, soon()).ok());
  server->append_settings("synchronous_standby_names = 'vault'");
  server->psql("select pg_reload_conf()");
  while (server->psql("show synchronous_standby_names") != "vault") {
  }
  auto commit = server->start_psql("insert into t values (1); select 'done'");
  Bytes bytes;
  const Lsn before = connection.received();
  while (connection.received() == before) receive_until(connection, connection.received() + 1, bytes);
  for (int i = 0; i < 20; ++i) {  // whatever else comes: the commit still waits
    auto event = connection.next(soon(std::chrono::milliseconds(10)));
    ASSERT_TRUE(event.ok());
  }
  EXPECT_EQ(server->psql("select count(*) from t"), "0") << "visible before it was acknowledged";
  EXPECT_EQ(server->psql("select sync_state from pg_stat_replication"), "sync");
  ASSERT_TRUE(connection.send_status(connection.received(), Reply::NotNeeded, soon()).ok());
  EXPECT_EQ(commit->wait().take(), 0);
  EXPECT_EQ(server->psql("select count(*) from t"), "1");
}

TEST_F(Replication, a_reported_position_never_goes_back) {
  auto server = TestServer::create(env_, {});
  auto connection = connect(*server);
  ASSERT_TRUE(connection.create_physical_slot("vault", SlotReserve::Now, soon()).ok());
  const Lsn start = connection.read_slot("vault", soon()).take().restart.value();
  server->psql("create table t (a int)");
  const Lsn end = flushed_at(*server);
  ASSERT_TRUE(connection.start_replication("vault", start, Timeline(1), soon()).ok());
  Bytes bytes;
  receive_until(connection, end, bytes);
  ASSERT_TRUE(connection.send_status(end, Reply::NotNeeded, soon()).ok());
  ASSERT_TRUE(connection.send_status(start, Reply::Wanted, soon()).ok());
  EXPECT_EQ(connection.reported(), end);
  for (;;) {  // the answer to the second one
    const auto event = connection.next(soon()).take();
    if (const auto* ping = std::get_if<Keepalive>(&event)) {
      EXPECT_GE(ping->server_end, end);
      break;
    }
    ASSERT_FALSE(std::holds_alternative<Nothing>(event));
  }
  EXPECT_EQ(lsn_of(*server, "restart_lsn from pg_replication_slots"), end);
  EXPECT_EQ(server->psql("select write_lsn = flush_lsn and replay_lsn is null from pg_stat_replication"), "t");
}

TEST_F(Replication, reporting_more_than_was_received_aborts) {
  auto server = TestServer::create(env_, {});
  auto connection = connect(*server);
  const Lsn start = flushed_at(*server);
  ASSERT_TRUE(connection.start_replication("", start, Timeline(1), soon()).ok());
  EXPECT_DEATH(ignore(connection.send_status(start + 1, Reply::NotNeeded, soon()), "dies"), "flushed <= stream_");
}

TEST_F(Replication, what_is_readable_is_drained_without_waiting) {
  auto server = TestServer::create(env_, {});
  auto connection = connect(*server);
  const Lsn start = flushed_at(*server);
  ASSERT_TRUE(connection.start_replication("", start, Timeline(1), soon()).ok());
  server->psql("create table t (a int); insert into t select generate_series(1, 20000)");
  const Lsn end = flushed_at(*server);
  int wakeups = 0;
  while (connection.received() < end) {
    ASSERT_TRUE(connection.next(soon()).ok());
    ++wakeups;
    for (;;) {
      const auto event = connection.next_now().take();
      if (std::holds_alternative<Nothing>(event)) break;
    }
  }
  EXPECT_TRUE(std::holds_alternative<Nothing>(connection.next_now().take()));
  EXPECT_GT(wakeups, 0);
}

TEST_F(Replication, a_stop_is_noticed_at_once_and_a_deadline_is_nothing) {
  auto server = TestServer::create(env_, {});
  auto connection = connect(*server);
  ASSERT_TRUE(connection.start_replication("", flushed_at(*server), Timeline(1), soon()).ok());
  const auto idle = connection.next(soon(std::chrono::milliseconds(30))).take();
  EXPECT_TRUE(std::holds_alternative<Nothing>(idle) || std::holds_alternative<Keepalive>(idle));
  std::stop_source source;
  env::Instant asked;
  auto stopper = env_.threads.start("stopper", [&] {
    ignore(clock_.sleep_until(clock_.monotonic() + std::chrono::milliseconds(100)), "always ok");
    asked = clock_.monotonic();
    source.request_stop();
  });
  ASSERT_TRUE(stopper.ok());
  for (;;) {
    const auto event = connection.next({clock_.monotonic() + std::chrono::minutes(1), source.get_token()});
    if (event.ok()) continue;
    EXPECT_EQ(event.error().code(), Code::Cancelled);
    break;
  }
  const env::Instant noticed = clock_.monotonic();
  stopper.value()->join();
  EXPECT_LT(noticed - asked, std::chrono::seconds(1));  // 50 ms by design; but others run here, too
}

TEST_F(Replication, a_server_that_shuts_down_waits_for_the_flush_and_then_closes) {
  auto server = TestServer::create(env_, {});
  server->psql("create table t (a int)");
  auto connection = connect(*server);
  const Lsn start = flushed_at(*server);
  ASSERT_TRUE(connection.start_replication("", start, Timeline(1), soon()).ok());
  server->psql("insert into t values (1)");
  Bytes bytes;
  receive_until(connection, flushed_at(*server), bytes);
  ASSERT_TRUE(connection.send_status(start, Reply::NotNeeded, soon()).ok());
  server->signal(Ending::Fast);
  // It asks again and again, and stays, because less is flushed than was sent.
  const auto is_closed_within = [&](std::chrono::nanoseconds patience, bool& has_asked) {
    const Until until = soon(patience);
    while (clock_.monotonic() < until.deadline) {
      const auto event = connection.next(until);
      if (!event.ok() || std::holds_alternative<ServerClosed>(event.value())) return true;
      const auto* ping = std::get_if<Keepalive>(&event.value());
      if (ping != nullptr && ping->reply_now && !std::exchange(has_asked, true)) return false;
    }
    return false;
  };
  bool has_asked = false;
  EXPECT_FALSE(is_closed_within(kPatience, has_asked));
  EXPECT_TRUE(has_asked);
  EXPECT_FALSE(is_closed_within(std::chrono::milliseconds(300), has_asked));
  for (;;) {
    ASSERT_TRUE(connection.send_status(connection.received(), Reply::NotNeeded, soon()).ok());
    auto event = connection.next(soon());
    ASSERT_TRUE(event.ok()) << event.error().message();
    ASSERT_FALSE(std::holds_alternative<Nothing>(event.value()));
    if (std::holds_alternative<ServerClosed>(event.value())) break;
  }
  EXPECT_EQ(server->wait_for_end(), 0);
}

TEST_F(Replication, after_kill_9_reconnecting_goes_on_without_a_gap) {
  auto server = TestServer::create(env_, {});
  server->psql("create table t (a int, b text)");
  auto connection = std::make_unique<ReplicationConnection>(connect(*server));
  ASSERT_TRUE(connection->create_physical_slot("vault", SlotReserve::Now, soon()).ok());
  const Lsn start = connection->read_slot("vault", soon()).take().restart.value();
  WalChecker checker = checker_for(*connection, start);
  ASSERT_TRUE(connection->start_replication("vault", start, Timeline(1), soon()).ok());
  Lsn received = start;
  for (int round = 0; round < 3; ++round) {
    auto load = server->start_psql(
        "do $$ begin for i in 1..100000 loop insert into t values (i, repeat('x', 200)); commit; end loop; end $$");
    bool is_killed = false;
    for (std::size_t events = 0;; ++events) {
      const auto event = connection->next(soon());
      if (!event.ok()) {
        EXPECT_EQ(event.error().code(), Code::Unavailable) << event.error().message();
        break;
      }
      const auto* data = std::get_if<WalData>(&event.value());
      ASSERT_TRUE(data == nullptr || checker.feed(data->bytes).ok());
      received = connection->received();
      if (events > 100 && !is_killed) {
        server->signal(Ending::Kill);
        is_killed = true;
      }
    }
    ASSERT_TRUE(is_killed);
    server->wait_for_end();
    load.reset();
    EXPECT_EQ(ReplicationConnection::open(clock_, server->endpoint("vault"), soon()).error().code(), Code::Unavailable);
    server->start();
    connection = std::make_unique<ReplicationConnection>(connect(*server));
    ASSERT_TRUE(connection->start_replication("vault", received, Timeline(1), soon()).ok());
  }
  server->psql("checkpoint");
  const Lsn end = flushed_at(*server);
  Bytes rest;
  receive_until(*connection, end, rest);
  const Status status = checker.feed(rest);
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(checker.position(), end);
  EXPECT_EQ(checker.end_of_last_record(), end);
  EXPECT_GT(checker.commits(), 300U);
}

TEST_F(Replication, follows_a_promoted_standby_over_the_switch_of_timelines) {
  auto primary = TestServer::create(env_, {});
  primary->psql("create table t (a int, b text)");
  auto standby = TestServer::standby_of(*primary);
  auto connection = connect(*standby);  // cascading: works, and is never synchronous
  const Lsn start = SegmentSize::of(1 << 20).take().segment_start(connection.identify_system(soon()).take().flushed);
  WalChecker checker = checker_for(connection, start);
  ASSERT_TRUE(connection.start_replication("", start, Timeline(1), soon()).ok());
  auto load = primary->start_psql(
      "do $$ begin for i in 1..100000 loop insert into t values (i, repeat('x', 200)); commit; end loop; end $$");
  std::optional<TimelineEnded> ended;
  std::unique_ptr<env::RunningCommand> promotion;
  Bytes old_branch;
  while (!ended) {
    const auto event = connection.next(soon());
    ASSERT_TRUE(event.ok()) << event.error().message();
    if (const auto* data = std::get_if<WalData>(&event.value())) append(old_branch, data->bytes);
    if (const auto* end = std::get_if<TimelineEnded>(&event.value())) ended = *end;
    ASSERT_FALSE(std::holds_alternative<Nothing>(event.value()));
    if (old_branch.size() > 300'000 && !promotion) promotion = standby->start_psql("select pg_promote(true)");
  }
  load.reset();
  EXPECT_EQ(promotion->wait().take(), 0);
  EXPECT_EQ(ended->next, Timeline(2));
  EXPECT_FALSE(connection.is_streaming());
  ASSERT_LE(ended->switch_point, connection.received()) << "a switch point may lie before what was received";

  const auto raw = connection.timeline_history(ended->next, soon()).take();
  EXPECT_EQ(raw.history.left_at(Timeline(1)).take(), ended->switch_point);
  standby->psql("insert into t values (-1, 'after'); create table u (a int)");
  const Lsn end = flushed_at(*standby);

  // Only what lies before the switch belongs to the new timeline.
  const auto common = static_cast<std::size_t>(bytes_between(start, ended->switch_point));
  ASSERT_TRUE(checker.feed(ByteView(old_branch).first(common)).ok());
  ASSERT_TRUE(checker.follow(raw.history, ended->switch_point).ok());
  ASSERT_TRUE(connection.start_replication("", ended->switch_point, Timeline(2), soon()).ok());
  Bytes bytes;
  receive_until(connection, end, bytes);
  const Status status = checker.feed(bytes);
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(checker.end_of_last_record(), end);

  // And from the segment's start: the new segment repeats the common bytes, with the old timeline in their headers.
  auto again = connect(*standby);
  const Lsn segment = SegmentSize::of(1 << 20).take().segment_start(ended->switch_point);
  WalStart begin;
  begin.system = again.identify_system(soon()).take().system;
  begin.segment_size = again.segment_size(soon()).take();
  begin.history = raw.history;
  begin.start = segment;
  auto second = WalChecker::create(begin).take();
  ASSERT_TRUE(again.start_replication("", segment, Timeline(2), soon()).ok());
  Bytes repeated;
  receive_until(again, end, repeated);
  const auto shared = static_cast<std::size_t>(bytes_between(segment, ended->switch_point));
  const auto from = static_cast<std::size_t>(bytes_between(start, segment));
  EXPECT_TRUE(equal(ByteView(repeated).first(shared), ByteView(old_branch).subspan(from, shared)));
  ASSERT_TRUE(second.feed(repeated).ok());
  EXPECT_EQ(second.end_of_last_record(), end);
}

TEST_F(Replication, a_timeline_that_ended_where_we_begin_says_so_without_a_stream) {
  auto primary = TestServer::create(env_, {});
  auto standby = TestServer::standby_of(*primary);
  standby->promote();
  auto connection = connect(*standby);
  const auto raw = connection.timeline_history(Timeline(2), soon()).take();
  const Lsn point = raw.history.left_at(Timeline(1)).take();
  ASSERT_TRUE(connection.start_replication("", point, Timeline(1), soon()).ok());
  EXPECT_TRUE(std::holds_alternative<Nothing>(connection.next_now().take()));
  const auto event = connection.next(soon()).take();
  const auto* ended = std::get_if<TimelineEnded>(&event);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->next, Timeline(2));
  EXPECT_EQ(ended->switch_point, point);
  EXPECT_TRUE(connection.start_replication("", point, Timeline(2), soon()).ok()) << "the connection goes on";
}

TEST_F(Replication, timeline_1_has_no_history_and_unknown_ones_are_not_found) {
  auto server = TestServer::create(env_, {});
  auto connection = connect(*server);
  EXPECT_EQ(connection.timeline_history(Timeline(7), soon()).error().code(), Code::NotFound);
}

TEST_F(Replication, positions_the_server_does_not_have_are_a_precondition) {
  auto server = TestServer::create(env_, {{{"wal_keep_size", "0"}}, {}});
  const Lsn old = flushed_at(*server);
  auto ahead = connect(*server);
  auto status = ahead.start_replication("", old + 100'000'000, Timeline(1), soon());
  const Error early = status.ok() ? ahead.next(soon()).error() : status.error();
  EXPECT_EQ(early.code(), Code::Precondition) << early.message();
  server->psql("create table t (a int)");
  for (int i = 0; i < 12; ++i) server->psql("insert into t values (1); select pg_switch_wal()");
  server->psql("checkpoint");
  auto late = connect(*server);
  status = late.start_replication("", old, Timeline(1), soon());
  const Error gone = status.ok() ? late.next(soon()).error() : status.error();
  EXPECT_EQ(gone.code(), Code::Precondition) << gone.message();
  EXPECT_NE(gone.hint_text().find("base backup"), std::string::npos) << gone.message();
  auto other = connect(*server);
  status = other.start_replication("", flushed_at(*server), Timeline(9), soon());
  EXPECT_EQ((status.ok() ? other.next(soon()).error() : status.error()).code(), Code::Precondition);
}

TEST_F(Replication, a_slot_in_use_and_too_many_walsenders_are_for_later) {
  auto server = TestServer::create(env_, {{{"max_wal_senders", "2"}}, {}});
  auto first = connect(*server);
  ASSERT_TRUE(first.create_physical_slot("vault", SlotReserve::Now, soon()).ok());
  const Lsn start = flushed_at(*server);
  ASSERT_TRUE(first.start_replication("vault", start, Timeline(1), soon()).ok());
  auto second = connect(*server);
  const Status taken = second.start_replication("vault", start, Timeline(1), soon());
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), Code::Unavailable) << taken.error().message();
  EXPECT_NE(taken.error().hint_text().find("Another receiver"), std::string::npos);
  EXPECT_EQ(second.drop_slot("vault", soon()).error().code(), Code::Unavailable);
  const auto third = ReplicationConnection::open(clock_, server->endpoint("vault"), soon());
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code(), Code::Unavailable) << third.error().message();
  EXPECT_NE(third.error().hint_text().find("max_wal_senders"), std::string::npos) << third.error().message();
}

}  // namespace
}  // namespace exclave::pg
