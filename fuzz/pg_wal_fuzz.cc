// WAL of a PostgreSQL server, damaged or hostile. Read twice: as a stream as it is, from any position and in pieces,
// which must change nothing; and as a recipe for well-formed WAL, all of which must be accepted, record by record.
#include <algorithm>

#include "base/check.h"
#include "pg/testing/wal_writer.h"
#include "pg/wal_checker.h"

namespace {

using namespace exclave;  // a test program of one file

constexpr std::uint64_t kPageBytes = 8'192;

pg::WalStart start_at(std::uint64_t position) {
  pg::WalStart start;
  start.system = pg::SystemIdentifier(pg::testing::WalWriter::kSystem);
  start.segment_size = pg::SegmentSize::of(std::uint64_t{1} << 20).take();
  start.start = pg::Lsn(position);
  return start;
}

void read_as_it_is(ByteView input) {
  if (input.size() < 4) return;
  // Where the first page says it is, or somewhere else.
  std::uint64_t position = (std::uint64_t{1} << 20) + input[1] * 8ULL;
  if (input[0] % 2 == 0 && input.size() >= 20) {
    position = 0;
    for (std::size_t i = 0; i < 7; ++i) position |= std::uint64_t{input[12 + i]} << (8 * i);
    position &= ~(kPageBytes - 1);
  }
  pg::WalStart start = start_at(position);
  start.major = pg::ServerMajor(13 + input[2] % 5);
  start.starts_at = input[3] % 2 == 0 ? pg::StartsAt::Anywhere : pg::StartsAt::RecordBoundary;
  const ByteView wal = input.subspan(4);
  auto whole = pg::WalChecker::create(start);
  if (!whole.ok()) return;
  const Status all = whole.value().feed(wal);
  auto pieces = pg::WalChecker::create(start).take();
  Status each;
  const std::size_t piece = 1 + input[1];
  for (ByteView rest = wal; !rest.empty() && each.ok();) {
    const std::size_t size = std::min(piece, rest.size());
    each = pieces.feed(rest.first(size));
    rest = rest.subspan(size);
  }
  CHECK(all.ok() == each.ok());
  CHECK(whole.value().end_of_last_record() == pieces.end_of_last_record());
  CHECK(whole.value().records() == pieces.records());
  CHECK(whole.value().last_restore_point() == pieces.last_restore_point());
  CHECK(!all.ok() || whole.value().position() == start.start + wal.size());
}

void read_as_recipe(ByteView input) {
  constexpr std::size_t kMostBytes = std::size_t{4} << 20;
  pg::testing::WalWriter writer;
  while (input.size() >= 4 && writer.wal().size() < kMostBytes) {
    const std::size_t size = std::size_t{input[0]} * (input[1] % 64);
    const Byte manager = input[3] % 4;
    const bool is_switch = manager == 0 && (input[2] & 0xf0) == 0x40;
    Bytes data(is_switch ? 0 : size, input[2]);
    const std::size_t given = std::min(data.size(), input.size() - 4);
    std::copy_n(input.begin() + 4, given, data.begin());
    writer.record(input[2], manager, data);
    input = input.subspan(std::min(input.size(), 4 + given));
  }
  auto checker = pg::WalChecker::create(start_at(std::uint64_t{1} << 20)).take();
  CHECK(checker.feed(writer.wal()).ok());
  CHECK(checker.records() == writer.records());
  CHECK(checker.commits() <= checker.records());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  read_as_it_is({data, size});
  read_as_recipe(ByteView(data, size).first(std::min<std::size_t>(size, 4'096)));
  return 0;
}
