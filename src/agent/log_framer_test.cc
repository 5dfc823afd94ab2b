#include "agent/log_framer.h"

#include <gtest/gtest.h>

#include "format/journal.h"

namespace exclave::agent {
namespace {

constexpr pg::Timeline kTimelineOne(1);

Bytes plain_of(ByteView frame) {
  const auto record = format::decode_record(frame);
  EXPECT_TRUE(record.ok());
  const auto& log = std::get<format::JournalLog>(record.value());
  if (log.codec == format::LogCodec::Raw) return Bytes(log.stored.begin(), log.stored.end());
  Bytes plain(log.log_bytes);
  EXPECT_TRUE(compress::Decompressor().decompress(log.stored, plain).ok());
  return plain;
}

TEST(log_framer, a_commit_is_one_step_and_not_compressed) {
  LogFramer framer;
  const Bytes log(3000, 7);
  framer.add(kTimelineOne, pg::Lsn(100), log);
  EXPECT_EQ(framer.end(), pg::Lsn(3100));
  const auto frame = framer.take();
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(format::frame_bytes(frame.value().size()), format::kFrameStep);
  EXPECT_EQ(plain_of(frame.value()), log);
  EXPECT_TRUE(framer.is_empty());
}

TEST(log_framer, much_log_is_gathered_and_compressed_until_a_frame_is_full) {
  LogFramer framer;
  const Bytes piece(LogFramer::kMostPieceBytes, 3);
  std::uint64_t at = 1;
  while (!framer.is_full()) {
    framer.add(kTimelineOne, pg::Lsn(at), piece);
    at += piece.size();
  }
  EXPECT_LE(at - 1, format::kMaxLogBytes);
  const auto frame = framer.take();
  ASSERT_TRUE(frame.ok());
  EXPECT_LT(frame.value().size(), piece.size());
  EXPECT_EQ(plain_of(frame.value()), Bytes(static_cast<std::size_t>(at - 1), 3));
}

TEST(log_framer, what_a_broken_connection_left_is_forgotten) {
  LogFramer framer;
  framer.add(kTimelineOne, pg::Lsn(1), Bytes(10, 1));
  framer.clear();
  framer.add(pg::Timeline(2), pg::Lsn(5), Bytes(4, 2));
  const auto frame = framer.take();
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(plain_of(frame.value()), Bytes(4, 2));
}

}  // namespace
}  // namespace exclave::agent
