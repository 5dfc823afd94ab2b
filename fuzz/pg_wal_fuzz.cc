// WAL of a PostgreSQL server, damaged or hostile. Read twice: as a stream as it is, from any position and in pieces,
// which must change nothing; and as a recipe for well-formed WAL, all of which must be accepted, record by record.
#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"
#include "pg/wal_checker.h"

namespace {

using namespace exclave;  // a test program of one file

constexpr std::uint64_t kPageBytes = 8'192;
constexpr std::uint64_t kSystem = 7;

pg::WalStart start_at(std::uint64_t position) {
  pg::WalStart start;
  start.system = pg::SystemIdentifier(kSystem);
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
  CHECK(!all.ok() || whole.value().position() == start.start + wal.size());
}

void put(Bytes& wal, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) wal.push_back(static_cast<Byte>(value >> (8 * i)));
}

// Appends record bytes, with a page header wherever a page begins.
class Writer {
 public:
  void record(Byte info, Byte manager, ByteView data) {
    if (position() % kPageBytes == 0) header(0);
    Bytes record;
    const std::uint64_t begin = position();
    put(record, 24 + data.size(), 4);
    put(record, 700, 4);
    put(record, previous_, 8);
    put(record, std::uint64_t{info} | std::uint64_t{manager} << 8, 4);
    put(record, crc32c(ByteView(record).first(20), crc32c(data)), 4);
    append(record, data);
    previous_ = begin;
    for (std::size_t i = 0; i < record.size(); ++i) {
      if (position() % kPageBytes == 0) header(record.size() - i);
      wal_.push_back(record[i]);
    }
    while (position() % 8 != 0) wal_.push_back(0);
    if (manager == 0 && (info & 0xf0) == 0x40) {
      while (position() % (std::uint64_t{1} << 20) != 0) wal_.push_back(0);
    }
    ++records_;
  }
  const Bytes& wal() const { return wal_; }
  std::uint64_t records() const { return records_; }

 private:
  static constexpr std::uint64_t kBegin = std::uint64_t{1} << 20;

  std::uint64_t position() const { return kBegin + wal_.size(); }
  void header(std::uint64_t remaining) {
    const std::uint64_t page = position();
    const bool is_first = page % (std::uint64_t{1} << 20) == 0;
    put(wal_, 0xd110, 2);
    put(wal_, (remaining != 0 ? 1U : 0U) | (is_first ? 2U : 0U), 2);
    put(wal_, 1, 4);
    put(wal_, page, 8);
    put(wal_, remaining, 8);
    if (!is_first) return;
    put(wal_, kSystem, 8);
    put(wal_, std::uint64_t{1} << 20, 4);
    put(wal_, kPageBytes, 4);
  }

  Bytes wal_;
  std::uint64_t previous_ = 8;
  std::uint64_t records_ = 0;
};

void read_as_recipe(ByteView input) {
  constexpr std::size_t kMostBytes = std::size_t{4} << 20;
  Writer writer;
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
