#include "repo/catalogue.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

#include "chunk/record_cutter.h"
#include "crypto/hash.h"
#include "format/testing/samples.h"
#include "sim/universe.h"
#include "tests/conformance/weather.h"

namespace exclave::repo {
namespace {

using conformance::must;

CatalogueEntry entry_of(std::uint64_t number) {
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

CatalogueHeader header_of(std::uint64_t files) {
  CatalogueHeader header;
  header.era = format::EraNumber(3);
  header.dataset = "files";
  header.oldest_period = format::PeriodNumber(2);
  header.root = "/data";
  header.totals.files = files;
  return header;
}

// As a capture does it: listing chunks where the rule cuts them.
class Listing {
 public:
  explicit Listing(CatalogueWriter& writer) : writer_(writer) {}
  void add(const CatalogueEntry& entry) {
    writer_.begin_entry(entry.facts);
    encoder_.append(entry.entry, records_, [&](ByteView record) {
      if (!cutter_.ends_after(record)) return false;
      end(ChunkEnd::ByRule);
      return true;
    });
  }
  void end(ChunkEnd end) {
    if (records_.size() == 0) return;
    chunks_.push_back(format::ChunkId(crypto::sha256(records_.view()).array()));
    writer_.end_chunk(chunks_.back(), records_.view(), end);
    records_.clear();
  }
  std::vector<format::ChunkId> chunks_;

 private:
  CatalogueWriter& writer_;
  format::ListingEncoder encoder_;
  format::BinaryWriter records_;
  chunk::RecordCutter cutter_;
};

class CatalogueTest : public ::testing::Test {
 protected:
  CatalogueTest() { CHECK(env_.files.make_directories("/state", 0700).ok()); }

  std::vector<format::ChunkId> write(const std::vector<CatalogueEntry>& entries) {
    auto writer = CatalogueWriter::create(env_.files, "/state");
    Listing listing(writer);
    for (const CatalogueEntry& entry : entries) listing.add(entry);
    listing.end(ChunkEnd::WithListing);
    commit(std::move(writer), entries.size());
    return listing.chunks_;
  }
  std::vector<format::ChunkId> write(std::uint64_t count) {
    std::vector<CatalogueEntry> entries;
    for (std::uint64_t i = 0; i < count; ++i) entries.push_back(entry_of(i));
    return write(entries);
  }
  void commit(CatalogueWriter writer, std::uint64_t files) {
    ASSERT_TRUE(std::move(writer).commit(header_of(files)).ok());
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

// The file of the page's example, and the bytes of it that are not zeros at the header's end.
TEST_F(CatalogueTest, the_pages_example_is_a_catalogue_of_two_entries_and_is_written_like_that) {
  write(2);
  const Bytes file = env_.files.read_file(kPath, 1 << 20).take();
  std::ifstream page(std::string(EXCLAVE_SOURCE_DIR) + "/docs/formats/catalogue.md");
  const std::string text{std::istreambuf_iterator<char>(page), {}};
  Bytes shown = format::testing::hex_in(text, "header");
  shown.resize(16384);
  append(shown, format::testing::hex_in(text, "block"));
  append(shown, format::testing::hex_in(text, "trailer"));
  EXPECT_EQ(to_hex(file), to_hex(shown));
  replace(shown);
  EXPECT_EQ(read_all().take(), 2U);
}

TEST_F(CatalogueTest, all_blocks_but_the_last_stand_alone_and_can_be_kept) {
  const auto chunks = write(5000);
  const Bytes before = env_.files.read_file(kPath, 1 << 24).take();
  auto reader = CatalogueReader::open(env_.files, "/state", "files").take();
  auto writer = CatalogueWriter::create(env_.files, "/state");
  Listing rest(writer);
  std::vector<format::ChunkId> seen;
  std::uint64_t count = 0;
  while (reader.read_block().take()) {
    const std::size_t in_block = reader.entries().size();
    for (const CatalogueEntry& entry : reader.entries()) EXPECT_EQ(entry.entry, entry_of(count++).entry);
    if (!reader.stands_alone()) {
      for (const CatalogueEntry& entry : reader.entries()) rest.add(entry);
      continue;
    }
    const CatalogueBlock block = reader.take_block();
    seen.push_back(block.listing.id);
    const auto decoded = block.decode().take();
    ASSERT_EQ(decoded.size(), in_block);
    for (std::size_t i = 0; i < in_block; ++i) {
      EXPECT_EQ(decoded[i].entry, entry_of(count - in_block + i).entry);
      EXPECT_EQ(decoded[i].facts, entry_of(count - in_block + i).facts);
    }
    writer.keep(block);
  }
  EXPECT_EQ(count, 5000U);
  EXPECT_EQ(seen.size(), chunks.size() - 1) << "the last one ends with the listing";
  EXPECT_TRUE(std::equal(seen.begin(), seen.end(), chunks.begin()));
  rest.end(ChunkEnd::WithListing);
  commit(std::move(writer), 5000);
  EXPECT_EQ(env_.files.read_file(kPath, 1 << 24).take(), before);
}

TEST_F(CatalogueTest, an_entry_that_spans_blocks_comes_back_and_its_blocks_do_not_stand_alone) {
  std::vector<CatalogueEntry> entries = {entry_of(1), entry_of(2), entry_of(3)};
  format::ListingEntry& huge = entries[1].entry;
  huge.slices.clear();
  huge.size = 0;
  for (std::uint32_t i = 0; i < 3 * format::kMaxSlicesPerPart; ++i) {
    format::Slice slice;
    store_u64(slice.chunk.mutable_view(), i);
    slice.length = 1;
    huge.slices.push_back(slice);
    ++huge.size;
  }
  const auto chunks = write(entries);
  ASSERT_GE(chunks.size(), 3U) << "each part is larger than a chunk should be";
  auto reader = CatalogueReader::open(env_.files, "/state", "files").take();
  std::vector<CatalogueEntry> found;
  while (reader.read_block().take()) {
    EXPECT_FALSE(reader.stands_alone());
    for (const CatalogueEntry& entry : reader.entries()) found.push_back(entry);
  }
  ASSERT_EQ(found.size(), entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(found[i].entry, entries[i].entry);
    EXPECT_EQ(found[i].facts, entries[i].facts);
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

TEST_F(CatalogueTest, a_block_that_claims_more_than_the_file_holds_is_corrupt_and_takes_no_memory) {
  write(3);
  Bytes damaged = env_.files.read_file(kPath, 1 << 24).take();
  constexpr std::size_t kFirstBlock = 16384;
  constexpr std::uint32_t kMuch = 4U << 20;
  store_u32(MutableByteView(damaged).subspan(kFirstBlock), kMuch);      // bytes of the listing
  store_u32(MutableByteView(damaged).subspan(kFirstBlock + 4), kMuch);  // entries
  replace(damaged);
  const auto result = read_all();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::Corrupt);
  EXPECT_NE(result.error().message().find("block is damaged"), std::string::npos)
      << "found out only by reading: " << result.error().message();
}

TEST_F(CatalogueTest, an_abandoned_writer_leaves_the_old_one) {
  write(10);
  {
    auto writer = CatalogueWriter::create(env_.files, "/state");
    Listing listing(writer);
    listing.add(entry_of(0));
    listing.end(ChunkEnd::WithListing);
  }
  EXPECT_EQ(read_all().take(), 10U);
  EXPECT_EQ(env_.files.list("/state").take().size(), 1U);
}

TEST_F(CatalogueTest, what_a_full_disk_refused_is_told_at_the_end_and_takes_no_room_until_then) {
  constexpr std::uint64_t kCapacity = std::uint64_t{1} << 20;
  universe_.machine("home").disk().set_capacity_bytes(kCapacity);
  auto writer = CatalogueWriter::create(env_.files, "/state");
  Listing listing(writer);
  for (std::uint64_t number = 0; number < 20'000; ++number) listing.add(entry_of(number));  // some 4 MB
  const Bytes other(kCapacity * 3 / 4);
  EXPECT_TRUE(env::create_file_durably(env_.files, "/state/other", other, 0600).ok()) << "the room is free again";
  listing.end(ChunkEnd::WithListing);
  const Status done = std::move(writer).commit(header_of(20'000));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), Code::Exhausted);
  EXPECT_EQ(read_all().error().code(), Code::NotFound);
}

TEST_F(CatalogueTest, a_disk_that_is_full_from_the_beginning_on_is_told_of_at_the_end_too) {
  write(10);
  universe_.machine("home").disk().set_capacity_bytes(1);
  auto writer = CatalogueWriter::create(env_.files, "/state");
  Listing listing(writer);
  listing.add(entry_of(0));
  listing.end(ChunkEnd::WithListing);
  const Status done = std::move(writer).commit(header_of(1));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), Code::Exhausted);
  EXPECT_EQ(read_all().take(), 10U) << "the one before is still there";
}

TEST_F(CatalogueTest, another_datasets_catalogue_is_refused_and_a_missing_one_is_not_found) {
  EXPECT_EQ(read_all().error().code(), Code::NotFound);
  write(1);
  const Bytes good = env_.files.read_file(kPath, 1 << 24).take();
  ASSERT_TRUE(env::replace_file_durably(env_.files, "/state/other.catalogue", good, 0600).ok());
  EXPECT_EQ(CatalogueReader::open(env_.files, "/state", "other").error().code(), Code::Corrupt);
}

// Each life replaces the catalogue by another one, and reads it.
class CatalogueInWeather final : public conformance::Tenant {
 public:
  void move_in(sim::Machine& machine) override { must(machine.env().files.make_directories("/state", 0700)); }

  void work(sim::Machine& machine, conformance::Draws& draws) override {
    for (int time = 0; time < 3; ++time) {
      const std::uint64_t count = draws.below(1500);
      may_be_.insert(count);
      const Status replaced = replace(machine.env().files, count);
      if (took(replaced)) may_be_ = {count};
      if (const auto read = count_in(machine.env().files); !read.ok()) {
        if (read.error().code() == Code::Bug) wrong_ = read.error().message();
        if (read.error().code() != Code::NotFound) took(read);
      } else if (took(read) && !may_be_.contains(read.value())) {
        wrong_ = "a catalogue of " + std::to_string(read.value());
      }
    }
  }

  Status check(sim::Machine& machine, conformance::Death death) override {
    if (!wrong_.empty()) return Error(Code::Bug, wrong_ + " was read");
    const auto read = count_in(machine.env().files);
    if (!read.ok() && read.error().code() != Code::NotFound) return read.error();
    const std::uint64_t count = read.ok() ? read.value() : kNone;
    if (!may_be_.contains(count)) return Error(Code::Corrupt, "a catalogue of " + std::to_string(count) + " is there");
    if (death == conformance::Death::PowerLoss) may_be_ = {count};
    return {};
  }

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  static Status replace(env::FileSystem& files, std::uint64_t count) {
    auto writer = CatalogueWriter::create(files, "/state");
    Listing listing(writer);
    for (std::uint64_t number = 0; number < count; ++number) listing.add(entry_of(number));
    listing.end(ChunkEnd::WithListing);
    return std::move(writer).commit(header_of(count));
  }
  // Of a whole catalogue whose entries are right.
  static Result<std::uint64_t> count_in(env::FileSystem& files) {
    auto reader = TRY(CatalogueReader::open(files, "/state", "files"));
    std::uint64_t count = 0;
    while (const auto next = TRY(reader.next())) {
      if (next->entry != entry_of(count).entry || next->facts != entry_of(count).facts)
        return Error(Code::Bug, "a wrong entry");
      ++count;
    }
    if (reader.header().totals.files != count) return Error(Code::Bug, "another catalogue's header");
    return count;
  }

  std::set<std::uint64_t> may_be_ = {kNone};
  std::string wrong_;
};

TEST(CatalogueInWeather, H7_a_catalogue_is_the_old_one_or_the_new_one_whatever_the_disk_does) {
  conformance::expect_sound([] { return std::make_unique<CatalogueInWeather>(); },
                            {.seeds = 60, .lives = 6, .many_calls = 60});
}

}  // namespace
}  // namespace exclave::repo
