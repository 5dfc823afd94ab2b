// Pages and pg_control of real clusters, compared with what PostgreSQL's own programs say about them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "pg/control_file.h"
#include "pg/page.h"
#include "pg/testing/test_server.h"
#include "posix/world.h"

namespace exclave::pg {
namespace {

using testing::Ending;
using testing::must_run;
using testing::run_command;
using testing::TestServer;

class ClusterFiles : public ::testing::Test {
 protected:
  Bytes read(const TestServer& server, const std::string& path) {
    return env_.files.read_file(server.data_directory() + "/" + path, std::uint64_t{1} << 30).take();
  }
  std::string said_by_controldata(const TestServer& server, std::string_view name) {
    const std::string all = must_run(env_, {TestServer::program("pg_controldata"), server.data_directory()});
    for (const std::string_view line : split(all, '\n')) {
      if (!line.starts_with(name)) continue;
      const std::string_view value = line.substr(name.size() + 1);
      return std::string(value.substr(value.find_first_not_of(' ')));
    }
    return "";
  }
  struct Pages {
    int good = 0;
    int made = 0;  // new ones
    int bad = 0;
  };
  Pages check_all(const TestServer& server) {
    Pages pages;
    const std::string names =
        must_run(env_, {"/bin/sh", "-c", "cd " + server.data_directory() + " && find base global -type f"});
    for (const std::string_view name : split(names, '\n')) {
      const auto first = first_block_of(name);
      if (!first) continue;
      const Bytes bytes = read(server, std::string(name));
      for (std::size_t at = 0; at + kPageBytes <= bytes.size(); at += kPageBytes) {
        const BlockNumber block(first->value() + static_cast<std::uint32_t>(at / kPageBytes));
        const PageState state = check_page(ByteView(bytes).subspan(at, kPageBytes), block);
        (state == PageState::Good ? pages.good : state == PageState::New ? pages.made : pages.bad) += 1;
      }
    }
    return pages;
  }

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
};

TEST_F(ClusterFiles, all_pages_of_a_real_cluster_are_right_and_a_flipped_byte_is_found_as_pg_checksums_finds_it) {
  auto server = TestServer::create(env_, {});
  server->psql(
      "create table t as select g a, repeat('x', 500) b from generate_series(1, 5000) g; create index on t (a)");
  server->psql("vacuum t");
  const std::string path = server->psql("select pg_relation_filepath('t')");
  server->stop(Ending::Fast);
  const Pages whole = check_all(*server);
  EXPECT_EQ(whole.bad, 0);
  EXPECT_GT(whole.good, 1'000);
  const auto checksums = [&] {
    return run_command(env_, {TestServer::program("pg_checksums"), "-c", server->data_directory()});
  };
  const testing::CommandOutcome clean = checksums();
  EXPECT_EQ(clean.status, 0) << clean.output;
  EXPECT_NE(clean.output.find(fmt::format("Blocks scanned:  {}", whole.good + whole.made)), std::string::npos)
      << clean.output;
  must_run(env_, {"/bin/sh", "-c",
                  fmt::format("printf '\\003' | dd of={}/{} bs=1 seek=8300 conv=notrunc 2>&1", server->data_directory(),
                              path)});
  EXPECT_EQ(check_all(*server).bad, 1);
  EXPECT_NE(checksums().output.find("Bad checksums:  1"), std::string::npos);
}

TEST_F(ClusterFiles, every_flipped_byte_of_a_page_and_a_wrong_block_number_are_found) {
  auto server = TestServer::create(env_, {});
  server->stop(Ending::Fast);
  Bytes page = read(*server, "base/1/1249");
  page.resize(kPageBytes);
  ASSERT_EQ(check_page(page, BlockNumber(0)), PageState::Good);
  EXPECT_GT(page_lsn(page), Lsn(0x100000));
  EXPECT_EQ(check_page(page, BlockNumber(1)), PageState::Bad);
  for (std::size_t at = 0; at < kPageBytes; ++at) {
    page[at] ^= static_cast<Byte>(1U << (at % 8));
    EXPECT_EQ(check_page(page, BlockNumber(0)), PageState::Bad) << at;
    page[at] ^= static_cast<Byte>(1U << (at % 8));
  }
  Bytes zeros(kPageBytes, 0);
  EXPECT_EQ(check_page(zeros, BlockNumber(5)), PageState::New);
  zeros[4'000] = 1;
  EXPECT_EQ(check_page(zeros, BlockNumber(5)), PageState::Bad);
}

TEST(RelationFiles, are_told_from_others_by_their_paths) {
  const std::uint32_t second = 2 * kBlocksPerSegmentFile;
  EXPECT_EQ(first_block_of("base/5/16384"), BlockNumber(0));
  EXPECT_EQ(first_block_of("base/5/16384.2"), BlockNumber(second));
  EXPECT_EQ(first_block_of("base/5/16384_fsm"), BlockNumber(0));
  EXPECT_EQ(first_block_of("base/5/16384_vm.2"), BlockNumber(second));
  EXPECT_EQ(first_block_of("base/5/16384_init"), BlockNumber(0));
  EXPECT_EQ(first_block_of("global/1262"), BlockNumber(0));
  EXPECT_EQ(first_block_of("pg_tblspc/16384/PG_15_202209061/5/2"), BlockNumber(0));
  for (const char* other :
       {"global/pg_control", "base/5/PG_VERSION", "base/5/pg_filenode.map", "backup_label", "base/5/t3_16384",
        "base/5/16384_x", "base/5/16384.0", "base/5/16384.", "base/x/1", "base/5/1.99999", "pg_xact/0000",
        "pg_wal/000000010000000000000001", "pg_tblspc/16384/5/2", "base/5/", "base/5/1/2", ""}) {
    EXPECT_EQ(first_block_of(other), std::nullopt) << other;
  }
}

TEST_F(ClusterFiles, pg_control_is_read_as_pg_controldata_reads_it) {
  auto server = TestServer::create(env_, {});
  const auto running = parse_control_file(read(*server, "global/pg_control"));
  ASSERT_TRUE(running.ok()) << running.error().message();
  EXPECT_EQ(running.value().state, ClusterState::InProduction);
  auto standby = TestServer::standby_of(*server);
  server->psql("create table t (a int)");
  while (standby->psql("select count(*) from pg_class where relname = 't'") != "1") {
  }
  standby->stop(Ending::Fast);
  server->stop(Ending::Fast);
  const ControlFile file = parse_control_file(read(*server, "global/pg_control")).take();
  EXPECT_EQ(file.state, ClusterState::ShutDown);
  EXPECT_EQ(file.major, ServerMajor(15));
  EXPECT_EQ(to_text(file.system), said_by_controldata(*server, "Database system identifier:"));
  EXPECT_EQ(to_text(file.checkpoint), said_by_controldata(*server, "Latest checkpoint location:"));
  EXPECT_EQ(to_text(file.checkpoint_redo), said_by_controldata(*server, "Latest checkpoint's REDO location:"));
  EXPECT_EQ(to_text(file.checkpoint_timeline), said_by_controldata(*server, "Latest checkpoint's TimeLineID:"));
  EXPECT_EQ(fmt::format("{}", file.segment_size.bytes()), said_by_controldata(*server, "Bytes per WAL segment:"));
  EXPECT_EQ(fmt::format("{}", file.data_checksum_version), said_by_controldata(*server, "Data page checksum version:"));
  const auto age = env_.clock.now() - file.written;
  EXPECT_LT(age, std::chrono::minutes(1));
  const ControlFile follower = parse_control_file(read(*standby, "global/pg_control")).take();
  EXPECT_EQ(follower.state, ClusterState::ShutDownInRecovery);
  EXPECT_EQ(to_text(follower.minimum_recovery), said_by_controldata(*standby, "Minimum recovery ending location:"));
  EXPECT_EQ(to_text(follower.minimum_recovery_timeline),
            said_by_controldata(*standby, "Min recovery ending loc's timeline:"));
  EXPECT_EQ(to_text(follower.backup_start), said_by_controldata(*standby, "Backup start location:"));
}

void seal(Bytes& file) {
  const std::uint32_t crc = crc32c(ByteView(file).first(288));
  for (std::size_t i = 0; i < 4; ++i) file[288 + i] = static_cast<Byte>(crc >> (8 * i));
}

TEST_F(ClusterFiles, a_damaged_or_strange_pg_control_is_refused) {
  auto server = TestServer::create(env_, {});
  server->stop(Ending::Fast);
  const Bytes good = read(*server, "global/pg_control");
  EXPECT_EQ(parse_control_file(ByteView(good).first(291)).error().code(), Code::Corrupt);
  for (std::size_t at = 0; at < 292; ++at) {
    Bytes bad = good;
    bad[at] ^= static_cast<Byte>(1U << (at % 8));
    EXPECT_EQ(parse_control_file(bad).error().code(), Code::Corrupt) << at;
  }
  const auto with = [&](std::size_t at, Byte value) {
    Bytes changed = good;
    changed[at] = value;
    seal(changed);
    return parse_control_file(changed).error().code();
  };
  EXPECT_EQ(with(8, 0), Code::Unsupported) << "version";
  EXPECT_EQ(with(12, 0), Code::Unsupported) << "catalogue";
  EXPECT_EQ(with(16, 7), Code::Corrupt) << "state";
  EXPECT_EQ(with(31, 0x80), Code::Corrupt) << "time";
  EXPECT_EQ(with(217, 0x10), Code::Unsupported) << "block size";
  EXPECT_EQ(with(228, 1), Code::Corrupt) << "segment size";
  EXPECT_EQ(with(252, 2), Code::Unsupported) << "checksum version";
}

}  // namespace
}  // namespace exclave::pg
