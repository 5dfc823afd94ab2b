#include "compress/compress.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>

namespace exclave::compress {
namespace {

Bytes random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  Bytes bytes(size);
  for (Byte& byte : bytes) byte = static_cast<Byte>(generator());
  return bytes;
}

Bytes prose(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::string text;
  while (text.size() < size) text += "record " + std::to_string(generator() % 5000) + " of the register of ships; ";
  text.resize(size);
  return to_bytes(text);
}

Bytes frame_of(ByteView in) {
  Bytes out(in.size());
  const Compressed compressed = Compressor().compress(in, out).value();
  EXPECT_EQ(compressed.form, Form::Zstd);
  out.resize(compressed.size);
  return out;
}

Code code_of(const Status& status) {
  EXPECT_FALSE(status.ok());
  return status.error().code();
}

TEST(Compressor, what_it_compresses_comes_back) {
  Compressor compressor;
  Decompressor decompressor;
  for (const std::size_t size : {100u, 1000u, 65536u, 1048576u, 1048577u, 4194304u, 16777216u}) {
    const Bytes in = prose(size, size);
    Bytes frame(in.size()), out(in.size());
    const Compressed compressed = compressor.compress(in, frame).value();
    ASSERT_EQ(compressed.form, Form::Zstd) << size;
    EXPECT_LT(compressed.size, size * 31 / 32);
    ASSERT_TRUE(decompressor.decompress(ByteView(frame).first(compressed.size), out).ok()) << size;
    EXPECT_EQ(in, out);
  }
}

TEST(Compressor, what_does_not_shrink_stays_raw) {
  Compressor compressor;
  for (const std::size_t size : {1u, 2u, 20u, 31u, 32u, 33u, 5000u, 4194304u}) {
    const Bytes in = random_bytes(size, size);
    Bytes out(size);
    const Compressed compressed = compressor.compress(in, out).value();
    EXPECT_EQ(compressed.form, Form::Raw) << size;
    EXPECT_EQ(compressed.size, size);
  }
}

TEST(Compressor, a_gain_of_less_than_one_in_32_is_refused) {
  Compressor compressor;
  // Random bytes with a compressible end: 1 % stays raw, 10 % does not.
  for (const auto& [zeros, form] : {std::pair<std::size_t, Form>{10'000, Form::Raw}, {100'000, Form::Zstd}}) {
    Bytes in = random_bytes(1'000'000, 1);
    std::fill(in.end() - static_cast<std::ptrdiff_t>(zeros), in.end(), Byte{0});
    Bytes out(in.size());
    EXPECT_EQ(compressor.compress(in, out).value().form, form) << zeros;
  }
}

TEST(Compressor, repetition_of_random_bytes_within_the_window_is_found) {
  const Bytes half = random_bytes(400'000, 2);
  Bytes in = half;
  append(in, half);
  EXPECT_LT(frame_of(in).size(), 410'000u);
}

TEST(Compressor, a_context_gives_the_same_frame_again_after_other_work) {
  Compressor compressor;
  const Bytes in = prose(300'000, 3), other = random_bytes(500'000, 4);
  Bytes first(in.size()), second(in.size()), scratch(other.size());
  const std::size_t first_size = compressor.compress(in, first).value().size;
  ASSERT_EQ(compressor.compress(other, scratch).value().form, Form::Raw);
  const std::size_t second_size = compressor.compress(in, second).value().size;
  ASSERT_EQ(first_size, second_size);
  EXPECT_TRUE(equal(ByteView(first).first(first_size), ByteView(second).first(second_size)));
}

TEST(Decompressor, refuses_any_other_size) {
  const Bytes in = prose(5000, 5), frame = frame_of(in);
  for (const std::size_t size : {0u, 1u, 4999u, 5001u, 100'000u}) {
    Bytes out(size);
    EXPECT_EQ(code_of(Decompressor().decompress(frame, out)), Code::Corrupt) << size;
  }
}

TEST(Decompressor, refuses_every_truncation_and_any_bytes_behind) {
  const Bytes in = prose(3000, 6), frame = frame_of(in);
  Decompressor decompressor;
  Bytes out(in.size());
  for (std::size_t size = 0; size < frame.size(); ++size) {
    EXPECT_EQ(code_of(decompressor.decompress(ByteView(frame).first(size), out)), Code::Corrupt) << size;
  }
  Bytes longer = frame;
  longer.push_back(0);
  EXPECT_EQ(code_of(decompressor.decompress(longer, out)), Code::Corrupt);
  EXPECT_TRUE(decompressor.decompress(frame, out).ok());  // and the object is still good
}

TEST(Decompressor, refuses_two_frames_that_would_give_the_size_together) {
  const Bytes in = prose(4000, 7);
  Bytes two = frame_of(ByteView(in).first(2000));
  append(two, frame_of(ByteView(in).subspan(2000)));
  Bytes out(in.size());
  EXPECT_EQ(code_of(Decompressor().decompress(two, out)), Code::Corrupt);
}

TEST(Decompressor, refuses_skippable_frames_before_or_after) {
  const Bytes in = prose(4000, 8), frame = frame_of(in);
  const Bytes skippable = {0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'h', 'i'};
  Bytes before = skippable, after = frame;
  append(before, frame);
  append(after, skippable);
  Bytes out(in.size());
  EXPECT_EQ(code_of(Decompressor().decompress(before, out)), Code::Corrupt);
  EXPECT_EQ(code_of(Decompressor().decompress(after, out)), Code::Corrupt);
}

TEST(Decompressor, refuses_a_frame_that_does_not_state_its_size) {
  const Bytes in = prose(4000, 9);
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ASSERT_EQ(ZSTD_isError(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, 0)), 0u);
  Bytes frame(ZSTD_compressBound(in.size()));
  frame.resize(ZSTD_compress2(context.get(), frame.data(), frame.size(), in.data(), in.size()));
  Bytes out(in.size());
  EXPECT_EQ(code_of(Decompressor().decompress(frame, out)), Code::Corrupt);
}

TEST(Decompressor, refuses_a_bomb_that_lies_about_its_size) {
  // 16 MiB of zeros in a frame of some hundred bytes whose header is then changed to claim 1000 bytes.
  const Bytes zeros(kMaxInputBytes);
  Bytes frame = frame_of(zeros);
  ASSERT_LT(frame.size(), 5000u);
  ASSERT_EQ(frame[4] & 0xc0, 0x80);  // the content size takes four bytes
  const std::size_t at = (frame[4] & 0x20) != 0 ? 5 : 6;
  frame[at] = 1000 & 0xff;
  frame[at + 1] = 1000 >> 8;
  frame[at + 2] = frame[at + 3] = 0;
  Bytes out(1000);
  EXPECT_EQ(code_of(Decompressor().decompress(frame, out)), Code::Corrupt);
}

TEST(Decompressor, survives_any_changed_byte) {
  // Without a checksum a change may decode to other bytes; the chunk's id finds that. It must never do worse.
  const Bytes in = prose(2000, 10), frame = frame_of(in);
  Decompressor decompressor;
  std::size_t refused = 0;
  for (std::size_t at = 0; at < frame.size(); ++at) {
    for (const Byte flip : {Byte{0x01}, Byte{0x80}, Byte{0xff}}) {
      Bytes changed = frame;
      changed[at] = static_cast<Byte>(changed[at] ^ flip);
      Bytes out(in.size());
      const Status status = decompressor.decompress(changed, out);
      if (status.ok()) continue;
      EXPECT_EQ(status.error().code(), Code::Corrupt);
      ++refused;
    }
  }
  EXPECT_GT(refused, frame.size() / 2);
}

}  // namespace
}  // namespace exclave::compress
