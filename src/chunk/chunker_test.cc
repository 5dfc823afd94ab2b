#include "chunk/chunker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "chunk/detail/chunker_twin.h"
#include "chunk/detail/stable_hash.h"

namespace exclave::chunk {
namespace {

Bytes random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 generator(seed);  // its output is fixed by the C++ standard
  Bytes bytes(size + 7);
  for (std::size_t i = 0; i < size; i += 8) store_u64(MutableByteView(bytes).subspan(i, 8), generator());
  bytes.resize(size);
  return bytes;
}

std::vector<std::size_t> cuts_of(ByteView file, const Chunker& chunker) {
  std::vector<std::size_t> cuts;
  while (!file.empty()) {
    cuts.push_back(chunker.next_cut(file, After::EndOfFile));
    file = file.subspan(cuts.back());
  }
  return cuts;
}

// As a reader does it: fills a slab, takes chunks off its front, moves the rest to the front, goes on.
std::vector<std::size_t> cuts_through_a_slab(ByteView file, const Chunker& chunker, std::size_t slab_bytes,
                                             std::size_t read_bytes) {
  std::vector<std::size_t> cuts;
  Bytes slab;
  while (true) {
    const std::size_t count = std::min({file.size(), read_bytes, slab_bytes - slab.size()});
    append(slab, file.first(count));
    file = file.subspan(count);
    const After after = file.empty() ? After::EndOfFile : After::MoreBytes;
    ByteView rest = slab;
    while (!rest.empty()) {
      const std::size_t cut = chunker.next_cut(rest, after);
      if (cut == 0) break;
      cuts.push_back(cut);
      rest = rest.subspan(cut);
    }
    slab = to_bytes(rest);
    if (file.empty()) {
      EXPECT_TRUE(slab.empty());
      return cuts;
    }
  }
}

// FNV over the cuts, so that a frozen value fits on one line.
std::uint64_t fingerprint(const std::vector<std::size_t>& cuts) {
  Bytes bytes(cuts.size() * 8);
  for (std::size_t i = 0; i < cuts.size(); ++i) store_u64(MutableByteView(bytes).subspan(i * 8, 8), cuts[i]);
  return fnv1a(bytes);
}

TEST(Chunker, its_gear_table_is_frozen) {
  Bytes bytes(kGear.size() * 8);
  for (std::size_t i = 0; i < kGear.size(); ++i) store_u64(MutableByteView(bytes).subspan(i * 8, 8), kGear[i]);
  // From the six lines of Python in gear.h.
  EXPECT_EQ(kGear[0], 0x3aadecf99835cfa8u);
  EXPECT_EQ(kGear[255], 0x5157363c5d5ec3d8u);
  EXPECT_EQ(fnv1a(bytes), 0x37d694102b06bdcdu);
}

TEST(Chunker, its_constants_and_cuts_are_frozen) {
  EXPECT_EQ(kMinChunkBytes, 524288u);
  EXPECT_EQ(kNormalChunkBytes, 1048576u);
  EXPECT_EQ(kMaxChunkBytes, 4194304u);
  const std::vector<std::size_t> cuts = cuts_of(random_bytes(64 << 20, 1), Chunker());
  ASSERT_GE(cuts.size(), 3u);
  EXPECT_EQ(cuts[0], 1420336u);
  EXPECT_EQ(cuts[1], 1518133u);
  EXPECT_EQ(fingerprint(cuts), 16337448824259970050u);
}

TEST(Chunker, equals_its_twin_for_small_sizes_where_every_branch_is_taken_often) {
  // Masks of 18 and 22 bits hardly ever hit in small chunks: data with many zero windows makes them hit.
  std::mt19937_64 generator(3);
  std::size_t below_normal = 0, above_normal = 0, at_max = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::size_t min = 64 + generator() % 40;
    const ChunkSizes sizes{min, min + generator() % 50, 0};
    ChunkSizes all = sizes;
    all.max = sizes.normal + generator() % 90;
    Bytes data = random_bytes(generator() % (all.max + 60), generator());
    // A window that hashes to an accepted value: found once by search, planted at a random place.
    static const Bytes kAccepted = [] {
      Bytes window(64, 0);
      for (std::uint64_t i = 0;; ++i) {
        store_u64(MutableByteView(window).subspan(24, 8), mix64(i));
        if ((window_at(window, 64) & kHardMask) == 0) return window;
      }
    }();
    if (data.size() > 64 && round % 3 != 0) {
      const std::size_t place = generator() % (data.size() - 64);
      std::copy(kAccepted.begin(), kAccepted.end(), data.begin() + static_cast<std::ptrdiff_t>(place));
    }
    for (const After after : {After::MoreBytes, After::EndOfFile}) {
      const std::size_t cut = Chunker(all).next_cut(data, after);
      ASSERT_EQ(cut, next_cut_by_definition(data, after, all)) << "round " << round;
      if (cut == 0 || cut == data.size()) continue;
      below_normal += cut < all.normal;
      above_normal += cut >= all.normal && cut < all.max;
      at_max += cut == all.max;
    }
  }
  EXPECT_GT(below_normal, 50u);
  EXPECT_GT(above_normal, 50u);
  EXPECT_GT(at_max, 50u);
}

TEST(Chunker, equals_its_twin_at_full_size) {
  const Bytes file = random_bytes(12 << 20, 5);
  std::size_t at = 0;
  while (at < file.size()) {
    const ByteView rest = ByteView(file).subspan(at);
    const std::size_t cut = Chunker().next_cut(rest, After::EndOfFile);
    ASSERT_EQ(cut, next_cut_by_definition(rest, After::EndOfFile, ChunkSizes{}));
    at += cut;
  }
}

TEST(Chunker, cuts_the_same_whatever_the_reads_are) {
  const Bytes file = random_bytes((20 << 20) + 12345, 6);
  const std::vector<std::size_t> expected = cuts_of(file, Chunker());
  EXPECT_EQ(cuts_through_a_slab(file, Chunker(), kMaxChunkBytes, kMaxChunkBytes), expected);
  EXPECT_EQ(cuts_through_a_slab(file, Chunker(), kMaxChunkBytes, 100'001), expected);
  EXPECT_EQ(cuts_through_a_slab(file, Chunker(), 3 * kMaxChunkBytes + 1, 777'777), expected);
}

TEST(Chunker, cuts_are_within_bounds_and_average_about_a_mebibyte) {
  const std::vector<std::size_t> cuts = cuts_of(random_bytes(128 << 20, 7), Chunker());
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    EXPECT_GE(cuts[i], kMinChunkBytes);
    EXPECT_LE(cuts[i], kMaxChunkBytes);
  }
  const double mean = static_cast<double>(128 << 20) / static_cast<double>(cuts.size());
  EXPECT_GT(mean, 1.0 * 1048576);
  EXPECT_LT(mean, 1.4 * 1048576);
}

TEST(Chunker, asks_for_more_only_below_the_maximum) {
  const Bytes zeros(kMaxChunkBytes + 10);
  const Chunker chunker;
  EXPECT_EQ(chunker.next_cut({}, After::MoreBytes), 0u);
  EXPECT_EQ(chunker.next_cut({}, After::EndOfFile), 0u);
  EXPECT_EQ(chunker.next_cut(ByteView(zeros).first(1), After::EndOfFile), 1u);
  EXPECT_EQ(chunker.next_cut(ByteView(zeros).first(kMinChunkBytes - 1), After::MoreBytes), 0u);
  EXPECT_EQ(chunker.next_cut(ByteView(zeros).first(kMaxChunkBytes - 1), After::MoreBytes), 0u);
  EXPECT_EQ(chunker.next_cut(ByteView(zeros).first(kMaxChunkBytes - 1), After::EndOfFile), kMaxChunkBytes - 1);
  EXPECT_EQ(chunker.next_cut(zeros, After::MoreBytes), kMaxChunkBytes);
}

TEST(Chunker, an_insertion_changes_few_chunks) {
  const Bytes before = random_bytes(40 << 20, 8);
  Bytes after = before;
  const Bytes inserted = random_bytes(37, 9);
  after.insert(after.begin() + (17 << 20), inserted.begin(), inserted.end());
  const auto ends_from_the_back = [](const Bytes& file) {
    std::vector<std::size_t> ends;
    std::size_t left = file.size();
    for (const std::size_t cut : cuts_of(file, Chunker())) ends.push_back(left -= cut);
    return ends;
  };
  const std::vector<std::size_t> old_ends = ends_from_the_back(before), new_ends = ends_from_the_back(after);
  std::size_t shared = 0;
  for (const std::size_t end : new_ends) shared += std::count(old_ends.begin(), old_ends.end(), end) > 0;
  // Ends after the edit are equal counted from the back; at least 15 of the 23 MiB behind it are found again.
  EXPECT_GE(shared, 12u);
}

TEST(Chunker, fixed_cuts_are_equal_and_only_the_last_is_short) {
  const Bytes data(kFixedChunkBytes + 5);
  EXPECT_EQ(next_fixed_cut(data, After::MoreBytes), kFixedChunkBytes);
  EXPECT_EQ(next_fixed_cut(ByteView(data).first(5), After::MoreBytes), 0u);
  EXPECT_EQ(next_fixed_cut(ByteView(data).first(5), After::EndOfFile), 5u);
  EXPECT_EQ(next_fixed_cut({}, After::EndOfFile), 0u);
}

}  // namespace
}  // namespace exclave::chunk
