// What a server that lies may send as a base backup. The archives themselves: tar_reader_test.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "pg/base_backup.h"
#include "pg/control_file.h"
#include "pg/testing/fake_server.h"
#include "pg/testing/tar_writer.h"
#include "posix/world.h"

namespace exclave::pg {
namespace {

using testing::copy_data;
using testing::FakeServer;
using testing::tar_directory;
using testing::tar_end;
using testing::tar_file;
using testing::tar_header;

constexpr std::uint64_t kSystem = 7'000'000'000'000'000'001;

// The smallest pg_control that is believed.
std::string control_file(std::uint64_t system) {
  std::string file(kControlFileBytes, '\0');
  const auto put = [&file](std::size_t at, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) file[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
  };
  put(0, system, 8);
  put(8, 1'300, 4);
  put(12, 202'209'061, 4);
  put(16, 6, 4);
  put(24, 1'700'000'000, 8);
  put(216, 8'192, 4);
  put(224, 8'192, 4);
  put(228, 1 << 24, 4);
  put(288, crc32c(as_bytes(file).first(288)), 4);
  return file;
}

std::string listed(std::string_view path, std::string_view content) {
  std::uint32_t crc = crc32c(as_bytes(content));
  std::string hex;
  for (int i = 0; i < 4; ++i, crc >>= 8) hex += fmt::format("{:02x}", crc & 0xff);
  return fmt::format(
      "{{ \"Path\": \"{}\", \"Size\": {}, \"Last-Modified\": \"2026-11-28 08:00:00 GMT\", "
      "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"{}\" }}",
      path, content.size(), hex);
}

std::string manifest_with(std::string_view files) {
  return fmt::format(
      "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n"
      "{{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }}\n],\n"
      "\"Manifest-Checksum\": \"{}\"}}\n",
      files, std::string(64, 'a'));
}

// A whole backup, of which a test changes one thing.
struct Script {
  std::vector<testing::Cells> tablespaces = {{std::nullopt, std::nullopt, std::nullopt}};
  std::vector<std::pair<std::string, std::string>> archives;  // "name NUL place NUL", content
  std::string manifest;
  std::string end = testing::rows({{"0/2000100", "1"}}, 2);

  static Script good() {
    const std::string control = control_file(kSystem);
    Script script;
    script.archives.emplace_back(
        std::string("base.tar\0\0", 10),
        tar_file("backup_label", "x") + tar_directory("global") + tar_file("global/pg_control", control) + tar_end());
    script.manifest = manifest_with(listed("backup_label", "x") + ",\n" + listed("global/pg_control", control));
    return script;
  }
  std::string reply() const {
    std::string all = testing::rows({{"0/2000028", "1"}}, 2) + testing::rows(tablespaces, 3) + testing::copy_out();
    for (const auto& [name, content] : archives) {
      all += copy_data("n" + name);
      for (std::size_t at = 0; at < content.size(); at += 1'000) all += copy_data("d" + content.substr(at, 1'000));
      all += copy_data("p" + std::string(8, '\0'));
    }
    if (!manifest.empty()) all += copy_data("m") + copy_data("d" + manifest);
    return all + testing::copy_done() + end + testing::message('C', testing::text_z("SELECT")) + testing::ready();
  }
};

class BaseBackupProtocol : public ::testing::Test {
 protected:
  Until soon() { return {env_.clock.monotonic() + std::chrono::seconds(20), {}}; }
  Result<Finished> outcome_of(const Script& script) {
    const std::string identity = testing::rows({{fmt::format("{}", kSystem), "1", "0/3000000"}}, 3) + testing::ready();
    FakeServer server(env_, {identity, script.reply()});
    auto connection = TRY(ReplicationConnection::open(env_.clock, server.endpoint(), soon()));
    auto backup = TRY(BaseBackup::start(connection, "x", {}, soon()));
    for (;;) {
      auto event = TRY(backup.next(soon()));
      if (auto* finished = std::get_if<Finished>(&event)) return std::move(*finished);
    }
  }
  // The message of a refusal, which must be Corrupt.
  std::string refusal_of(const Script& script) {
    const auto outcome = outcome_of(script);
    if (outcome.ok()) return "";
    EXPECT_EQ(outcome.error().code(), Code::Corrupt) << outcome.error().message();
    return outcome.error().message();
  }
  // With one more entry before pg_control.
  std::string refusal_of_entry(const std::string& entry) {
    Script script = Script::good();
    script.archives[0].second.insert(0, entry);
    return refusal_of(script);
  }

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
};

TEST_F(BaseBackupProtocol, a_whole_one_is_taken) {
  const auto outcome = outcome_of(Script::good());
  ASSERT_TRUE(outcome.ok()) << outcome.error().message();
  EXPECT_EQ(outcome.value().files, 2U);
  EXPECT_EQ(to_text(outcome.value().end), "0/2000100");
}

TEST_F(BaseBackupProtocol, entries_that_do_not_belong_where_they_say_are_refused) {
  EXPECT_NE(refusal_of_entry(tar_file("../x", "x")).find("refused path"), std::string::npos);
  EXPECT_NE(refusal_of_entry(tar_file("/etc/x", "x")).find("refused path"), std::string::npos);
  EXPECT_NE(refusal_of_entry(tar_file("backup_label", "x")).find("twice"), std::string::npos);
  EXPECT_NE(refusal_of_entry(tar_directory("global")).find("twice"), std::string::npos);
  EXPECT_NE(refusal_of_entry(tar_file("nowhere/x", "x")).find("not in a directory"), std::string::npos);
  EXPECT_NE(refusal_of_entry(tar_file("a", "x") + tar_file("a/b", "x")).find("not in a directory"), std::string::npos);
  EXPECT_NE(refusal_of_entry(tar_header({.name = "pg_wal", .type = '2', .link = "/etc"})).find("no tablespace"),
            std::string::npos);
  const std::string inside = tar_directory("pg_tblspc") + tar_directory("pg_tblspc/16384");
  EXPECT_NE(refusal_of_entry(inside).find("inside the data directory"), std::string::npos);
}

TEST_F(BaseBackupProtocol, links_are_tablespaces_and_nothing_is_behind_them) {
  Script script = Script::good();
  script.tablespaces.insert(script.tablespaces.begin(), {"16384", "/srv/space", "1"});
  script.archives.insert(script.archives.begin(),
                         {std::string("16384.tar\0/srv/space\0", 21), tar_directory("PG_15_1") + tar_end()});
  EXPECT_EQ(refusal_of(script), "");
  const std::string link =
      tar_directory("pg_tblspc") + tar_header({.name = "pg_tblspc/16384", .type = '2', .link = "/srv/space"});
  Script linked = script;
  linked.archives[1].second.insert(0, link);
  EXPECT_EQ(refusal_of(linked), "");
  Script behind = script;
  behind.archives[1].second.insert(0, link + tar_file("pg_tblspc/16384/x", "x"));
  EXPECT_NE(refusal_of(behind).find("not in a directory"), std::string::npos);
  Script astray = script;
  astray.archives[1].second.insert(
      0, tar_directory("pg_tblspc") + tar_header({.name = "pg_tblspc/16384", .type = '2', .link = "/etc"}));
  EXPECT_NE(refusal_of(astray).find("no tablespace"), std::string::npos);
  Script missing = script;
  missing.archives.erase(missing.archives.begin());
  EXPECT_NE(refusal_of(missing).find("missing"), std::string::npos);
  Script stranger = script;
  stranger.archives[0].first = std::string("16385.tar\0/srv/space\0", 21);
  EXPECT_NE(refusal_of(stranger).find("no tablespace"), std::string::npos);
  Script again = script;
  again.archives.push_back(again.archives[0]);
  EXPECT_NE(refusal_of(again).find("does not belong"), std::string::npos) << "the data directory comes last";
}

TEST_F(BaseBackupProtocol, pg_control_must_be_there_whole_and_of_this_system) {
  const auto with_control = [](const std::string& control) {
    Script script = Script::good();
    script.archives[0].second = tar_directory("global") + tar_file("global/pg_control", control) + tar_end();
    script.manifest = manifest_with(listed("global/pg_control", control));
    return script;
  };
  EXPECT_EQ(refusal_of(with_control(control_file(kSystem))), "");
  EXPECT_NE(refusal_of(with_control(control_file(kSystem + 1))).find("of system"), std::string::npos);
  std::string torn = control_file(kSystem);
  torn[100] = 1;
  EXPECT_NE(refusal_of(with_control(torn)).find("CRC"), std::string::npos);
  EXPECT_NE(refusal_of(with_control(std::string(9'000, 'x'))).find("too long"), std::string::npos);
  Script none = Script::good();
  none.archives[0].second = tar_file("backup_label", "x") + tar_end();
  EXPECT_NE(refusal_of(none).find("pg_control is missing"), std::string::npos);
}

TEST_F(BaseBackupProtocol, the_manifest_must_say_exactly_what_came) {
  const std::string control = listed("global/pg_control", control_file(kSystem));
  const auto with_files = [](const std::string& files) {
    Script script = Script::good();
    script.manifest = manifest_with(files);
    return script;
  };
  EXPECT_NE(refusal_of(with_files(control)).find("leaves out"), std::string::npos);
  EXPECT_NE(refusal_of(with_files(listed("backup_label", "y") + ",\n" + control)).find("not as the manifest"),
            std::string::npos);
  EXPECT_NE(refusal_of(with_files(listed("backup_label", "xx") + ",\n" + control)).find("not as the manifest"),
            std::string::npos);
  EXPECT_NE(refusal_of(with_files(listed("more", "x") + ",\n" + control)).find("did not come"), std::string::npos);
  EXPECT_NE(refusal_of(with_files(control + ",\n" + control)).find("twice"), std::string::npos);
  Script none = Script::good();
  none.manifest.clear();
  EXPECT_NE(refusal_of(none).find("before its manifest"), std::string::npos);
  Script torn = Script::good();
  torn.manifest.resize(torn.manifest.size() - 10);
  EXPECT_NE(refusal_of(torn).find("not whole"), std::string::npos);
  Script elsewhere = Script::good();
  elsewhere.end = testing::rows({{"0/2000200", "1"}}, 2);
  EXPECT_NE(refusal_of(elsewhere).find("another range"), std::string::npos);
}

TEST_F(BaseBackupProtocol, archives_and_messages_must_be_whole) {
  Script early = Script::good();
  early.archives[0].second.resize(early.archives[0].second.size() - 1'024);
  EXPECT_NE(refusal_of(early).find("ends in the middle"), std::string::npos);
  Script unnamed = Script::good();
  unnamed.archives[0].first = "base.tar";
  EXPECT_NE(refusal_of(unnamed).find("malformed beginning"), std::string::npos);
  Script placed = Script::good();
  placed.archives[0].first = std::string("base.tar\0/x\0", 12);
  EXPECT_NE(refusal_of(placed).find("with a place"), std::string::npos);
}

TEST_F(BaseBackupProtocol, servers_before_15_are_unsupported) {
  FakeServer server(env_, {}, "14.20");
  auto connection = ReplicationConnection::open(env_.clock, server.endpoint(), soon()).take();
  EXPECT_EQ(BaseBackup::start(connection, "x", {}, soon()).error().code(), Code::Unsupported);
}

}  // namespace
}  // namespace exclave::pg
