#include "pg/recovery_files.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "pg/testing/test_server.h"
#include "posix/world.h"

namespace exclave::pg {
namespace {

using testing::must_run;
using testing::TestServer;

void write(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  EXPECT_TRUE(file.flush().good()) << path;
}

// A server at home, and a base backup of it that is restored again and again.
class RecoveryFiles : public ::testing::Test {
 protected:
  void make_home(const std::string& settings = "") {
    home_ = TestServer::create(env_, {});
    if (!settings.empty()) home_->append_settings(settings);
    home_->psql("create table t (a int)");
    base_ = home_->directory() + "/base";
    must_run(env_, home_->as_server({TestServer::program("pg_basebackup"), "-D", base_, "-d", home_->conninfo(), "-X",
                                     "none", "-c", "fast", "--no-sync", "--no-manifest"}));
  }
  RecoverySettings settings_to(RecoveryTarget target) {
    RecoverySettings settings;
    // 1 is only right here because the test knows that home's files are all there is.
    settings.restore_command =
        fmt::format("test -f {0}/pg_wal/%f || exit 1; cp {0}/pg_wal/%f %p || exit 126", home_->data_directory());
    settings.target = std::move(target);
    return settings;
  }
  // The base, with our files, not yet started.
  std::unique_ptr<TestServer> restore(const RecoverySettings& settings) {
    auto server = TestServer::prepare(env_);
    must_run(env_, server->as_server({"cp", "-a", base_, server->data_directory()}));
    const std::string conf = server->data_directory() + "/" + std::string(kAutoConfFile);
    const Bytes present = env_.files.read_file(conf, 1 << 20).take();
    write(conf, auto_conf_for_recovery(as_text(present), settings).take());
    write(server->data_directory() + "/" + std::string(kRecoverySignalFile), "");
    server->adopt();
    return server;
  }
  std::string rows_after(const RecoverySettings& settings) {
    auto server = restore(settings);
    server->launch();
    if (!server->wait_until_ready()) return "did not start: " + server->log();
    while (server->psql("select pg_is_in_recovery()") == "t") {
    }
    return server->psql("select coalesce(string_agg(a::text, ',' order by a), '') from t");
  }
  Lsn position() { return parse_lsn(home_->psql("select pg_current_wal_insert_lsn()")).take(); }

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
  std::unique_ptr<TestServer> home_;
  std::string base_;
};

TEST_F(RecoveryFiles, a_server_recovers_to_exactly_the_place_that_was_asked_for) {
  make_home();
  home_->psql("insert into t values (1)");
  const Lsn first = position();
  home_->psql("insert into t values (2)");
  home_->psql("select pg_create_restore_point('it''s \\here')");
  env_.clock.sleep_until(env_.clock.monotonic() + std::chrono::milliseconds(2)).value();
  const env::Timestamp between = env_.clock.now();
  env_.clock.sleep_until(env_.clock.monotonic() + std::chrono::milliseconds(2)).value();
  home_->psql("insert into t values (3)");
  EXPECT_EQ(rows_after(settings_to(ToPosition{first})), "1")
      << "the record that begins at the position is one too many";
  EXPECT_EQ(rows_after(settings_to(ToRestorePoint{"it's \\here"})), "1,2");
  EXPECT_EQ(rows_after(settings_to(ToTime{between})), "1,2");
  EXPECT_EQ(rows_after(settings_to(ToConsistent{})), "");
  EXPECT_EQ(rows_after(settings_to(ToLatest{})), "1,2,3");
}

// What a server cannot read it takes for the end of its log, and opens. One that was told of a record behind it does not.
TEST_F(RecoveryFiles, a_server_that_is_led_to_a_record_opens_behind_it_and_nowhere_before) {
  make_home();
  home_->psql("insert into t values (1)");
  const Lsn first = position();
  home_->psql("insert into t values (2)");
  home_->psql("insert into t values (3)");
  const Lsn begin = first;  // of the record by which row 2 comes, which its commit follows
  EXPECT_EQ(rows_after(settings_to(ToRecord{begin})), "1") << "that record, and not yet the commit";
  auto server = restore(settings_to(ToRecord{begin + (std::uint64_t{1} << 30)}));
  server->launch();
  EXPECT_NE(server->wait_for_end(), 0);
  EXPECT_NE(server->log().find("recovery ended before configured recovery target was reached"), std::string::npos);
}

TEST_F(RecoveryFiles, a_time_after_the_last_commit_of_a_quiet_database_fails) {
  make_home();
  home_->psql("insert into t values (1)");
  auto server = restore(settings_to(ToTime{env_.clock.now() + std::chrono::hours(1)}));
  server->launch();
  EXPECT_NE(server->wait_for_end(), 0);
  EXPECT_NE(server->log().find("recovery ended before configured recovery target was reached"), std::string::npos);
}

TEST_F(RecoveryFiles, settings_of_a_former_recovery_do_not_count_wherever_they_stand) {
  make_home(
      "recovery_target_name = 'in postgresql.conf'\nrecovery_end_command = 'touch ran'\n"
      "archive_cleanup_command = 'touch ran'\nrecovery_min_apply_delay = '1 h'\nprimary_slot_name = 'homes_own'");
  home_->psql("insert into t values (1)");
  const Lsn first = position();
  home_->psql("insert into t values (2)");
  write(base_ + "/postgresql.auto.conf",
        "# Do not edit this file manually!\nwork_mem = '5MB'\nrecovery_target_time = '2020-01-01'\n"
        "  Restore_Command='false'\nrecovery_target_action 'shutdown'\nprimary_conninfo = 'host=nowhere'");
  auto settings = settings_to(ToPosition{first});
  settings.at_target = AtTarget::Pause;
  settings.timeline = Timeline(1);
  settings.further = {{"archive_mode", "off"}, {"work_mem", "7MB"}, {"synchronous_standby_names", ""}};
  auto server = restore(settings);
  server->start();
  ASSERT_EQ(server->psql("show recovery_min_apply_delay"), "0") << "it would be held back for an hour";
  while (server->psql("select pg_get_wal_replay_pause_state()") != "paused") {
  }
  EXPECT_EQ(server->psql("select string_agg(a::text, ',') from t"), "1");
  EXPECT_EQ(server->psql("show work_mem"), "7MB") << "the last value wins";
  EXPECT_EQ(server->psql("show restore_command"), settings.restore_command);
  EXPECT_EQ(server->psql("show recovery_target_timeline"), "1");
  EXPECT_EQ(server->psql("show primary_conninfo"), "");
  EXPECT_EQ(server->psql("show primary_slot_name"), "");
  EXPECT_EQ(server->psql("show archive_cleanup_command"), "");
  server->promote();
  while (server->psql("select pg_is_in_recovery()") == "t") {
  }
  EXPECT_FALSE(env_.files.stat(server->data_directory() + "/ran").ok()) << "what home does when it recovers";
}

TEST_F(RecoveryFiles, values_come_back_from_a_real_server_as_they_were_given) {
  make_home();
  auto settings = settings_to(ToLatest{});
  const std::string odd = "a 'b' \\n \\' \"c\" #d; $e ''";
  settings.further = {{"cluster_name", "it's \\ odd"}, {"exclave.note", odd}};
  auto server = restore(settings);
  server->start();
  EXPECT_EQ(server->psql("show exclave.note"), odd);
  EXPECT_EQ(server->psql("show cluster_name"), "it's \\ odd");
}

TEST(RecoveryText, keeps_what_is_not_of_a_recovery_and_can_be_taken_back) {
  const std::string present = "# comment\nwork_mem = '5MB'\n";
  RecoverySettings settings;
  settings.restore_command = "x";
  settings.target = ToPosition{Lsn(0x1600000123)};
  const std::string text = auto_conf_for_recovery(present, settings).take();
  EXPECT_TRUE(text.starts_with(present));
  EXPECT_NE(text.find("recovery_target_time = ''\n"), std::string::npos);
  EXPECT_NE(text.find("recovery_target_lsn = '16/123'\nrecovery_target_inclusive = 'off'\n"), std::string::npos);
  EXPECT_NE(text.find("recovery_target_timeline = 'latest'\n"), std::string::npos);
  EXPECT_EQ(auto_conf_without_recovery(text), present);
  EXPECT_EQ(auto_conf_for_recovery(text, settings).take(), text);
  EXPECT_EQ(auto_conf_without_recovery("restore_command = 'x'"), "");
  EXPECT_EQ(auto_conf_without_recovery("a = 1\n\nb = 2"), "a = 1\n\nb = 2\n") << "what we add begins on a new line";
  EXPECT_EQ(auto_conf_without_recovery(""), "");
}

TEST(RecoveryText, refuses_what_would_be_another_setting) {
  RecoverySettings settings;
  EXPECT_EQ(auto_conf_for_recovery("", settings).error().code(), Code::InvalidInput);
  settings.restore_command = "a\nrecovery_target = 'immediate'";
  EXPECT_EQ(auto_conf_for_recovery("", settings).error().code(), Code::InvalidInput);
  settings.restore_command = "a";
  for (const char* name : {"", "a b", "9a", "recovery_target", "RESTORE_COMMAND", "recovery_min_apply_delay", "a=b"}) {
    settings.further = {{name, "x"}};
    EXPECT_EQ(auto_conf_for_recovery("", settings).error().code(), Code::InvalidInput) << name;
  }
  settings.further.clear();
  settings.target = ToRestorePoint{std::string(64, 'x')};
  EXPECT_EQ(auto_conf_for_recovery("", settings).error().code(), Code::InvalidInput);
  EXPECT_EQ(quoted_setting("it's \\").take(), "'it''s \\\\'");
  EXPECT_FALSE(quoted_setting(std::string_view("a\0b", 3)).ok());
}

}  // namespace
}  // namespace exclave::pg
