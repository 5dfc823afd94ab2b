#include "format/object.h"

#include <gtest/gtest.h>

#include "format/testing/samples.h"

namespace exclave::format {
namespace {

using testing::sample_key;
using testing::sample_key_id;
using testing::sample_realm;

Bytes some_plain() {
  Bytes plain(plain_capacity(testing::kSampleClass));
  for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<Byte>(i * 7 + i / 251);
  return plain;
}
const Bytes& sealed_object() {
  static const Bytes object =
      testing::seal_sample(sample_key(), sample_realm(), testing::kSampleClass, some_plain(), "object test");
  return object;
}

TEST(object_header, round_trips_every_field) {
  for (const std::uint8_t size_class : kSizeClasses) {
    const ObjectHeader header{size_class,
                              {testing::id_of<RegistryId>("r"), EraNumber(0xfffffffe), PeriodNumber(0x01020304)}};
    const HeaderBytes bytes = encode_header(header);
    const auto read = decode_header(bytes);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(read.value().size_class, size_class);
    EXPECT_EQ(read.value().key, header.key);
  }
}

TEST(object_header, refuses_each_field_that_is_not_as_it_must_be) {
  struct Case {
    std::size_t at;
    Byte value;
    Code code;
  };
  std::vector<Case> cases = {{8, 1, Code::Unsupported},  {9, 3, Code::Unsupported},  {9, 0, Code::Unsupported},
                             {10, 1, Code::Unsupported}, {11, 0, Code::Unsupported}, {11, 2, Code::Unsupported}};
  for (std::size_t at = 0; at < 8; ++at) cases.push_back({at, 0x7f, Code::Corrupt});
  for (const Byte size_class : Bytes{0, 17, 19, 21, 23, 25, 255}) cases.push_back({12, size_class, Code::Corrupt});
  for (const std::size_t at : std::vector<std::size_t>{13, 14, 15, 40, 41, 42, 43, 44, 45, 46, 47})
    cases.push_back({at, 1, Code::Corrupt});
  for (const Case& wrong : cases) {
    HeaderBytes bytes = encode_header({testing::kSampleClass, sample_key_id()});
    bytes[wrong.at] = wrong.value;
    const auto read = decode_header(bytes);
    ASSERT_FALSE(read.ok()) << wrong.at;
    EXPECT_EQ(read.error().code(), wrong.code) << wrong.at << ": " << read.error().message();
  }
  EXPECT_FALSE(decode_header(ByteView(sealed_object()).first(kObjectHeaderBytes - 1)).ok());
  EXPECT_FALSE(decode_front(ByteView(sealed_object()).first(kSegmentsOffset - 1)).ok());
}

TEST(object, capacities_are_those_of_the_format_page) {
  EXPECT_EQ(plain_capacity(18), 261'752U);
  EXPECT_EQ(plain_capacity(20), 1'047'416U);
  EXPECT_EQ(plain_capacity(22), 4'190'072U);
  EXPECT_EQ(plain_capacity(24), 16'760'712U);
  for (const std::uint8_t size_class : kSizeClasses) {
    EXPECT_EQ(smallest_class_for(plain_capacity(size_class)), size_class);
    if (size_class != kLargestClass) {
      EXPECT_EQ(smallest_class_for(plain_capacity(size_class) + 1), size_class + 2);
    }
  }
  EXPECT_EQ(smallest_class_for(0), 18);
}

TEST(object, opens_to_what_was_sealed) {
  const auto plain = open_object(sample_key(), sample_realm(), sealed_object());
  ASSERT_TRUE(plain.ok()) << plain.error().message();
  EXPECT_EQ(plain.value(), some_plain());
}

TEST(object, refuses_every_single_bit_flip_in_the_front) {
  for (std::size_t bit = 0; bit < kSegmentsOffset * 8; ++bit) {
    Bytes object = sealed_object();
    object[bit / 8] ^= static_cast<Byte>(1U << (bit % 8));
    // Bit 255 of an X25519 key is ignored by the curve, but ct is hashed as it stands.
    EXPECT_FALSE(open_object(sample_key(), sample_realm(), object).ok()) << "bit " << bit;
  }
}

TEST(object, refuses_flips_in_every_segment_and_around_every_tag) {
  for (std::size_t segment = 0; segment < 16; ++segment) {
    const std::size_t begin = kSegmentsOffset + segment * crypto::kSegmentSealedBytes;
    const std::size_t end = std::min(begin + crypto::kSegmentSealedBytes, sealed_object().size());
    for (const std::size_t at : {begin, begin + 1000, end - 17, end - 16, end - 1}) {
      Bytes object = sealed_object();
      object[at] ^= 0x10;
      const auto opened = open_object(sample_key(), sample_realm(), object);
      ASSERT_FALSE(opened.ok()) << at;
      EXPECT_EQ(opened.error().code(), Code::Corrupt);
    }
  }
}

TEST(object, refuses_segments_that_changed_places) {
  Bytes object = sealed_object();
  const auto first = object.begin() + static_cast<std::ptrdiff_t>(kSegmentsOffset);
  std::swap_ranges(first, first + static_cast<std::ptrdiff_t>(crypto::kSegmentSealedBytes),
                   first + static_cast<std::ptrdiff_t>(crypto::kSegmentSealedBytes));
  EXPECT_FALSE(open_object(sample_key(), sample_realm(), object).ok());
}

TEST(object, refuses_truncation_and_extension) {
  const std::vector<std::size_t> sizes = {0,
                                          1,
                                          kObjectHeaderBytes,
                                          kSegmentsOffset,
                                          kSegmentsOffset + crypto::kSegmentSealedBytes,
                                          sealed_object().size() - crypto::kSegmentSealedBytes,
                                          sealed_object().size() - 1,
                                          sealed_object().size() + 1,
                                          sealed_object().size() * 4};
  for (const std::size_t size : sizes) {
    Bytes object = sealed_object();
    object.resize(size);
    const auto opened = open_object(sample_key(), sample_realm(), object);
    ASSERT_FALSE(opened.ok()) << size;
    EXPECT_EQ(opened.error().code(), Code::Corrupt);
  }
}

TEST(object, does_not_open_with_the_key_of_another_period_era_or_registry) {
  EXPECT_EQ(open_object(sample_key(4), sample_realm(), sealed_object()).error().code(), Code::Denied);
  const auto secret = testing::secret_of("period secret 3");
  KeyId other_era = sample_key_id();
  other_era.era = EraNumber(2);
  EXPECT_EQ(open_object(derive_opening_key(other_era, secret), sample_realm(), sealed_object()).error().code(),
            Code::Denied);
  KeyId other_registry = sample_key_id();
  other_registry.registry = testing::id_of<RegistryId>("another registry");
  EXPECT_EQ(open_object(derive_opening_key(other_registry, secret), sample_realm(), sealed_object()).error().code(),
            Code::Denied);
}

TEST(object, does_not_open_when_its_header_was_rewritten_for_another_place) {
  KeyId later = sample_key_id();
  later.period = PeriodNumber(4);
  KeyId era = sample_key_id();
  era.era = EraNumber(2);
  KeyId registry = sample_key_id();
  registry.registry = testing::id_of<RegistryId>("another registry");
  for (const KeyId& id : {later, era, registry}) {
    Bytes object = sealed_object();
    const HeaderBytes header = encode_header({testing::kSampleClass, id});
    std::copy(header.begin(), header.end(), object.begin());
    // Even somebody who made the other place's key from the same secret cannot pass the object off.
    const auto opened =
        open_object(derive_opening_key(id, testing::secret_of("period secret 3")), sample_realm(), object);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code(), Code::Corrupt);
  }
}

TEST(object, does_not_open_in_another_realm) {
  const auto opened = open_object(sample_key(), testing::id_of<RealmId>("another realm"), sealed_object());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::Corrupt);
}

TEST(object, refuses_an_encapsulated_key_of_small_order) {
  Bytes object = sealed_object();
  std::fill_n(object.begin() + kObjectHeaderBytes, 32, Byte{0});
  const auto opened = open_object(sample_key(), sample_realm(), object);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::Corrupt);
}

TEST(object, period_keys_follow_from_the_secret_and_differ_by_purpose) {
  const OpeningKey key = derive_opening_key(sample_key_id(), testing::secret_of("x"));
  EXPECT_FALSE(equal(key.symmetric.view(), key.decapsulation.view()));
  const SealingKey half = sealing_half(key);
  EXPECT_TRUE(equal(half.symmetric.view(), key.symmetric.view()));
  EXPECT_EQ(half.encapsulation, crypto::x25519_public_key(key.decapsulation));
}

}  // namespace
}  // namespace exclave::format
