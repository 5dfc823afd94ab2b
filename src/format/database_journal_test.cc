#include "format/database_journal.h"

#include <gtest/gtest.h>

#include "format/testing/samples.h"

namespace exclave::format {
namespace {

const JournalOpening kOpened{
    "people", {0x68f1c2a3b4c5d6e7, 15, 16U << 20}, LogTimeline(1), LogPosition(0x3000148), 0x18fae28ddc2ae800};

const LogId kLog = log_id("people", kOpened.source);

TEST(database_journal, every_record_round_trips) {
  const Bytes log = {0xde, 0xad, 0xbe, 0xef};
  const JournalRecord records[] = {
      kOpened,
      JournalLog{kLog, LogTimeline(1), LogPosition(7), LogCodec::Raw, 4, log},
      JournalLog{kLog, LogTimeline(2), LogPosition(11), LogCodec::Zstd, 70'000, log},
      JournalHistory{kLog, LogTimeline(2), to_bytes("1\t0/5\tno recovery target specified\n")},
      LossExposure{kLog, LogPosition(1), LogPosition(9), -4, 5, "two vaults were away"},
      Cut{testing::id_of<CutId>("cut"),
          "land",
          3,
          {{testing::id_of<RegistryId>("people"), "people", LogTimeline(1), LogPosition(5)},
           {testing::id_of<RegistryId>("land"), "land", LogTimeline(2), LogPosition(6)}}},
  };
  for (const JournalRecord& record : records) {
    const Bytes frame = encode_record(record);
    const auto read = decode_record(frame);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(read.value().index(), record.index());
    EXPECT_EQ(encode_record(read.value()), frame);
  }
}

TEST(database_journal, a_record_that_is_cut_or_longer_is_refused) {
  const Bytes frame = encode_record(kOpened);
  for (std::size_t size = 0; size < frame.size(); ++size)
    EXPECT_FALSE(decode_record(ByteView(frame).first(size)).ok()) << size;
  Bytes longer = frame;
  longer.push_back(0);
  EXPECT_EQ(decode_record(longer).error().code(), Code::Corrupt);
}

TEST(database_journal, what_a_reader_must_reject) {
  JournalOpening odd = kOpened;
  odd.source.segment_bytes = (16U << 20) + 1;
  EXPECT_EQ(decode_record(encode_record(odd)).error().code(), Code::Corrupt);
  odd = kOpened;
  odd.source.major = 12;
  EXPECT_EQ(decode_record(encode_record(odd)).error().code(), Code::Unsupported);
  const Bytes log = {1, 2, 3};
  EXPECT_EQ(decode_record(encode_record(JournalLog{kLog, LogTimeline(1), LogPosition(1), LogCodec::Raw, 4, log}))
                .error()
                .code(),
            Code::Corrupt);
  EXPECT_EQ(decode_record(encode_record(JournalLog{kLog, LogTimeline(1), LogPosition(1), LogCodec::Zstd, 0, log}))
                .error()
                .code(),
            Code::Corrupt);
  EXPECT_EQ(decode_record(Bytes{9}).error().code(), Code::Unsupported);
  EXPECT_EQ(decode_record(Bytes{}).error().code(), Code::Corrupt);
}

TEST(database_journal, a_log_is_known_by_dataset_and_server) {
  EXPECT_EQ(kLog.hex(), "6fe69857fbdcf4fd");
  EXPECT_NE(log_id("land", kOpened.source), kLog);
  LogSource other = kOpened.source;
  ++other.system;
  EXPECT_NE(log_id("people", other), kLog);
}

}  // namespace
}  // namespace exclave::format
