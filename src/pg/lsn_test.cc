#include "pg/lsn.h"

#include <gtest/gtest.h>

namespace exclave::pg {
namespace {

TEST(LsnText, prints_and_parses_one_spelling) {
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x16b374d848}, ~std::uint64_t{0}}) {
    EXPECT_EQ(parse_lsn(to_text(Lsn(value))).take(), Lsn(value));
  }
  EXPECT_EQ(to_text(Lsn(0x16b374d848)), "16/B374D848");
  EXPECT_EQ(to_text(Lsn(0x100000000)), "1/0");
  for (const char* bad : {"", "/", "1", "1/", "/1", "1/2/3", "g/1", "1/b", "01/1", "1/01", " 1/1", "1/1 ",
                          "123456789/1", "1/123456789", "-1/1", "0x1/1"}) {
    EXPECT_EQ(parse_lsn(bad).error().code(), Code::InvalidInput) << bad;
  }
}

TEST(SegmentSizes, are_powers_of_two_from_1_mib_to_1_gib) {
  EXPECT_EQ(SegmentSize().bytes(), std::uint64_t{16} << 20);
  for (unsigned shift = 0; shift < 64; ++shift) {
    EXPECT_EQ(SegmentSize::of(std::uint64_t{1} << shift).ok(), shift >= 20 && shift <= 30) << shift;
  }
  EXPECT_FALSE(SegmentSize::of((std::uint64_t{16} << 20) + 1).ok());
  EXPECT_FALSE(SegmentSize::of(0).ok());
  const SegmentSize size;
  const Lsn inside(0x16b374d848);
  EXPECT_EQ(to_text(size.segment_start(inside)), "16/B3000000");
  EXPECT_EQ(to_text(size.segment_end(inside)), "16/B4000000");
  EXPECT_EQ(size.offset_in_segment(inside), 0x74d848U);
  EXPECT_EQ(size.segment_end(Lsn(0x1000000)), Lsn(0x2000000)) << "of a start, the next one";
  EXPECT_EQ(bytes_between(size.segment_start(inside), inside), 0x74d848U);
}

TEST(WalFileNames, are_what_pg_walfile_name_says_and_parse_back) {
  EXPECT_EQ(wal_file_name(Timeline(1), Lsn(0x16b374d848), SegmentSize()), "0000000100000016000000B3");
  EXPECT_EQ(wal_file_name(Timeline(0xab), Lsn(0x16b374d848), SegmentSize::of(1 << 20).take()),
            "000000AB0000001600000B37");
  EXPECT_EQ(wal_file_name(Timeline(1), Lsn(0x16b374d848), SegmentSize::of(1 << 30).take()), "000000010000001600000002");
  EXPECT_EQ(history_file_name(Timeline(0xab)), "000000AB.history");
  for (const std::uint64_t bytes : {std::uint64_t{1} << 20, std::uint64_t{16} << 20, std::uint64_t{1} << 30}) {
    const SegmentSize size = SegmentSize::of(bytes).take();
    for (const std::uint64_t at :
         {std::uint64_t{0}, std::uint64_t{0xffffffff}, std::uint64_t{0x100000000}, std::uint64_t{0x16b374d848}}) {
      const auto parsed = parse_wal_file_name(wal_file_name(Timeline(7), Lsn(at), size), size).take();
      EXPECT_EQ(std::get<SegmentFile>(parsed), (SegmentFile{Timeline(7), size.segment_start(Lsn(at))}));
    }
  }
  EXPECT_EQ(std::get<HistoryFile>(parse_wal_file_name("000000AB.history", SegmentSize()).take()).timeline,
            Timeline(0xab));
}

TEST(WalFileNames, nothing_else_is_one) {
  for (const char* bad :
       {"", "00000001", "0000000100000016000000b3", "0000000100000016000000B3.partial",
        "0000000100000016000000B3.00000028.backup", "000000010000001600000100", "0000000000000016000000B3",
        "00000000.history", "000000AB.History", "000000ab.history", "../../../../etc/passwd..",
        "00000001/0000016000000B3", "0000000100000016000000B", "0000000100000016000000B33"}) {
    EXPECT_EQ(parse_wal_file_name(bad, SegmentSize()).error().code(), Code::InvalidInput) << bad;
  }
}

}  // namespace
}  // namespace exclave::pg
