#include "repo/catalogue.h"

#include <gtest/gtest.h>

#include "sim/universe.h"

namespace exclave::repo {
namespace {

class CatalogueTest : public testing::Test {
 protected:
  CatalogueTest() { CHECK(env_.files.make_directories("/state", 0700).ok()); }

  static CatalogueEntry entry_of(std::uint64_t number) {
    CatalogueEntry entry;
    std::string digits = std::to_string(number);
    entry.entry.path = "directory/file" + std::string(8 - digits.size(), '0') + digits;
    entry.entry.mode = 0644;
    entry.entry.owner = {static_cast<std::uint32_t>(number % 3), 5, "user", "group"};
    entry.entry.modified_ns = static_cast<std::int64_t>(number) - 500;
    entry.entry.size = 10 + number;
    format::Slice slice;
    store_u64(slice.chunk.mutable_view(), number / 4);
    slice.length = static_cast<std::uint32_t>(10 + number);
    entry.entry.slices.push_back(slice);
    entry.facts = {static_cast<std::int64_t>(number) * -3, number * 7, 2049};
    return entry;
  }
  void write(std::uint64_t count) {
    auto writer = CatalogueWriter::create(env_.files, "/state").take();
    for (std::uint64_t i = 0; i < count; ++i) {
      const CatalogueEntry entry = entry_of(i);
      ASSERT_TRUE(writer.append(entry.entry, entry.facts).ok());
    }
    CatalogueHeader header;
    header.era = format::EraNumber(3);
    header.dataset = "files";
    header.oldest_period = format::PeriodNumber(2);
    header.root = "/data";
    header.totals.files = count;
    ASSERT_TRUE(std::move(writer).commit(header).ok());
  }
  // How many right entries come before the end or the error; never a wrong one.
  Result<std::uint64_t> read_all() {
    auto reader = TRY(CatalogueReader::open(env_.files, "/state", "files"));
    std::uint64_t count = 0;
    while (true) {
      auto next = TRY(reader.next());
      if (!next.has_value()) return count;
      const CatalogueEntry wanted = entry_of(count++);
      EXPECT_EQ(next->entry, wanted.entry);
      EXPECT_EQ(next->facts, wanted.facts);
    }
  }
  void replace(ByteView content) { ASSERT_TRUE(env::replace_file_durably(env_.files, kPath, content, 0600).ok()); }

  static constexpr std::string_view kPath = "/state/files.catalogue";
  sim::Universe universe_{1};
  env::Env env_ = universe_.machine("home").env();
};

TEST_F(CatalogueTest, entries_and_header_come_back) {
  for (const std::uint64_t count : {0U, 1U, 5000U}) {
    write(count);
    EXPECT_EQ(read_all().take(), count);
    const auto reader = CatalogueReader::open(env_.files, "/state", "files").take();
    EXPECT_EQ(reader.header().era, format::EraNumber(3));
    EXPECT_EQ(reader.header().root, "/data");
    EXPECT_EQ(reader.header().totals.files, count);
    EXPECT_EQ(reader.header().oldest_period, format::PeriodNumber(2));
  }
}

TEST_F(CatalogueTest, damage_anywhere_is_corrupt_and_never_a_wrong_entry) {
  write(5000);
  const Bytes good = env_.files.read_file(kPath, 1 << 24).take();
  ASSERT_GT(good.size(), 200'000U) << "several blocks";
  for (std::size_t at = 0; at < good.size(); at += at < 300 || at + 300 > good.size() ? 7U : 9973U) {
    if (at >= 100 && at < 16384) continue;  // the unused room behind the header
    Bytes damaged = good;
    damaged[at] ^= 0x20;
    replace(damaged);
    const auto result = read_all();
    ASSERT_FALSE(result.ok()) << "byte " << at;
    EXPECT_EQ(result.error().code(), Code::Corrupt) << "byte " << at << ": " << result.error().message();
  }
}

TEST_F(CatalogueTest, a_torn_file_is_corrupt) {
  write(3000);
  const Bytes good = env_.files.read_file(kPath, 1 << 24).take();
  for (std::size_t size = 0; size < good.size(); size += 7919) {
    replace(ByteView(good).first(size));
    EXPECT_EQ(read_all().error().code(), Code::Corrupt) << size;
  }
}

TEST_F(CatalogueTest, an_abandoned_writer_leaves_the_old_one) {
  write(10);
  {
    auto writer = CatalogueWriter::create(env_.files, "/state").take();
    const CatalogueEntry entry = entry_of(0);
    ASSERT_TRUE(writer.append(entry.entry, entry.facts).ok());
  }
  EXPECT_EQ(read_all().take(), 10U);
  EXPECT_EQ(env_.files.list("/state").take().size(), 1U);
}

TEST_F(CatalogueTest, another_datasets_catalogue_is_refused_and_a_missing_one_is_not_found) {
  EXPECT_EQ(read_all().error().code(), Code::NotFound);
  write(1);
  const Bytes good = env_.files.read_file(kPath, 1 << 24).take();
  ASSERT_TRUE(env::replace_file_durably(env_.files, "/state/other.catalogue", good, 0600).ok());
  EXPECT_EQ(CatalogueReader::open(env_.files, "/state", "other").error().code(), Code::Corrupt);
}

}  // namespace
}  // namespace exclave::repo
