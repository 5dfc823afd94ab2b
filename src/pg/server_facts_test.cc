#include "pg/server_facts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "pg/replication.h"
#include "pg/testing/test_server.h"
#include "posix/world.h"

namespace exclave::pg {
namespace {

using testing::Ending;
using testing::TestServer;

class ServerFactsTest : public ::testing::Test {
 protected:
  Until soon() { return {env_.clock.monotonic() + std::chrono::seconds(20), {}}; }
  Result<ServerFacts> facts(const Endpoint& endpoint, std::string_view slot = "") {
    return read_server_facts(env_.clock, endpoint, slot, soon());
  }
  static Endpoint as(const TestServer& server, const std::string& rest) {
    return {server.conninfo() + " " + rest, "vault"};
  }
  // Who may come how.
  static void set_hba(const TestServer& server, std::string_view lines) {
    std::ofstream file(server.data_directory() + "/pg_hba.conf");
    file << "host all postgres 127.0.0.1/32 trust\n" << lines;
    EXPECT_TRUE(file.flush().good());
    server.psql("select pg_reload_conf()");
  }
  // The first outcome that is not the one from before the reload was noticed.
  Error refused(const Endpoint& endpoint) {
    for (int attempt = 0; attempt < 200; ++attempt) {
      const auto opened = ReplicationConnection::open(env_.clock, endpoint, soon());
      if (!opened.ok()) return opened.error();
      ignore(env_.clock.sleep_until(env_.clock.monotonic() + std::chrono::milliseconds(10)), "always ok");
    }
    return {Code::Bug, "it was not refused"};
  }

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
};

TEST_F(ServerFactsTest, a_role_with_nothing_but_replication_reads_everything) {
  auto server = TestServer::create(env_, {{{"max_slot_wal_keep_size", "5MB"}, {"synchronous_standby_names", "b"}}, {}});
  server->psql("set synchronous_commit = local; create role agent login replication");
  server->psql("select pg_create_physical_replication_slot('vault', true)");
  const auto read = facts(as(*server, "user=agent"), "vault");
  ASSERT_TRUE(read.ok()) << read.error().message();
  const ServerFacts& found = read.value();
  EXPECT_EQ(found.version.major, ServerMajor(15));
  EXPECT_EQ(found.version.minor,
            parse_u32(server->psql("select current_setting('server_version_num')::int % 10000")).take());
  EXPECT_EQ(to_text(found.system), server->psql("select system_identifier from pg_control_system()"));
  EXPECT_EQ(found.segment_size.bytes(), std::uint64_t{1} << 20);
  EXPECT_EQ(found.wal_level, "replica");
  EXPECT_EQ(found.synchronous_standby_names, "b");
  EXPECT_EQ(found.synchronous_commit, "on");
  EXPECT_EQ(found.slot_keep_bytes, std::uint64_t{5} << 20);
  EXPECT_TRUE(found.has_data_checksums);
  EXPECT_TRUE(found.has_full_page_writes);
  EXPECT_FALSE(found.is_in_recovery);
  EXPECT_TRUE(found.role_may_replicate);
  ASSERT_TRUE(found.slot.has_value());
  EXPECT_EQ(found.slot->wal, SlotWal::Reserved);
  EXPECT_FALSE(found.slot->is_active);
  EXPECT_TRUE(found.slot->restart.has_value());
  EXPECT_TRUE(check_server_facts(found, found.system).ok());
  const Status other = check_server_facts(found, SystemIdentifier(1));
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code(), Code::Precondition);
  EXPECT_FALSE(other.error().hint_text().empty());
  EXPECT_FALSE(facts(as(*server, "user=agent"), "absent").take().slot.has_value());
  EXPECT_EQ(facts(as(*server, "user=agent"), "a'b").error().code(), Code::InvalidInput);
}

TEST_F(ServerFactsTest, a_standby_says_that_it_is_in_recovery) {
  auto primary = TestServer::create(env_, {});
  auto standby = TestServer::standby_of(*primary);
  EXPECT_TRUE(facts(standby->endpoint("vault")).take().is_in_recovery);
}

TEST_F(ServerFactsTest, too_low_a_wal_level_and_a_role_without_replication_are_preconditions_with_hints) {
  auto server = TestServer::create(env_, {{{"wal_level", "minimal"}, {"max_wal_senders", "0"}}, {}});
  server->psql("create role nobody login");
  const auto low = check_server_facts(facts(server->endpoint("vault")).take(), std::nullopt);
  ASSERT_FALSE(low.ok());
  EXPECT_EQ(low.error().code(), Code::Precondition);
  EXPECT_NE(low.error().hint_text().find("alter system set wal_level"), std::string::npos);
  ServerFacts weak = facts(as(*server, "user=nobody")).take();
  EXPECT_FALSE(weak.role_may_replicate);
  weak.wal_level = "replica";
  const auto role = check_server_facts(weak, std::nullopt);
  ASSERT_FALSE(role.ok());
  EXPECT_NE(role.error().hint_text().find("replication"), std::string::npos);
}

TEST_F(ServerFactsTest, a_slot_that_lost_its_wal_is_seen) {
  auto server = TestServer::create(env_, {{{"max_slot_wal_keep_size", "1MB"}, {"wal_keep_size", "0"}}, {}});
  server->psql("select pg_create_physical_replication_slot('vault', true); create table t (a int)");
  for (int i = 0; i < 8; ++i) server->psql("insert into t values (1); select pg_switch_wal()");
  server->psql("checkpoint");
  const ServerFacts found = facts(server->endpoint("vault"), "vault").take();
  ASSERT_TRUE(found.slot.has_value());
  EXPECT_EQ(found.slot->wal, SlotWal::Lost);
  const Status status = check_server_facts(found, std::nullopt);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().hint_text().find("base backup"), std::string::npos);
}

TEST_F(ServerFactsTest, what_works_and_is_not_wise_is_said) {
  ServerFacts found;
  found.version = {ServerMajor(15), 12};
  found.synchronous_commit = "remote_apply";
  EXPECT_EQ(cautions(found).size(), 6U);
  found.version.minor = 14;
  EXPECT_EQ(cautions(found).size(), 4U);
  found.slot = SlotFacts{};
  found.slot->has_namesake = true;
  EXPECT_EQ(cautions(found).size(), 5U);
  found.slot->has_namesake = false;
  found.version.minor = 20;
  found.slot_keep_bytes = 1;
  found.has_data_checksums = true;
  found.synchronous_commit = "on";
  EXPECT_TRUE(cautions(found).empty());
}

TEST_F(ServerFactsTest, no_error_holds_the_password) {
  auto server = TestServer::create(env_, {});
  server->psql("create role agent login replication password 'right'");
  set_hba(*server, "host all,replication agent 127.0.0.1/32 scram-sha-256\n");
  const std::string secret = "sw0rdfish";
  const Error wrong = refused(as(*server, "user=agent password=" + secret));
  EXPECT_EQ(wrong.code(), Code::Denied) << wrong.message();
  EXPECT_EQ(wrong.message().find(secret), std::string::npos);
  EXPECT_FALSE(wrong.hint_text().empty());
  const Error none = refused(as(*server, "user=agent passfile=/nowhere"));
  EXPECT_EQ(none.code(), Code::Denied) << none.message();
  EXPECT_NE(none.hint_text().find("passfile=FILE, with the line \"HOST:PORT:*:agent:PASSWORD\""), std::string::npos)
      << none.hint_text();
  EXPECT_TRUE(facts(as(*server, "user=agent password=right")).ok());
  // The server quotes what it was given.
  const auto absent = facts(as(*server, fmt::format("dbname={} password={}", secret, secret)));
  EXPECT_EQ(absent.error().code(), Code::InvalidInput) << absent.error().message();
  EXPECT_EQ(absent.error().message().find(secret), std::string::npos) << absent.error().message();
  EXPECT_NE(absent.error().message().find("***"), std::string::npos) << absent.error().message();
  // So does libpq.
  for (const std::string& malformed :
       {"password=" + secret + " oops", "postgres://a:" + secret + "@[::1", "host='" + secret,
        "password=s " + secret + "=x", " postgres://a:" + secret + "@h/?x=y", secret, "password=a hots=" + secret}) {
    const auto refused = facts({malformed, "vault"});
    EXPECT_EQ(refused.error().code(), Code::InvalidInput);
    EXPECT_EQ(refused.error().message().find(secret), std::string::npos);
  }
}

TEST_F(ServerFactsTest, what_a_user_can_mend_has_a_hint) {
  auto server = TestServer::create(env_, {});
  server->psql("create role agent login replication; create role weak login");
  EXPECT_EQ(facts(as(*server, "user=ghost")).error().code(), Code::Denied);
  const Error weak = refused(as(*server, "user=weak"));
  EXPECT_EQ(weak.code(), Code::Denied) << weak.message();
  EXPECT_NE(weak.hint_text().find("alter role weak replication"), std::string::npos) << weak.hint_text();
  set_hba(*server, "host all agent 127.0.0.1/32 trust\n");
  const Error no_line = refused(as(*server, "user=agent"));
  EXPECT_EQ(no_line.code(), Code::Denied) << no_line.message();
  EXPECT_NE(no_line.hint_text().find("pg_hba.conf"), std::string::npos) << no_line.message();
  const Endpoint endpoint = server->endpoint("vault");
  server->stop(Ending::Immediate);
  const auto down = facts(endpoint);
  EXPECT_EQ(down.error().code(), Code::Unavailable) << down.error().message();
  EXPECT_NE(down.error().message().find("refused"), std::string::npos) << down.error().message();
  for (const char* name : {"", "with space", "\xc3\xa9"}) {
    EXPECT_EQ(facts({endpoint.conninfo, name}).error().code(), Code::InvalidInput);
  }
  EXPECT_EQ(facts({endpoint.conninfo, std::string(64, 'x')}).error().code(), Code::InvalidInput);
}

TEST_F(ServerFactsTest, a_setting_that_libpq_does_not_know_is_named) {
  for (const char* const conninfo : {"hots=db user=agent", "user=agent hots = db password=x"}) {
    const auto refused = facts({conninfo, "vault"});
    EXPECT_EQ(refused.error().code(), Code::InvalidInput);
    EXPECT_EQ(refused.error().message(), "the connection settings are malformed: there is no setting 'hots'");
  }
  // The second may be what follows a space in a password.
  for (const char* const conninfo : {"host", "password=a hots=b", "postgres://a:b c@h/?hots=d"}) {
    const auto refused = facts({conninfo, "vault"});
    EXPECT_EQ(refused.error().message(), "the connection settings are malformed") << conninfo;
    EXPECT_NE(refused.error().hint_text().find("agent.toml"), std::string::npos);
  }
}

// Trap 12 of the field notes: right after its start a server may not know yet that commits have to wait.
TEST(ServerVersions, those_before_may_2025_skip_waits) {
  const auto may_be_waited_for = [](std::uint32_t major, std::uint32_t minor) {
    return check_waits({ServerMajor(major), minor}).ok();
  };
  EXPECT_FALSE(may_be_waited_for(15, 0));
  EXPECT_FALSE(may_be_waited_for(15, 12));
  EXPECT_TRUE(may_be_waited_for(15, 13));
  for (const auto& [major, first_good] : {std::pair(13U, 21U), {14U, 18U}, {16U, 9U}, {17U, 5U}}) {
    EXPECT_FALSE(may_be_waited_for(major, first_good - 1)) << major;
    EXPECT_TRUE(may_be_waited_for(major, first_good)) << major;
  }
  const Status refused = check_waits({ServerMajor(15), 12});
  EXPECT_EQ(refused.error().code(), Code::Precondition);
  EXPECT_NE(refused.error().message().find("PostgreSQL 15.12"), std::string::npos);
  EXPECT_NE(refused.error().hint_text().find("15.13"), std::string::npos);
}

TEST(ServerCautions, a_slot_that_may_lose_log_is_one) {
  ServerFacts facts;
  facts.version = {ServerMajor(16), 9};
  facts.has_data_checksums = true;
  facts.slot_keep_bytes = 1 << 30;
  facts.slot = SlotFacts{};
  for (const SlotWal kept : {SlotWal::Reserved, SlotWal::Extended}) {
    facts.slot->wal = kept;
    EXPECT_TRUE(cautions(facts).empty());
  }
  facts.slot->wal = SlotWal::Unreserved;
  ASSERT_EQ(cautions(facts).size(), 1U);
  EXPECT_NE(cautions(facts).front().find("max_slot_wal_keep_size"), std::string::npos);
}

}  // namespace
}  // namespace exclave::pg
