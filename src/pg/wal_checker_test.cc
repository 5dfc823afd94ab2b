#include "pg/wal_checker.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "pg/testing/test_server.h"
#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::pg {
namespace {

using testing::TestServer;

constexpr std::uint64_t kSegment = std::uint64_t{1} << 20;

// Real WAL of a real server, and what pg_waldump says about it.
struct Sample {
  SystemIdentifier system;
  Lsn start;                 // of the first segment
  Bytes bytes;               // whole segments
  Lsn end;                   // what the server had flushed
  std::vector<Lsn> records;  // where each record begins
  std::uint64_t commits = 0;
  Lsn point_end;  // what pg_create_restore_point answered

  WalStart at_start() const {
    WalStart begin;
    begin.system = system;
    begin.segment_size = SegmentSize::of(kSegment).take();
    begin.start = start;
    return begin;
  }
  ByteView until_end() const { return ByteView(bytes).first(static_cast<std::size_t>(bytes_between(start, end))); }
};

std::string field_after(std::string_view line, std::string_view name) {
  const std::size_t at = line.find(name);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = line.substr(at + name.size());
  return std::string(rest.substr(0, rest.find_first_of(", ")));
}

// pg_waldump pads the low half to eight digits.
Lsn lsn_of(std::string_view padded) {
  const std::size_t slash = padded.find('/');
  std::string low(padded.substr(slash + 1));
  low.erase(0, std::min(low.find_first_not_of('0'), low.size() - 1));
  return parse_lsn(std::string(padded.substr(0, slash + 1)) + low).take();
}

struct Dump {
  std::vector<Lsn> records;  // where each begins
  std::uint64_t commits = 0;
  bool ends_with_commit = false;
};

// What PostgreSQL's own reader finds.
Dump dump_wal(env::Env env, const std::string& directory, Lsn start, Lsn end) {
  Dump dump;
  const std::string text = testing::must_run(
      env, {TestServer::program("pg_waldump"), "-p", directory, "-s", to_text(start), "-e", to_text(end)});
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with("rmgr: ")) continue;
    dump.records.push_back(lsn_of(field_after(line, "lsn: ")));
    const bool is_commit = line.find("desc: COMMIT") != std::string_view::npos;
    dump.ends_with_commit = line.starts_with("rmgr: Transaction") && is_commit;
    if (dump.ends_with_commit) ++dump.commits;
  }
  return dump;
}

Sample make_sample(env::Env env) {
  auto server = TestServer::create(env, {{{"max_prepared_transactions", "4"}, {"wal_level", "logical"}}, {}});
  Sample sample;
  const std::string begin = server->psql("select pg_switch_wal(); select pg_current_wal_lsn()");
  server->psql("create table t (a int primary key, b text)");
  for (int i = 0; i < 20; ++i) server->psql(fmt::format("insert into t values ({}, repeat('x', {}))", i, i * 997));
  server->psql("insert into t select g, md5(g::text) from generate_series(100, 4000) g");
  server->psql("begin; insert into t values (-1, ''); prepare transaction 'p'");
  server->psql("commit prepared 'p'");
  server->psql("select pg_logical_emit_message(false, 'big', repeat('y', 300000))");  // crosses many pages
  server->psql("begin; insert into t values (-2, ''); rollback");
  sample.point_end = lsn_of(server->psql("select pg_create_restore_point('before the \u00fcbergabe')"));
  server->psql(fmt::format("select pg_create_restore_point('{}')", std::string(63, 'x')));
  server->psql("select pg_switch_wal()");
  server->psql("update t set b = b || 'z' where a < 50; checkpoint");
  sample.system = SystemIdentifier(parse_u64(server->psql("select system_identifier from pg_control_system()")).take());
  const SegmentSize size = SegmentSize::of(kSegment).take();
  sample.start = size.segment_start(lsn_of(begin.substr(begin.find('\n') + 1)));
  Dump dump;
  for (int i = 3; !dump.ends_with_commit; ++i) {  // until none of the server's own records comes between the two
    CHECK(i < 10);
    sample.end =
        lsn_of(server->psql(fmt::format("insert into t values (-{}, ''); select pg_current_wal_flush_lsn()", i)));
    dump = dump_wal(env, server->data_directory() + "/pg_wal", sample.start, sample.end);
  }
  for (Lsn at = sample.start; at < sample.end; at = at + kSegment) {
    const std::string path = server->data_directory() + "/pg_wal/" + wal_file_name(Timeline(1), at, size);
    append(sample.bytes, env.files.read_file(path, kSegment).take());
  }
  sample.records = dump.records;
  sample.commits = dump.commits;
  return sample;
}

// Each test is a process of its own, but --gtest_repeat and plain runs are not: the sample is made once in each.
const Sample& sample() {
  static const Sample kSample = [] {
    posix::World world(env::LogLevel::Error);
    return make_sample(world.env());
  }();
  return kSample;
}

struct Outcome {
  std::optional<Lsn> end;
  std::optional<Lsn> last;
  std::uint64_t records = 0;
  std::uint64_t commits = 0;
  std::uint64_t restore_points = 0;
  std::optional<RestorePoint> point;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome outcome_of(const WalChecker& checker) {
  return {checker.end_of_last_record(), checker.begin_of_last_record(), checker.records(), checker.commits(),
          checker.restore_points(),     checker.last_restore_point()};
}

TEST(WalChecker, finds_the_records_and_commits_that_pg_waldump_finds) {
  const Sample& wal = sample();
  auto checker = WalChecker::create(wal.at_start()).take();
  std::vector<Lsn> records;
  for (const Byte& byte : wal.until_end()) {  // byte by byte, so that no record's beginning is missed
    ASSERT_TRUE(checker.feed(ByteView(&byte, 1)).ok()) << checker.feed({}).error().message();
    const auto last = checker.begin_of_last_record();
    if (last && (records.empty() || records.back() != *last)) records.push_back(*last);
  }
  EXPECT_EQ(records, wal.records);
  EXPECT_EQ(checker.records(), wal.records.size());
  EXPECT_EQ(checker.commits(), wal.commits);
  EXPECT_GT(checker.commits(), 20U);
  EXPECT_EQ(checker.end_of_last_record(), wal.end);
  ASSERT_TRUE(checker.last_commit().has_value());
  EXPECT_EQ(checker.last_commit()->end, wal.end);
  EXPECT_FALSE(checker.is_at_stop());
  EXPECT_GT(checker.last_commit()->transaction.value(), 700U);
  posix::World world;
  const auto age = world.env().clock.now() - checker.last_commit()->time;
  EXPECT_LT(age, std::chrono::minutes(10));
  EXPECT_GT(age, std::chrono::minutes(-10));
  ASSERT_TRUE(checker.last_switch().has_value());
  EXPECT_EQ(checker.last_switch()->value() % kSegment, 0U);
}

TEST(WalChecker, finds_the_restore_points_with_name_time_and_the_end_that_the_server_says) {
  const Sample& wal = sample();
  auto checker = WalChecker::create(wal.at_start()).take();
  std::vector<RestorePoint> points;
  for (ByteView rest = wal.until_end(); !rest.empty();) {
    ASSERT_TRUE(checker.feed_record(rest).ok());
    if (checker.restore_points() != points.size()) points.push_back(*checker.last_restore_point());
  }
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].name, "before the \u00fcbergabe");
  EXPECT_EQ(points[0].end, wal.point_end);
  EXPECT_EQ(points[1].name, std::string(63, 'x'));
  posix::World world;
  for (const RestorePoint& point : points) {
    EXPECT_LT(world.env().clock.now() - point.time, std::chrono::minutes(10));
    EXPECT_GT(world.env().clock.now() - point.time, std::chrono::minutes(-10));
  }
}

TEST(WalChecker, fed_record_by_record_stops_at_each_end_and_says_the_same) {
  const Sample& wal = sample();
  auto whole = WalChecker::create(wal.at_start()).take();
  ASSERT_TRUE(whole.feed(wal.until_end()).ok());
  for (const std::size_t piece : {std::size_t{1}, std::size_t{100}, std::size_t{8'192}, wal.bytes.size()}) {
    auto checker = WalChecker::create(wal.at_start()).take();
    for (ByteView all = wal.until_end(); !all.empty();) {
      ByteView rest = all.first(std::min(piece, all.size()));
      all = all.subspan(rest.size());
      while (!rest.empty()) {
        const std::uint64_t before = checker.records();
        ASSERT_TRUE(checker.feed_record(rest).ok());
        ASSERT_LE(checker.records(), before + 1);
        if (checker.records() > before) {
          ASSERT_EQ(checker.end_of_last_record(), checker.position());
        } else {
          ASSERT_TRUE(rest.empty());
        }
      }
    }
    EXPECT_EQ(outcome_of(checker), outcome_of(whole)) << piece;
  }
}

TEST(WalChecker, says_the_same_however_the_stream_is_cut) {
  const Sample& wal = sample();
  auto whole = WalChecker::create(wal.at_start()).take();
  ASSERT_TRUE(whole.feed(wal.until_end()).ok());
  for (std::size_t piece = 1; piece < 20'000; piece = piece < 70 ? piece + 1 : piece * 3 / 2) {
    auto checker = WalChecker::create(wal.at_start()).take();
    for (ByteView rest = wal.until_end(); !rest.empty();) {
      const std::size_t size = std::min(piece, rest.size());
      ASSERT_TRUE(checker.feed(rest.first(size)).ok()) << piece;
      rest = rest.subspan(size);
    }
    EXPECT_EQ(outcome_of(checker), outcome_of(whole)) << piece;
  }
  const ByteView all = wal.until_end();
  for (std::size_t cut = 0; cut < 3 * 8'192; ++cut) {  // every split of the first pages
    auto checker = WalChecker::create(wal.at_start()).take();
    ASSERT_TRUE(checker.feed(all.first(cut)).ok());
    ASSERT_TRUE(checker.feed(all.subspan(cut, 4 * 8'192 - cut)).ok());
    EXPECT_EQ(checker.position(), wal.start + 4 * 8'192);
  }
}

TEST(WalChecker, started_anywhere_finds_its_way_to_the_same_end) {
  const Sample& wal = sample();
  const ByteView all = wal.until_end();
  for (std::size_t from = 0; from < all.size(); from += from < 40'000 ? 37 : 8'209) {
    WalStart begin = wal.at_start();
    begin.start = wal.start + from;
    auto checker = WalChecker::create(begin).take();
    const auto status = checker.feed(all.subspan(from));
    ASSERT_TRUE(status.ok()) << from << ": " << status.error().message();
    if (!checker.end_of_last_record()) continue;  // the end came before a page that says where a record begins
    EXPECT_EQ(checker.end_of_last_record(), wal.end) << from;
    const auto at = std::lower_bound(wal.records.begin(), wal.records.end(), begin.start);
    EXPECT_LE(checker.records(), static_cast<std::uint64_t>(wal.records.end() - at)) << from;
  }
}

TEST(WalChecker, started_at_a_record_checks_from_there_and_its_prev_link) {
  const Sample& wal = sample();
  for (std::size_t i = 1; i < wal.records.size(); i += 17) {
    WalStart begin = wal.at_start();
    begin.start = wal.records[i];
    begin.starts_at = StartsAt::RecordBoundary;
    begin.previous_record = wal.records[i - 1];
    const ByteView rest = wal.until_end().subspan(static_cast<std::size_t>(bytes_between(wal.start, begin.start)));
    auto checker = WalChecker::create(begin).take();
    ASSERT_TRUE(checker.feed(rest).ok());
    EXPECT_EQ(checker.records(), wal.records.size() - i);
    begin.previous_record = wal.start + 8;
    auto wrong = WalChecker::create(begin).take();
    EXPECT_EQ(wrong.feed(rest).error().code(), Code::Corrupt);
  }
}

// From a log switch's end to that of its segment, in offsets from the sample's start.
std::vector<std::pair<std::size_t, std::size_t>> ranges_behind_switches(const Sample& wal) {
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  auto checker = WalChecker::create(wal.at_start()).take();
  for (ByteView rest = wal.until_end(); !rest.empty();) {
    const auto before = checker.last_switch();
    CHECK(checker.feed_record(rest).ok());
    if (checker.last_switch() == before) continue;
    constexpr std::size_t kSwitchBytes = 24;  // a header, and nothing else
    ranges.emplace_back(bytes_between(wal.start, *checker.begin_of_last_record()) + kSwitchBytes,
                        bytes_between(wal.start, *checker.last_switch()));
  }
  return ranges;
}

// Which bytes of a page's header no check can hold on to: one flag, which the server sets as it likes.
bool is_unchecked_flag(std::size_t offset, unsigned bit) {
  return offset % 8'192 == 2 && bit == 2;
}

TEST(WalChecker, finds_every_flipped_bit_of_the_first_pages_and_samples_of_the_rest) {
  const Sample& wal = sample();
  Bytes bytes = to_bytes(wal.until_end());
  const auto skipped = ranges_behind_switches(wal);
  const auto is_behind_switch = [&](std::size_t at) {
    return std::ranges::any_of(skipped, [at](const auto& range) { return at >= range.first && at < range.second; });
  };
  std::size_t step = 1;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    if (at == 2 * 8'192) step = 1'009;
    const unsigned bit = static_cast<unsigned>(at % 8);
    if (is_unchecked_flag(at, bit) || is_behind_switch(at)) continue;
    bytes[at] = static_cast<Byte>(bytes[at] ^ (1U << bit));
    auto checker = WalChecker::create(wal.at_start()).take();
    // Enough of what follows to notice; near the end a longer record cannot be told from one that is still to come.
    const std::size_t size = std::min(bytes.size(), at + 3 * 8'192 + 400'000);
    const Status status = checker.feed(ByteView(bytes).first(step == 1 ? std::min<std::size_t>(size, 200'000) : size));
    if (status.ok()) {
      EXPECT_LT(checker.end_of_last_record()->value(), (wal.start + at).value() + 24) << at;
      EXPECT_GT(at + 2 * 8'192, bytes.size()) << "flip at " << at << " was not found";
    } else {
      EXPECT_NE(status.error().code(), Code::Bug);
      EXPECT_NE(status.error().message().find("0/"), std::string::npos) << status.error().message();
    }
    bytes[at] = static_cast<Byte>(bytes[at] ^ (1U << bit));
  }
}

// What a power failure may leave: the switch was written, the zeros behind it were not, and the file had been used before.
TEST(WalChecker, skips_what_stands_behind_a_log_switch_as_the_server_does) {
  const Sample& wal = sample();
  const auto ranges = ranges_behind_switches(wal);
  ASSERT_FALSE(ranges.empty());
  Bytes bytes = to_bytes(wal.until_end());
  for (const auto& [from, to] : ranges) {
    ASSERT_GT(to - from, 3 * 8'192U) << "whole pages";
    for (std::size_t at = from; at < to; ++at) bytes[at] = static_cast<Byte>(at * 7 + 1);
  }
  for (const std::size_t piece : {std::size_t{4'093}, bytes.size()}) {
    auto checker = WalChecker::create(wal.at_start()).take();
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      ASSERT_TRUE(checker.feed(ByteView(bytes).subspan(at, std::min(piece, bytes.size() - at))).ok());
    EXPECT_EQ(checker.records(), wal.records.size());
    EXPECT_EQ(checker.end_of_last_record(), wal.end);
  }

  const conformance::ScratchDirectory directory("switched");
  const SegmentSize size = SegmentSize::of(kSegment).take();
  bytes.resize((bytes.size() + kSegment - 1) / kSegment * kSegment);
  for (std::size_t at = 0; at < bytes.size(); at += kSegment) {
    std::ofstream file(directory / wal_file_name(Timeline(1), wal.start + at, size), std::ios::binary);
    file << as_text(ByteView(bytes).subspan(at, kSegment));
  }
  posix::World world(env::LogLevel::Error);
  EXPECT_EQ(dump_wal(world.env(), directory.path(), wal.start, wal.end).records, wal.records) << "as the server does";
}

TEST(WalChecker, begun_behind_a_log_switch_believes_zeros_alone) {
  const Sample& wal = sample();
  const auto [from, to] = ranges_behind_switches(wal).at(0);
  const std::size_t page = (from / 8'192 + 1) * 8'192;
  WalStart begin = wal.at_start();
  begin.start = wal.start + page;
  Bytes bytes = to_bytes(wal.until_end().subspan(page));
  auto checker = WalChecker::create(begin).take();
  ASSERT_TRUE(checker.feed(bytes).ok());
  EXPECT_EQ(checker.end_of_last_record(), wal.end);
  bytes[to - page - 1] = 1;
  auto strict = WalChecker::create(begin).take();
  const Status status = strict.feed(bytes);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message().find("log switch"), std::string::npos) << status.error().message();
  EXPECT_EQ(strict.feed(bytes).error().message(), status.error().message());  // for ever
}

TEST(WalChecker, refuses_wal_of_another_system_timeline_segment_size_and_version) {
  const Sample& wal = sample();
  WalStart other = wal.at_start();
  other.system = SystemIdentifier(wal.system.value() + 1);
  EXPECT_EQ(WalChecker::create(other).take().feed(wal.bytes).error().code(), Code::Corrupt);
  other = wal.at_start();
  other.history.timeline = Timeline(2);
  EXPECT_EQ(WalChecker::create(other).take().feed(wal.bytes).error().code(), Code::Corrupt);
  other = wal.at_start();
  other.segment_size = SegmentSize();
  EXPECT_EQ(WalChecker::create(other).take().feed(wal.bytes).error().code(), Code::Corrupt);
  other = wal.at_start();
  other.major = ServerMajor(16);
  EXPECT_EQ(WalChecker::create(other).take().feed(wal.bytes).error().code(), Code::Unsupported);
  other.major = ServerMajor(12);
  EXPECT_EQ(WalChecker::create(other).error().code(), Code::Unsupported);
}

TEST(WalChecker, the_zeros_behind_the_end_are_no_record) {
  const Sample& wal = sample();
  auto checker = WalChecker::create(wal.at_start()).take();
  ASSERT_TRUE(checker.feed(wal.until_end()).ok());
  const Bytes zeros(64, 0);
  EXPECT_EQ(checker.feed(zeros).error().code(), Code::Corrupt);
  EXPECT_EQ(checker.end_of_last_record(), wal.end);
}

}  // namespace
}  // namespace exclave::pg
