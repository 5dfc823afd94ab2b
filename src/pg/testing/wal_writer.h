// WalWriter: well-formed WAL of PostgreSQL 15, record by record, and what a crash leaves of it. For tests and fuzzing.
// Begins at 1 MiB (segments of 1 MiB, timeline 1, system kSystem). Threads: pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "pg/lsn.h"

namespace exclave::pg::testing {

class WalWriter {
 public:
  static constexpr std::uint64_t kSegmentBytes = std::uint64_t{1} << 20;
  static constexpr std::uint64_t kSystem = 7;

  void record(Byte info, Byte manager, ByteView data) {
    if (position() % kPageBytes == 0) header(0, 0);
    const Bytes bytes = make_record(info, manager, data);
    previous_ = position();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (position() % kPageBytes == 0) header(kContinues, bytes.size() - i);
      wal_.push_back(bytes[i]);
    }
    while (position() % 8 != 0) wal_.push_back(0);
    if (manager == 0 && (info & 0xf0) == 0x40) {  // a log switch
      while (position() % kSegmentBytes != 0) wal_.push_back(0);
    }
    ++records_;
  }
  // A record of which a crash left what fits on this page and `pages` more; the next page declares it void.
  void torn_record(ByteView data, std::size_t pages) {
    if (position() % kPageBytes == 0) header(0, 0);
    const Bytes bytes = make_record(0, 10, data);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (position() % kPageBytes == 0) {
        if (pages-- == 0) break;
        header(kContinues, bytes.size() - i);
      }
      wal_.push_back(bytes[i]);
    }
    CHECK(position() % kPageBytes == 0);
    header(kOverwrites, 0);
  }
  // Fills the page, so that the next record begins on a new one.
  void fill_page() {
    const std::uint64_t left = kPageBytes - position() % kPageBytes;
    if (left >= kRecordHeaderBytes) record(0, 10, Bytes(static_cast<std::size_t>(left - kRecordHeaderBytes), 1));
  }
  void set_timeline(std::uint32_t timeline) { timeline_ = timeline; }

  static Lsn begin() { return Lsn(kSegmentBytes); }
  Lsn end() const { return Lsn(position()); }
  const Bytes& wal() const { return wal_; }
  std::uint64_t records() const { return records_; }

 private:
  static constexpr std::uint64_t kPageBytes = 8'192;
  static constexpr std::uint64_t kRecordHeaderBytes = 24;
  static constexpr unsigned kContinues = 1;
  static constexpr unsigned kLong = 2;
  static constexpr unsigned kOverwrites = 8;

  static void put(Bytes& bytes, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<Byte>(value >> (8 * i)));
  }
  std::uint64_t position() const { return kSegmentBytes + wal_.size(); }
  Bytes make_record(Byte info, Byte manager, ByteView data) const {
    Bytes record;
    put(record, kRecordHeaderBytes + data.size(), 4);
    put(record, 700, 4);
    put(record, previous_, 8);
    put(record, std::uint64_t{info} | std::uint64_t{manager} << 8, 4);
    put(record, crc32c(ByteView(record).first(20), crc32c(data)), 4);
    append(record, data);
    return record;
  }
  void header(unsigned flags, std::uint64_t remaining) {
    const std::uint64_t page = position();
    const bool is_first = page % kSegmentBytes == 0;
    put(wal_, 0xd110, 2);
    put(wal_, flags | (is_first ? kLong : 0U), 2);
    put(wal_, timeline_, 4);
    put(wal_, page, 8);
    put(wal_, remaining, 8);
    if (!is_first) return;
    put(wal_, kSystem, 8);
    put(wal_, kSegmentBytes, 4);
    put(wal_, kPageBytes, 4);
  }

  Bytes wal_;
  std::uint64_t previous_ = 8;
  std::uint64_t records_ = 0;
  std::uint32_t timeline_ = 1;
};

}  // namespace exclave::pg::testing
