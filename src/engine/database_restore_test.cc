// Preparing a base that a compromised home made, in a target that belongs to the database's user.
#include "engine/database_restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/text.h"
#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::engine {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class DatabaseRestore : public ::testing::Test {
 protected:
  DatabaseRestore() {
    std::filesystem::create_directory(target());
    write("secret", "the site's key");
    write("data/postgresql.conf", "");
    options_.target = target();
    options_.claimed = lock_target(files_, target()).take();
    options_.wal_directory = scratch_ / "data.wal";
    options_.program = "/usr/bin/exclave";
    options_.owner = env::FileOwner{::geteuid(), ::getegid()};
    auto writer = WalDirectoryWriter::create(files_, options_.wal_directory, plan_.segment_size, pg::Lsn(0)).take();
    CHECK(writer->add(pg::Timeline(1), pg::Lsn(0), Bytes(100, 1)).ok());
    CHECK(writer->plan(plan_).ok());
    hold_ = std::move(*writer).finish();
    options_.log = hold_.get();
    options_.last_record = pg::Lsn(0x1600000123);
  }
  std::string target() const { return scratch_ / "data"; }
  std::string at(const std::string& name) const { return target() + "/" + name; }
  void write(const std::string& path, std::string_view text) {
    CHECK(env::replace_file_durably(files_, scratch_ / path, as_bytes(text), env::kPrivateFile).ok());
  }
  std::string read(const std::string& name) {
    const auto content = files_.read_file(at(name), 1 << 20);
    return content.ok() ? std::string(as_text(content.value())) : "(" + content.error().message() + ")";
  }

  posix::World world_;
  env::FileSystem& files_ = world_.env().files;
  conformance::ScratchDirectory scratch_{"database"};
  WalPlan plan_{
      pg::SystemIdentifier(9), pg::SegmentSize::of(1U << 20).take(), {{pg::Timeline(1), pg::Lsn(0), pg::Lsn(100)}}};
  std::unique_ptr<WalDirectoryHold> hold_;
  DatabaseRestoreOptions options_;
};

TEST_F(DatabaseRestore, a_base_gets_its_settings_and_its_signal_last) {
  write("data/postgresql.auto.conf", "work_mem = '8MB'\n");
  write("data/standby.signal", "");
  const auto report = prepare_recovery(files_, options_, plan_);
  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_TRUE(report.value().notes.empty());
  EXPECT_THAT(read("postgresql.auto.conf"), ::testing::AllOf(HasSubstr("work_mem"), HasSubstr("wal fetch")));
  EXPECT_FALSE(std::filesystem::exists(at("standby.signal")));
  EXPECT_FALSE(std::filesystem::exists(at("recovery.signal")));
  ASSERT_TRUE(allow_recovery({options_}).ok());
  EXPECT_TRUE(std::filesystem::exists(at("recovery.signal")));
}

// Then nothing but these files is missing any more, and nobody will make them.
TEST_F(DatabaseRestore, of_several_databases_each_gets_its_signal_and_those_without_are_named) {
  ASSERT_TRUE(prepare_recovery(files_, options_, plan_).ok());
  DatabaseRestoreOptions other = options_;
  other.target = scratch_ / "other";
  other.claimed = lock_target(files_, other.target).take();
  options_.owner = env::FileOwner{1234, 5678};
  std::filesystem::create_directories(at("recovery.signal/in the way"));
  const Status allowed = allow_recovery({options_, other});
  EXPECT_TRUE(std::filesystem::exists(other.target + "/recovery.signal"));
  ASSERT_FALSE(allowed.ok());
  const std::string said = allowed.error().message() + allowed.error().hint_text();
  EXPECT_THAT(said, HasSubstr(at("recovery.signal")));
  EXPECT_THAT(said, HasSubstr("chown 1234:5678"));
  EXPECT_THAT(said, Not(HasSubstr(other.target)));
}

// Whoever has only the tool gets a server that does the same.
TEST_F(DatabaseRestore, its_settings_are_those_that_the_tool_without_the_program_writes) {
  constexpr const char* kScript =
      "import sys; sys.path.insert(0, sys.argv[1]); from restorer.recovery import SETTINGS\n"
      "for name, value in SETTINGS: print(f\"{name} = '{value}'\")";
  const auto tool =
      world_.env().processes.start({"python3", "-B", "-c", kScript, std::string(EXCLAVE_SOURCE_DIR) + "/tools"});
  ASSERT_TRUE(tool.ok());
  std::string printed;
  Bytes piece(4096);
  while (const std::size_t size = tool.value()->read_output(piece, {}).take())
    printed += as_text(ByteView(piece).first(size));
  ASSERT_EQ(tool.value()->wait().take(), 0);
  ASSERT_TRUE(prepare_recovery(files_, options_, plan_).ok());
  const std::string text = read("postgresql.auto.conf");
  std::set<std::string> ours;
  for (const std::string_view line : split(text, '\n')) ours.emplace(line);
  std::set<std::string> of_the_tool;
  for (const std::string_view line : split(printed, '\n')) of_the_tool.emplace(line);
  // Both name a command, a timeline and a record, each in its own way.
  std::erase_if(ours, [](const std::string& line) {
    return line.starts_with("restore_command = ") || line.starts_with("recovery_target_timeline = ") ||
           line == "recovery_target_lsn = '16/123'";
  });
  EXPECT_EQ(ours, of_the_tool);
}

TEST_F(DatabaseRestore, E_settings_of_more_than_a_server_writes_are_refused_by_their_path) {
  write("data/postgresql.auto.conf", std::string((1U << 20) + 1, '#'));
  const auto refused = prepare_recovery(files_, options_, plan_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::Precondition);
  EXPECT_THAT(refused.error().message(), HasSubstr(at("postgresql.auto.conf")));
  EXPECT_FALSE(refused.error().hint_text().empty());
}

TEST_F(DatabaseRestore, E_settings_that_are_a_link_or_a_second_name_leak_nothing) {
  for (const bool is_link : {true, false}) {
    std::filesystem::remove(at("postgresql.auto.conf"));
    if (is_link) {
      std::filesystem::create_symlink(scratch_ / "secret", at("postgresql.auto.conf"));
    } else {
      std::filesystem::create_hard_link(scratch_ / "secret", at("postgresql.auto.conf"));
    }
    const auto report = prepare_recovery(files_, options_, plan_);
    ASSERT_TRUE(report.ok()) << report.error().message();
    EXPECT_THAT(read("postgresql.auto.conf"), Not(HasSubstr("the site's key")));
    EXPECT_FALSE(std::filesystem::is_symlink(at("postgresql.auto.conf")));
    EXPECT_THAT(report.value().notes, Contains(HasSubstr("no file of its own")));
    EXPECT_EQ(as_text(files_.read_file(scratch_ / "secret", 100).take()), "the site's key");
  }
}

TEST_F(DatabaseRestore, E_a_linked_folder_of_tablespaces_is_not_listed) {
  std::filesystem::create_directories(scratch_ / "elsewhere/16385");
  std::filesystem::create_directory_symlink(scratch_ / "elsewhere", at("exclave_tablespaces"));
  EXPECT_FALSE(prepare_recovery(files_, options_, plan_).ok());
  EXPECT_FALSE(std::filesystem::exists(at("tablespace_map")));
}

// Whoever owns what is above it can put another directory, or a link, in the place of the target or of the log.
TEST_F(DatabaseRestore, E_directories_that_were_swapped_meanwhile_get_nothing) {
  std::filesystem::create_directory(scratch_ / "victim");
  write("victim/theirs", "");
  for (const std::string name : {"data", "data.wal"}) {
    std::filesystem::rename(scratch_ / name, scratch_ / ("moved-" + name));
    std::filesystem::create_directory_symlink(scratch_ / "victim", scratch_ / name);
  }
  ASSERT_TRUE(prepare_recovery(files_, options_, plan_).ok());
  ASSERT_TRUE(hold_->publish().ok());
  hold_->keep();
  ASSERT_TRUE(allow_recovery({options_}).ok());
  EXPECT_EQ(files_.list(scratch_ / "victim").take(), std::vector<std::string>{"theirs"});
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "moved-data/recovery.signal"));
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "moved-data.wal/wal.plan"));
}

}  // namespace
}  // namespace exclave::engine
