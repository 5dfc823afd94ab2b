#include "format/journal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/crc32c.h"
#include "crypto/nonce_ledger.h"
#include "format/testing/samples.h"

namespace exclave::format {
namespace {

using testing::id_of;
using testing::sample_key;
using testing::sample_realm;
using testing::secret_of;

SegmentPlace place(std::uint64_t index = 2) {
  return {id_of<StreamId>("journal test"), EntryIndex(index)};
}

// A segment while it is made.
struct Made {
  explicit Made(std::uint64_t index = 2)
      : sealer(SegmentSealer::open(sealing_half(sample_key()), sample_realm(), place(index), testing::kSampleClass,
                                   secret_of("ephemeral journal " + std::to_string(index)))
                   .take()),
        bytes(object_bytes(testing::kSampleClass)) {
    std::copy(sealer.front().begin(), sealer.front().end(), bytes.begin());
  }
  // The frame's size; 0 if it does not fit.
  std::size_t add(ByteView plain, std::string_view random = "random") {
    auto sealed =
        sealer.seal(FrameNumber(next), plain, secret_of(random), MutableByteView(bytes).subspan(sealer.end()));
    CHECK(sealed.ok());
    if (sealed.value().has_value()) ++next;
    return sealed.value().value_or(0);
  }
  SegmentSealer sealer;
  Bytes bytes;
  std::uint64_t next = 0;
};

Bytes frame_of(std::size_t size) {
  Bytes plain(size);
  for (std::size_t i = 0; i < size; ++i) plain[i] = static_cast<Byte>(i * 11 + i / 253 + size);
  return plain;
}
const std::vector<std::size_t>& sizes() {
  static const std::vector<std::size_t> made = {1, 4036, 4037, 100, 50'000};
  return made;
}
const Bytes& sealed_segment() {
  static const Bytes made = [] {
    Made segment;
    for (const std::size_t size : sizes()) segment.add(frame_of(size));
    return segment.bytes;
  }();
  return made;
}

Result<std::vector<Bytes>> opened(ByteView segment, const SegmentPlace& at = place(),
                                  std::optional<FrameNumber> first = FrameNumber(0)) {
  std::vector<Bytes> frames;
  TRY(open_segment(sample_key(), sample_realm(), at, segment, first, [&](const SegmentOpener::Frame& frame) -> Status {
    frames.push_back(frame.content);
    return {};
  }));
  return frames;
}

TEST(JournalSegment, opens_to_the_frames_that_were_sealed) {
  const auto frames = opened(sealed_segment());
  ASSERT_TRUE(frames.ok()) << frames.error().message();
  ASSERT_EQ(frames.value().size(), sizes().size());
  for (std::size_t i = 0; i < sizes().size(); ++i) EXPECT_EQ(frames.value()[i], frame_of(sizes()[i]));
}

TEST(JournalSegment, takes_frames_up_to_its_last_step_and_no_more) {
  static_assert(frame_bytes(1) == 4096 && frame_bytes(4036) == 4096 && frame_bytes(4037) == 8192);
  EXPECT_EQ(content_that_fits(4095), 0U);
  EXPECT_EQ(content_that_fits(4096), 4036U);
  EXPECT_EQ(content_that_fits(std::size_t{1} << 24), kMaxFrameContent);
  Made segment;
  EXPECT_EQ(segment.add(frame_of(200'000)), frame_bytes(200'000));
  const std::size_t left = segment.sealer.remaining();
  EXPECT_FALSE(segment.sealer.fits(content_that_fits(left) + 1));
  EXPECT_EQ(segment.add(frame_of(content_that_fits(left) + 1)), 0U) << "and nothing was done";
  EXPECT_EQ(segment.add(frame_of(content_that_fits(left))), left);
  EXPECT_EQ(segment.sealer.remaining(), 0U);
  EXPECT_EQ(segment.add(frame_of(1)), 0U);
  EXPECT_EQ(opened(segment.bytes).value().size(), 2U);
  EXPECT_EQ(scan_frames(ByteView(segment.bytes).subspan(kSegmentFrontBytes)).bytes, 0U + (1U << 18) - 4096);
}

TEST(JournalSegment, refuses_empty_and_too_large_frames) {
  Made segment;
  for (const std::size_t size : {std::size_t{0}, kMaxFrameContent + 1}) {
    const auto refused = segment.sealer.seal(FrameNumber(0), Bytes(size), secret_of("r"), segment.bytes);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::InvalidInput);
  }
}

TEST(JournalSegment, refuses_every_single_bit_flip_in_front_and_first_frame) {
  for (std::size_t bit = 0; bit < (kSegmentFrontBytes + kFrameStep) * 8; bit += bit < 3000 * 8 ? 1 : 7) {
    Bytes segment = sealed_segment();
    segment[bit / 8] ^= static_cast<Byte>(1U << (bit % 8));
    EXPECT_FALSE(opened(segment).ok()) << "bit " << bit;
  }
}

TEST(JournalSegment, H2_contents_that_take_equally_many_steps_leave_equal_traces) {
  // All that is clear of a frame, and is neither random nor of its place: its size.
  const auto trace = [](const std::vector<std::size_t>& contents) {
    Made segment;
    for (const std::size_t size : contents) segment.add(Bytes(size, Byte{'a'}));
    std::vector<std::uint32_t> sizes;
    std::size_t zeros = 0;
    for (std::size_t at = kSegmentFrontBytes; at < segment.sealer.end(); at += sizes.back()) {
      sizes.push_back(stated_frame_bytes(ByteView(segment.bytes).subspan(at)));
      const ByteView tail = ByteView(segment.bytes).subspan(at + sizes.back() - 64, 64);
      zeros += static_cast<std::size_t>(std::count(tail.begin(), tail.end(), Byte{0}));
    }
    EXPECT_LT(zeros, 16U) << "padding that anybody can see";
    return sizes;
  };
  const auto short_ones = trace({1, 4037, 12'000});
  EXPECT_EQ(short_ones, trace({4036, 8132, 10'000}));
  EXPECT_EQ(short_ones, (std::vector<std::uint32_t>{4096, 8192, 12288}));
}

// What is opened of a frame that holds `content` in `steps`, and says that it has `size` bytes.
Bytes plaintext_of(Bytes content, std::size_t steps, std::size_t size) {
  content.resize(steps * kFrameStep - kFrameHeadBytes - crypto::kTagBytes);
  store_u32(MutableByteView(content).last(4), static_cast<std::uint32_t>(size));
  return content;
}

TEST(JournalSegment, a_plaintext_is_cut_to_its_content_and_written_in_one_way_only) {
  constexpr std::size_t kMostSteps = kMaxFrameBytes / kFrameStep;
  for (const auto& [size, steps] :
       {std::pair<std::size_t, std::size_t>{1, 1}, {4036, 1}, {4037, 2}, {kMaxFrameContent, kMostSteps}}) {
    Bytes plaintext = plaintext_of(frame_of(size), steps, size);
    ASSERT_TRUE(cut_to_content(plaintext).ok()) << size;
    EXPECT_EQ(plaintext, frame_of(size));
  }
  const auto is_refused = [](Bytes plaintext) {
    const Status cut = cut_to_content(plaintext);
    return !cut.ok() && cut.error().code() == Code::Corrupt;
  };
  EXPECT_TRUE(is_refused(plaintext_of({}, 1, 0))) << "no content";
  EXPECT_TRUE(is_refused(plaintext_of(frame_of(4036), 1, 4037))) << "more than there is";
  EXPECT_TRUE(is_refused(plaintext_of(frame_of(10), 1, std::size_t{1} << 31))) << "more than there is";
  EXPECT_TRUE(is_refused(plaintext_of(frame_of(4036), 2, 4036))) << "a step too much";
  EXPECT_TRUE(is_refused(plaintext_of(frame_of(11), 1, 10))) << "something behind it";
  EXPECT_TRUE(is_refused(plaintext_of(frame_of(4036), 1, 4035))) << "something behind it";
  EXPECT_TRUE(is_refused(plaintext_of(frame_of(kMaxFrameContent + 1), kMostSteps, kMaxFrameContent + 1)))
      << "too large";
  for (const std::size_t size : {0U, 3U, 4U, 5U, 4039U, 4041U}) EXPECT_TRUE(is_refused(Bytes(size, Byte{1}))) << size;
}

TEST(JournalSegment, H12_equal_contents_leave_no_equal_blocks_within_a_journal_or_across) {
  std::set<std::string> seen;
  std::size_t blocks = 0;
  for (const std::uint64_t index : {1U, 2U, 3U}) {
    Made segment(index);
    for (std::uint64_t i = 0; i < 4; ++i)
      segment.add(Bytes(4036, Byte{'a'}), "random " + std::to_string(index * 10 + i));
    for (std::size_t at = kSegmentFrontBytes; at < segment.sealer.end(); at += kFrameStep) {
      const ByteView behind_head = ByteView(segment.bytes).subspan(at, kFrameStep).subspan(kFrameHeadBytes);
      for (std::size_t i = 0; i + 16 <= behind_head.size(); i += 16, ++blocks) {
        seen.insert(std::string(as_text(behind_head.subspan(i, 16))));
      }
    }
  }
  EXPECT_EQ(seen.size(), blocks);
  EXPECT_GT(blocks, 3000U);
}

TEST(JournalSegment, refuses_what_stands_behind_its_frames) {
  Bytes segment = sealed_segment();
  segment.back() = 1;
  EXPECT_EQ(opened(segment).error().code(), Code::Corrupt);
}

TEST(JournalSegment, refuses_another_size_than_its_class) {
  for (const std::size_t size : {0U, 47U, 4095U, 4096U, (1U << 18) - 1, (1U << 18) + 1}) {
    Bytes segment = sealed_segment();
    segment.resize(size);
    EXPECT_EQ(opened(segment).error().code(), Code::Corrupt) << size;
  }
}

TEST(JournalSegment, opens_at_its_own_place_only) {
  EXPECT_EQ(opened(sealed_segment(), place(3)).error().code(), Code::Corrupt);
  EXPECT_EQ(opened(sealed_segment(), {id_of<StreamId>("another"), EntryIndex(2)}).error().code(), Code::Corrupt);
  // Also if its front is rewritten: the commitment knows.
  Bytes moved = sealed_segment();
  store_u64(MutableByteView(moved).subspan(112), 3);
  EXPECT_EQ(opened(moved, place(3)).error().code(), Code::Corrupt);
  EXPECT_EQ(open_segment(sample_key(4), sample_realm(), place(), sealed_segment(), {}, {}).error().code(),
            Code::Denied);
}

TEST(JournalSegment, a_frame_opens_at_its_offset_under_its_number_only) {
  Made segment;
  segment.add(frame_of(10));
  segment.add(frame_of(20));
  auto opener = SegmentOpener::open(sample_key(), sample_realm(), place(), segment.bytes).take();
  const ByteView all(segment.bytes);
  EXPECT_TRUE(opener.open_frame(8192, all.subspan(8192)).ok());
  EXPECT_FALSE(opener.open_frame(4096, all.subspan(8192)).ok()) << "moved to the front";
  Bytes renumbered = segment.bytes;
  const MutableByteView frame = MutableByteView(renumbered).subspan(8192);
  store_u64(frame.subspan(8), 7);
  store_u32(frame.subspan(4), crc32c(frame.first(stated_frame_bytes(frame)).subspan(8)));
  EXPECT_EQ(opener.open_frame(8192, frame).error().code(), Code::Corrupt);
}

TEST(JournalSegment, numbers_must_follow_each_other_and_the_segment_before) {
  Made segment;
  segment.next = 7;
  segment.add(frame_of(10));
  EXPECT_TRUE(opened(segment.bytes, place(), FrameNumber(7)).ok());
  EXPECT_TRUE(opened(segment.bytes, place(), std::nullopt).ok());
  EXPECT_EQ(opened(segment.bytes, place(), FrameNumber(6)).error().code(), Code::Corrupt);
  segment.next = 9;
  segment.add(frame_of(10));
  EXPECT_EQ(opened(segment.bytes, place(), std::nullopt).error().code(), Code::Corrupt);
  EXPECT_EQ(scan_frames(ByteView(segment.bytes).subspan(4096)).frames, 1U);
}

TEST(JournalSegment, suites_refuse_each_other) {
  EXPECT_EQ(decode_front(sealed_segment()).error().code(), Code::Unsupported);
  const Bytes object = testing::seal_sample(sample_key(), sample_realm(), testing::kSampleClass,
                                            Bytes(plain_capacity(testing::kSampleClass)), "journal test");
  EXPECT_EQ(decode_segment_front(object).error().code(), Code::Unsupported);
}

TEST(JournalSegment, C7_the_same_randomness_again_never_repeats_a_key_with_other_content) {
  crypto::enable_nonce_ledger();
  Made first;
  Made clone;
  first.add(frame_of(100));
  clone.add(frame_of(100));
  EXPECT_EQ(first.bytes, clone.bytes) << "the same work again gives the same bytes";
  first.add(frame_of(200));
  clone.add(frame_of(201));
  first.add(frame_of(200));
  first.next = 1;  // another number at another offset
  first.add(frame_of(200));
  EXPECT_NE(first.bytes, clone.bytes);
}

TEST(JournalScan, finds_the_last_whole_frame_wherever_the_tail_is_torn) {
  const ByteView frames = ByteView(sealed_segment()).subspan(kSegmentFrontBytes);
  std::vector<std::size_t> ends = {0};
  for (const std::size_t size : sizes()) ends.push_back(ends.back() + frame_bytes(size));
  EXPECT_EQ(scan_frames(frames).bytes, ends.back());
  EXPECT_TRUE(scan_frames(frames).is_all);
  EXPECT_EQ(scan_frames(frames).last, FrameNumber(sizes().size() - 1));
  // Zeros from any sector on, as a power failure leaves them.
  for (std::size_t cut = 0; cut < ends.back(); cut += 512) {
    Bytes torn(frames.begin(), frames.end());
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(cut), torn.end(), Byte{0});
    std::size_t whole = 0;
    for (std::size_t i = 0; i < sizes().size(); ++i) {
      if (ends[i + 1] <= cut) whole = ends[i + 1];
    }
    EXPECT_EQ(scan_frames(torn).bytes, whole) << cut;
  }
}

TEST(JournalScan, a_view_that_ends_within_a_frame_is_not_all) {
  const ByteView frames = ByteView(sealed_segment()).subspan(kSegmentFrontBytes);
  EXPECT_TRUE(scan_frames(frames.first(4096)).is_all);
  EXPECT_FALSE(scan_frames(frames.first(4095)).is_all);
  EXPECT_TRUE(scan_frames({}).is_all);
  EXPECT_FALSE(scan_frames(frames.first(4096 + 4096 + 4096)).is_all) << "the third frame has two steps";
  EXPECT_EQ(scan_frames(frames.first(4096 + 4096 + 4096)).bytes, 8192U);
}

}  // namespace
}  // namespace exclave::format
