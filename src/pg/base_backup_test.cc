// Base backups of real servers: received, checked, started. What a stream that lies looks like: tar_reader_test and
// manifest_reader_test, and the fuzz targets.
#include "pg/base_backup.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "base/crc32c.h"
#include "pg/control_file.h"
#include "pg/page.h"
#include "pg/recovery_files.h"
#include "pg/testing/test_server.h"
#include "posix/world.h"

namespace exclave::pg {
namespace {

using testing::Ending;
using testing::must_run;
using testing::TestServer;

struct Copy {
  std::vector<BackupEntry> entries;  // as they came
  std::map<std::string, Bytes> files;
  Bytes manifest;
  Finished finished;
};

class BaseBackups : public ::testing::Test {
 protected:
  Until soon() { return {clock_.monotonic() + std::chrono::seconds(60), {}}; }
  ReplicationConnection connect(const TestServer& server) {
    return ReplicationConnection::open(clock_, server.endpoint("base"), soon()).take();
  }
  Result<Copy> receive(BaseBackup& backup) {
    Copy copy;
    Bytes bytes;
    for (;;) {
      BackupEvent event = TRY(backup.next(soon()));
      if (auto* begins = std::get_if<FileBegins>(&event)) {
        copy.entries.push_back(begins->entry);
        bytes.clear();
      } else if (const auto* data = std::get_if<FileBytes>(&event)) {
        append(bytes, data->bytes);
      } else if (const auto* ends = std::get_if<FileEnds>(&event)) {
        if (copy.entries.back().type != EntryType::File) continue;
        EXPECT_EQ(bytes.size(), copy.entries.back().size);
        EXPECT_EQ(ends->crc32c, crc32c(bytes));
        copy.files[copy.entries.back().path] = bytes;
      } else if (const auto* part = std::get_if<ManifestBytes>(&event)) {
        append(copy.manifest, part->bytes);
      } else {
        copy.finished = std::get<Finished>(event);
        return copy;
      }
    }
  }
  static void write(const std::string& path, ByteView bytes) {
    std::ofstream file(path, std::ios::binary);
    file << as_text(bytes);
    EXPECT_TRUE(file.flush().good()) << path;
  }
  // Writes what came into the data directory of a server that has none yet.
  void restore(const Copy& copy, TestServer& target) {
    const std::string root = target.data_directory();
    must_run(env_, {"mkdir", root});
    for (const BackupEntry& entry : copy.entries) {
      const std::string path = root + "/" + entry.path;
      if (entry.type == EntryType::Directory) must_run(env_, {"mkdir", "-p", path});
      if (entry.type != EntryType::File) continue;
      write(path, copy.files.at(entry.path));
    }
    write(root + "/backup_manifest", copy.manifest);
  }

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
  env::Clock& clock_ = env_.clock;
};

TEST_F(BaseBackups, a_copy_has_the_documented_order_passes_pg_verifybackup_and_starts) {
  auto server = TestServer::create(env_, {});
  server->psql("create table t as select g a, md5(g::text) b from generate_series(1, 20000) g");
  auto connection = connect(*server);
  ASSERT_TRUE(connection.create_physical_slot("vault", SlotReserve::Now, soon()).ok());
  auto backup = BaseBackup::start(connection, "it's a test", {}, soon()).take();
  EXPECT_TRUE(backup.tablespaces().empty());
  EXPECT_EQ(backup.timeline(), Timeline(1));
  server->psql("insert into t select g, '' from generate_series(1, 5000) g");  // while it runs
  auto received = receive(backup);
  ASSERT_TRUE(received.ok()) << received.error().message();
  const Copy& copy = received.value();
  EXPECT_EQ(copy.finished.start, backup.start_position());
  EXPECT_GT(copy.finished.end, copy.finished.start);
  EXPECT_EQ(copy.finished.files, copy.files.size());
  EXPECT_TRUE(copy.finished.checksum_failures.empty());
  EXPECT_EQ(copy.entries.front().path, "backup_label");
  EXPECT_EQ(copy.entries.back().path, "global/pg_control");
  const Bytes& label = copy.files.at("backup_label");
  EXPECT_NE(as_text(label).find("LABEL: it's a test"), std::string_view::npos);
  EXPECT_TRUE(connection.identify_system(soon()).ok()) << "the connection is free again";

  auto restored = TestServer::prepare(env_);
  restore(copy, *restored);
  must_run(env_, {TestServer::program("pg_verifybackup"), "-n", restored->data_directory()});
  const std::string manifest = restored->data_directory() + "/backup_manifest";
  const std::string sum = must_run(
      env_, {"/bin/sh", "-c", fmt::format("head -c {} {} | sha256sum", copy.finished.manifest_hashed_bytes, manifest)});
  EXPECT_EQ(sum.substr(0, 64), copy.finished.manifest_sha256);
  EXPECT_EQ(copy.manifest.size(), copy.finished.manifest_bytes);

  // With the WAL of the backup, it recovers.
  must_run(env_, {"/bin/sh", "-c",
                  fmt::format("cp {}/pg_wal/0* {}/pg_wal/", server->data_directory(), restored->data_directory())});
  restored->adopt();
  restored->start();
  EXPECT_GE(parse_u64(restored->psql("select count(*) from t")).take(), 20'000U);
  EXPECT_EQ(restored->psql("select count(distinct b) from t where a <= 20000 and b <> ''"), "20000");
}

TEST_F(BaseBackups, tablespaces_come_first_under_the_paths_of_the_data_directory) {
  auto server = TestServer::create(env_, {});
  const std::string place = server->directory() + "/space";
  must_run(env_, server->as_server({"mkdir", place}));
  server->psql(fmt::format("create tablespace s location '{}'", place));
  server->psql("create table t (a int) tablespace s; insert into t select generate_series(1, 1000)");
  const std::string oid = server->psql("select oid from pg_tablespace where spcname = 's'");
  auto connection = connect(*server);
  auto backup = BaseBackup::start(connection, "x", {}, soon()).take();
  ASSERT_EQ(backup.tablespaces().size(), 1U);
  EXPECT_EQ(backup.tablespaces()[0].location, place);
  auto received = receive(backup);
  ASSERT_TRUE(received.ok()) << received.error().message();
  const auto& entries = received.value().entries;
  const std::string folder = "pg_tblspc/" + oid;
  EXPECT_TRUE(entries.front().path.starts_with(folder + "/PG_15_")) << entries.front().path;
  const auto is_link = [](const auto& e) { return e.type == EntryType::Symlink; };
  EXPECT_TRUE(std::none_of(entries.begin(), entries.end(), is_link)) << "tablespace_map says what links are made";
  EXPECT_NE(as_text(received.value().files.at("tablespace_map")).find(oid + " " + place), std::string_view::npos);
  const auto label =
      std::find_if(entries.begin(), entries.end(), [](const auto& e) { return e.path == "backup_label"; });
  EXPECT_EQ((label + 1)->path, "tablespace_map") << "second in the data directory's archive";
  int pages = 0;
  for (const auto& [path, bytes] : received.value().files) {
    const auto block = first_block_of(path);
    if (!path.starts_with(folder) || !block) continue;
    for (std::size_t at = 0; at + kPageBytes <= bytes.size(); at += kPageBytes) {
      const BlockNumber number(block->value() + static_cast<std::uint32_t>(at / kPageBytes));
      EXPECT_NE(check_page(ByteView(bytes).subspan(at, kPageBytes), number), PageState::Bad) << path;
      ++pages;
    }
  }
  EXPECT_GT(pages, 3);
}

// Moved behind a link by somebody, it is in neither stream nor manifest: without the warning the copy would pass for whole.
TEST_F(BaseBackups, a_file_that_the_server_passes_over_is_told) {
  auto server = TestServer::create(env_, {});
  must_run(env_, {"/bin/sh", "-c", fmt::format("ln -s /etc/hostname {}/base/1/99999", server->data_directory())});
  auto connection = connect(*server);
  auto backup = BaseBackup::start(connection, "x", {}, soon()).take();
  auto received = receive(backup);
  ASSERT_TRUE(received.ok()) << received.error().message();
  EXPECT_TRUE(received.value().finished.checksum_failures.empty());
  ASSERT_EQ(received.value().finished.warnings.size(), 1U);
  EXPECT_NE(received.value().finished.warnings.front().find("./base/1/99999"), std::string::npos);
}

TEST_F(BaseBackups, bad_page_checksums_are_told_and_do_not_stop_the_copy) {
  auto server = TestServer::create(env_, {});
  server->psql("create table t as select g a from generate_series(1, 10000) g; checkpoint");
  const std::string path = server->psql("select pg_relation_filepath('t')");
  server->stop(Ending::Fast);
  must_run(env_, {"/bin/sh", "-c",
                  fmt::format("printf '\\377' | dd of={}/{} bs=1 seek=20000 conv=notrunc 2>&1",
                              server->data_directory(), path)});
  server->start();
  auto connection = connect(*server);
  auto backup = BaseBackup::start(connection, "x", {}, soon()).take();
  auto received = receive(backup);
  ASSERT_TRUE(received.ok()) << received.error().message();
  const auto& failures = received.value().finished.checksum_failures;
  ASSERT_FALSE(failures.empty());
  EXPECT_NE(failures.front().find(path), std::string::npos) << failures.front();
  const Bytes& file = received.value().files.at(path);
  EXPECT_EQ(check_page(ByteView(file).subspan(2 * kPageBytes, kPageBytes), BlockNumber(2)), PageState::Bad);
  EXPECT_EQ(check_page(ByteView(file).subspan(kPageBytes, kPageBytes), BlockNumber(1)), PageState::Good);
  EXPECT_TRUE(received.value().finished.warnings.empty());
  // The server can be told not to look.
  auto blind = BaseBackup::start(connection, "x", {.page_checks = PageChecks::Off}, soon()).take();
  auto unchecked = receive(blind);
  ASSERT_TRUE(unchecked.ok()) << unchecked.error().message();
  EXPECT_TRUE(unchecked.value().finished.checksum_failures.empty());
}

TEST_F(BaseBackups, a_standby_can_be_copied_and_its_promotion_ends_the_copy) {
  auto primary = TestServer::create(env_, {});
  primary->psql("create table t as select g a, repeat('x', 1000) b from generate_series(1, 10000) g; checkpoint");
  auto standby = TestServer::standby_of(*primary);
  auto connection = connect(*standby);
  {
    auto backup = BaseBackup::start(connection, "x", {}, soon());
    ASSERT_TRUE(backup.ok()) << backup.error().message();
    const auto received = receive(backup.value());
    ASSERT_TRUE(received.ok()) << received.error().message();
  }
  auto slow = BaseBackup::start(connection, "x", {.maximum_kilobytes_per_second = 16'384}, soon());
  ASSERT_TRUE(slow.ok()) << slow.error().message();
  standby->promote();
  const auto received = receive(slow.value());
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code(), Code::Precondition) << received.error().message();
}

TEST_F(BaseBackups, a_server_that_dies_in_the_middle_is_unavailable) {
  auto server = TestServer::create(env_, {});
  auto connection = connect(*server);
  auto backup = BaseBackup::start(connection, "x", {.maximum_kilobytes_per_second = 2'048}, soon()).take();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(backup.next(soon()).ok());
  server->stop(Ending::Kill);
  const auto rest = receive(backup);
  ASSERT_FALSE(rest.ok());
  EXPECT_EQ(rest.error().code(), Code::Unavailable) << rest.error().message();
}

TEST_F(BaseBackups, impossible_options_are_refused_before_they_reach_the_server) {
  auto server = TestServer::create(env_, {});
  auto connection = connect(*server);
  EXPECT_EQ(BaseBackup::start(connection, "a\nb", {}, soon()).error().code(), Code::InvalidInput);
  EXPECT_EQ(BaseBackup::start(connection, std::string(2'000, 'x'), {}, soon()).error().code(), Code::InvalidInput);
  EXPECT_EQ(BaseBackup::start(connection, "x", {.maximum_kilobytes_per_second = 1}, soon()).error().code(),
            Code::InvalidInput);
}

}  // namespace
}  // namespace exclave::pg
