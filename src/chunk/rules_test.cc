#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "chunk/detail/stable_hash.h"
#include "chunk/group_rule.h"
#include "chunk/record_cutter.h"

namespace exclave::chunk {
namespace {

TEST(StableHash, equals_published_fnv_vectors) {
  EXPECT_EQ(fnv1a({}), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a(as_bytes("a")), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(fnv1a(as_bytes("foobar")), 0x85944171f73967e8u);
}

TEST(StableHash, its_mix_equals_the_published_splitmix64_sequence) {
  // SplitMix64 seeded with 1234567: the first outputs, as published with the reference code.
  EXPECT_EQ(mix64(1234567 + 0x9e3779b97f4a7c15), 6457827717110365317u);
  EXPECT_EQ(mix64(1234567 + 2 * 0x9e3779b97f4a7c15), 3203168211198807973u);
}

struct File {
  std::string name;
  std::uint64_t size = 0;
};

std::vector<File> some_files(std::size_t count) {
  std::mt19937_64 generator(11);
  std::vector<File> files;
  for (std::size_t i = 0; i < count; ++i) {
    files.push_back({"file" + std::to_string(generator() % 100000) + ".c", generator() % 30000});
  }
  return files;
}

std::vector<std::size_t> group_ends(const std::vector<File>& files) {
  GroupRule rule;
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (rule.ends_after(files[i].name, files[i].size)) ends.push_back(i);
  }
  return ends;
}

TEST(GroupRule, groups_hold_half_a_mebibyte_to_two_and_a_quarter) {
  const std::vector<File> files = some_files(20000);
  GroupRule rule;
  std::uint64_t total = 0, groups = 0, soft = 0;
  for (const File& file : files) {
    total += file.size;
    if (!rule.ends_after(file.name, file.size)) {
      EXPECT_EQ(rule.total_bytes(), total);
      continue;
    }
    EXPECT_GE(total, kGroupSoftBytes);
    EXPECT_LE(total, kMaxGroupBytes);
    soft += total < kGroupHardBytes;
    ++groups;
    total = 0;
    EXPECT_EQ(rule.total_bytes(), 0u);
  }
  EXPECT_GT(groups, 200u);
  EXPECT_GT(soft * 10, groups * 8);  // most groups end by content
}

TEST(GroupRule, ends_at_two_mebibytes_even_without_a_boundary) {
  GroupRule rule;
  std::uint64_t total = 0;
  // One name and size again and again: never a boundary.
  while (true) {
    total += 100'000;
    const bool ended = rule.ends_after("same", 100'000);
    EXPECT_EQ(ended, total >= kGroupHardBytes);
    if (ended) break;
  }
}

TEST(GroupRule, an_added_file_disturbs_only_its_neighbourhood) {
  std::vector<File> files = some_files(20000);
  const std::vector<std::size_t> before = group_ends(files);
  files.insert(files.begin() + 7000, File{"added.c", 12345});
  std::vector<std::size_t> after = group_ends(files);
  for (std::size_t& end : after) end -= end > 7000 ? 1 : 0;
  std::vector<std::size_t> changed;
  std::set_symmetric_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(changed));
  EXPECT_LE(changed.size(), 12u);
}

TEST(GroupRule, its_boundaries_are_frozen) {
  // A format constant: other groups would deduplicate nothing against those of older versions.
  const std::vector<std::size_t> ends = group_ends(some_files(1000));
  const std::vector<std::size_t> expected = {36,  162, 197, 251, 313, 387, 436, 472, 519,
                                             555, 599, 662, 746, 797, 839, 921, 993};
  EXPECT_EQ(ends, expected);
}

TEST(GroupRule, names_and_sizes_do_not_run_into_one_another) {
  // The separator keeps ("a", 0x62...) and ("ab", ...) apart; here only that both parts matter.
  GroupRule rule;
  std::size_t by_name = 0, by_size = 0;
  for (std::uint64_t i = 0; i < 3200; ++i) {
    rule.reset();
    for (int filler = 0; filler < 6; ++filler) static_cast<void>(rule.ends_after("same", 100'000));
    by_name += rule.ends_after("n" + std::to_string(i), 1);
    rule.reset();
    for (int filler = 0; filler < 6; ++filler) static_cast<void>(rule.ends_after("same", 100'000));
    by_size += rule.ends_after("n", i);
  }
  EXPECT_GT(by_name, 60u);  // 100 expected
  EXPECT_LT(by_name, 140u);
  EXPECT_GT(by_size, 60u);
  EXPECT_LT(by_size, 140u);
}

std::vector<Bytes> some_records(std::size_t count, std::size_t mean_size) {
  std::mt19937_64 generator(13);
  std::vector<Bytes> records;
  for (std::size_t i = 0; i < count; ++i) {
    Bytes record(1 + generator() % (2 * mean_size));
    for (Byte& byte : record) byte = static_cast<Byte>(generator());
    records.push_back(std::move(record));
  }
  return records;
}

std::vector<std::size_t> record_ends(const std::vector<Bytes>& records) {
  RecordCutter cutter;
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (cutter.ends_after(records[i])) ends.push_back(i);
  }
  return ends;
}

TEST(RecordCutter, chunks_are_about_64_kibibytes_for_records_of_any_size) {
  for (const std::size_t mean_size : {30u, 150u, 2000u}) {
    const std::size_t count = (8 << 20) / mean_size;
    const double mean = 8.0 * 1048576 / static_cast<double>(record_ends(some_records(count, mean_size)).size());
    EXPECT_GT(mean, 48.0 * 1024) << mean_size;
    EXPECT_LT(mean, 72.0 * 1024) << mean_size;
  }
}

TEST(RecordCutter, chunks_stay_within_their_bounds) {
  RecordCutter cutter;
  std::size_t total = 0;
  for (const Bytes& record : some_records(60000, 150)) {
    total += record.size();
    if (!cutter.ends_after(record)) {
      EXPECT_LT(total, kRecordHardBytes);
      continue;
    }
    EXPECT_GE(total, kRecordSoftBytes);
    EXPECT_LT(total, kRecordHardBytes + record.size());
    total = 0;
  }
}

TEST(RecordCutter, a_changed_record_disturbs_only_its_neighbourhood) {
  std::vector<Bytes> records = some_records(60000, 150);
  const std::vector<std::size_t> before = record_ends(records);
  records[20000].push_back(1);
  const std::vector<std::size_t> after = record_ends(records);
  std::vector<std::size_t> changed;
  std::set_symmetric_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(changed));
  EXPECT_LE(changed.size(), 10u);
}

TEST(RecordCutter, its_boundaries_are_frozen) {
  const std::vector<std::size_t> ends = record_ends(some_records(3000, 150));
  const std::vector<std::size_t> expected = {279, 940, 1270, 1492, 1958, 2203, 2774};
  EXPECT_EQ(ends, expected);
}

}  // namespace
}  // namespace exclave::chunk
