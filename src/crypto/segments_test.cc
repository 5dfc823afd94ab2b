#include "crypto/segments.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"
#include "crypto/testing/vectors.h"

namespace exclave::crypto {
namespace {

using testing::Vector;

constexpr std::size_t kHead = kSegmentSaltBytes + kCommitmentBytes;

// The message of tools/make_segment_vectors.py.
Bytes counted_bytes(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<Byte>(7 * i + i / 256);
  return bytes;
}

SegmentSalt salt_from(ByteView bytes) {
  SegmentSalt salt;
  CHECK(bytes.size() == salt.size());
  std::copy(bytes.begin(), bytes.end(), salt.begin());
  return salt;
}

Secret<32> key() {
  return Secret<32>::from_view(Bytes(32, 0x42));
}
const Bytes kRegistryContext = to_bytes("registry 7, era 3");

Bytes seal_example(std::size_t size) {
  return seal_message(key(), salt_from(Bytes(kSegmentSaltBytes, 0x24)), kRegistryContext, counted_bytes(size));
}

// Refused, and as Corrupt: the only error a reader may meet.
::testing::AssertionResult is_refused(ByteView sealed) {
  const Result<Bytes> opened = open_message(key(), kRegistryContext, sealed);
  if (opened.ok()) return ::testing::AssertionFailure() << "opened " << opened.value().size() << " bytes";
  if (opened.error().code() != Code::Corrupt) return ::testing::AssertionFailure() << opened.error().message();
  return ::testing::AssertionSuccess();
}

TEST(Segments, agree_with_a_second_implementation_byte_by_byte) {
  const std::vector<Vector> vectors = testing::load_vectors("segments", 6);
  for (const Vector& vector : vectors) {
    const auto input_key = Secret<32>::from_view(vector.bytes(0));
    const Bytes context = vector.bytes(1);
    const Bytes message = counted_bytes(static_cast<std::size_t>(parse_u64(vector.text(3)).take()));
    const Bytes sealed = seal_message(input_key, salt_from(vector.bytes(2)), context, message);
    EXPECT_EQ(sha256(sealed).hex(), vector.text(4)) << vector.name;
    if (vector.text(5) != "-") {
      EXPECT_EQ(to_hex(sealed), vector.text(5)) << vector.name;
    }
    const Result<Bytes> opened = open_message(input_key, context, sealed);
    ASSERT_TRUE(opened.ok()) << vector.name;
    EXPECT_EQ(opened.value(), message) << vector.name;
  }
  EXPECT_EQ(vectors.size(), 42U);
}

TEST(Segments, agree_with_wycheproof_where_a_developer_has_a_copy) {
  for (const Vector& vector : testing::load_vectors_if_present("c2sp_segments.wycheproof", 4)) {
    const auto opened = open_message(Secret<32>::from_view(vector.bytes(0)), vector.bytes(1), vector.bytes(2));
    EXPECT_EQ(opened.ok(), vector.valid) << vector.name;
    if (opened.ok()) {
      EXPECT_EQ(sha512(opened.value()).hex(), vector.text(3)) << vector.name;
    }
  }
}

TEST(Segments, messages_of_all_edge_lengths_come_back_and_have_the_stated_size) {
  for (const std::size_t size : {0UL, 1UL, 2UL, 15UL, 16UL, 17UL, 16383UL, 16384UL, 16385UL, 16400UL, 32767UL, 32768UL,
                                 32769UL, 49152UL, 100000UL}) {
    const Bytes sealed = seal_example(size);
    EXPECT_EQ(sealed.size(), kHead + sealed_segments_size(size)) << size;
    EXPECT_EQ(plain_segments_size(sealed.size() - kHead).take(), size);
    const Result<Bytes> opened = open_message(key(), kRegistryContext, sealed);
    ASSERT_TRUE(opened.ok()) << size;
    EXPECT_EQ(opened.value(), counted_bytes(size)) << size;
  }
}

TEST(Segments, every_flipped_bit_of_a_small_message_is_refused) {
  const Bytes good = seal_example(40);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<Byte>(1U << (bit % 8));
    EXPECT_TRUE(is_refused(bad)) << bit;
  }
}

TEST(Segments, every_truncation_and_extension_of_a_small_message_is_refused) {
  const Bytes good = seal_example(40);
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(is_refused(ByteView(good).first(size))) << size;
    EXPECT_TRUE(is_refused(ByteView(good).last(size))) << size;
  }
  Bytes longer = good;
  for (int i = 0; i < 40; ++i) {
    longer.push_back(0);
    EXPECT_TRUE(is_refused(longer)) << i;
  }
}

TEST(Segments, cuts_at_and_around_segment_borders_are_refused) {
  const Bytes good = seal_example(3 * kSegmentPlainBytes + 10);
  for (std::size_t segment = 0; segment <= 3; ++segment) {
    const std::size_t border = kHead + segment * kSegmentSealedBytes;
    for (const std::size_t size :
         {border - 1, border, border + 1, border + kTagBytes - 1, border + kTagBytes, border + kTagBytes + 1}) {
      EXPECT_TRUE(is_refused(ByteView(good).first(size))) << size;
    }
  }
}

TEST(Segments, a_whole_number_of_segments_without_the_empty_last_one_is_refused) {
  const Bytes good = seal_example(2 * kSegmentPlainBytes);
  EXPECT_EQ(good.size(), kHead + 2 * kSegmentSealedBytes + kTagBytes);
  EXPECT_TRUE(is_refused(ByteView(good).first(good.size() - kTagBytes)));
  Bytes twice_ended = good;
  append(twice_ended, ByteView(good).last(kTagBytes));
  EXPECT_TRUE(is_refused(twice_ended));
}

TEST(Segments, swapped_repeated_and_missing_segments_are_refused) {
  const Bytes good = seal_example(4 * kSegmentPlainBytes + 10);
  const auto at = [&](std::size_t segment) {
    return ByteView(good).subspan(kHead + segment * kSegmentSealedBytes, kSegmentSealedBytes);
  };
  const ByteView end = ByteView(good).subspan(kHead + 4 * kSegmentSealedBytes);
  const auto assemble = [&](std::initializer_list<std::size_t> order) {
    Bytes sealed = to_bytes(ByteView(good).first(kHead));
    for (const std::size_t segment : order) append(sealed, at(segment));
    append(sealed, end);
    return sealed;
  };
  EXPECT_TRUE(open_message(key(), kRegistryContext, assemble({0, 1, 2, 3})).ok());
  EXPECT_TRUE(is_refused(assemble({1, 0, 2, 3})));
  EXPECT_TRUE(is_refused(assemble({0, 1, 3, 2})));
  EXPECT_TRUE(is_refused(assemble({0, 1, 2, 2})));
  EXPECT_TRUE(is_refused(assemble({0, 0, 2, 3})));
  EXPECT_TRUE(is_refused(assemble({0, 1, 2})));
  EXPECT_TRUE(is_refused(assemble({1, 2, 3})));
  EXPECT_TRUE(is_refused(assemble({0, 1, 2, 3, 3})));
}

TEST(Segments, segments_of_another_message_under_the_same_key_are_refused) {
  const Bytes one = seal_message(key(), salt_from(Bytes(kSegmentSaltBytes, 1)), kRegistryContext, counted_bytes(20000));
  const Bytes two = seal_message(key(), salt_from(Bytes(kSegmentSaltBytes, 2)), kRegistryContext, counted_bytes(20000));
  Bytes mixed = to_bytes(ByteView(one).first(kHead + kSegmentSealedBytes));
  append(mixed, ByteView(two).subspan(mixed.size()));
  EXPECT_TRUE(is_refused(mixed));
}

TEST(Segments, another_key_salt_or_context_fails_at_the_commitment_before_any_segment) {
  const Bytes good = seal_example(10);
  const SegmentSalt salt = salt_from(ByteView(good).first(kSegmentSaltBytes));
  const ByteView stored = ByteView(good).subspan(kSegmentSaltBytes, kCommitmentBytes);
  EXPECT_TRUE(SegmentCipher(key(), salt, kRegistryContext).check_commitment(stored).ok());
  EXPECT_FALSE(SegmentCipher(key(), salt, as_bytes("registry 7, era 4")).check_commitment(stored).ok());
  EXPECT_FALSE(SegmentCipher(key(), SegmentSalt{}, kRegistryContext).check_commitment(stored).ok());
  EXPECT_FALSE(SegmentCipher(Secret<32>(), salt, kRegistryContext).check_commitment(stored).ok());
  EXPECT_FALSE(SegmentCipher(key(), salt, kRegistryContext).check_commitment(stored.first(31)).ok());
  const auto opened = open_message(Secret<32>(), kRegistryContext, good);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message().find("commitment"), std::string::npos);
}

TEST(Segments, a_refused_segment_leaves_zeros_and_others_still_open) {
  Bytes sealed = seal_example(2 * kSegmentPlainBytes);
  SegmentCipher cipher(key(), salt_from(ByteView(sealed).first(kSegmentSaltBytes)), kRegistryContext);
  const auto at = [&](std::size_t segment) {
    return ByteView(sealed).subspan(kHead + segment * kSegmentSealedBytes, kSegmentSealedBytes);
  };
  Bytes out(kSegmentPlainBytes, 0xee);
  EXPECT_TRUE(cipher.open_segment(1, at(1), out).ok());
  EXPECT_TRUE(equal(out, ByteView(counted_bytes(2 * kSegmentPlainBytes)).last(kSegmentPlainBytes)));
  EXPECT_FALSE(cipher.open_segment(0, at(1), out).ok());
  EXPECT_EQ(out, Bytes(kSegmentPlainBytes));
  sealed[kHead + 5] ^= 1;
  EXPECT_FALSE(cipher.open_segment(0, at(0), out).ok());
  EXPECT_TRUE(cipher.open_segment(1, at(1), out).ok());
}

TEST(Segments, sealing_in_place_equals_the_whole_message_form_also_at_high_indices) {
  const SegmentSalt salt = salt_from(Bytes(kSegmentSaltBytes, 0x24));
  SegmentCipher cipher(key(), salt, kRegistryContext);
  const Bytes message = counted_bytes(kSegmentPlainBytes + 100);
  Bytes first = to_bytes(ByteView(message).first(kSegmentPlainBytes));
  Bytes second = to_bytes(ByteView(message).subspan(kSegmentPlainBytes));
  first.resize(first.size() + kTagBytes);
  second.resize(second.size() + kTagBytes);
  cipher.seal_segment(1, second);
  cipher.seal_segment(0, first);
  Bytes sealed = to_bytes(salt);
  append(sealed, cipher.commitment());
  append(sealed, first);
  append(sealed, second);
  EXPECT_EQ(sealed, seal_example(message.size()));
  Bytes last = counted_bytes(10);
  last.resize(26);
  cipher.seal_segment(0xffffffff, last);
  Bytes out(10);
  EXPECT_TRUE(cipher.open_segment(0xffffffff, last, out).ok());
  EXPECT_EQ(out, counted_bytes(10));
  EXPECT_FALSE(cipher.open_segment(0x00ffffff, last, out).ok());
}

TEST(Segments, lengths_that_no_message_has_are_refused) {
  EXPECT_FALSE(plain_segments_size(0).ok());
  EXPECT_FALSE(plain_segments_size(15).ok());
  EXPECT_EQ(plain_segments_size(16).take(), 0U);
  EXPECT_EQ(plain_segments_size(16399).take(), 16383U);
  EXPECT_FALSE(plain_segments_size(16400).ok());
  EXPECT_FALSE(plain_segments_size(16415).ok());
  EXPECT_EQ(plain_segments_size(16416).take(), 16384U);
  EXPECT_TRUE(plain_segments_size((std::uint64_t{1} << 32) * kSegmentSealedBytes - 1).ok());
  EXPECT_FALSE(plain_segments_size((std::uint64_t{1} << 32) * kSegmentSealedBytes + 16).ok());
}

}  // namespace
}  // namespace exclave::crypto
