#include "format/listing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "format/testing/samples.h"

namespace exclave::format {
namespace {

using testing::id_of;

ListingEntry file(std::string path) {
  ListingEntry entry;
  entry.path = std::move(path);
  entry.mode = 0644;
  entry.owner = {1000, 100, "ana", "users"};
  entry.modified_ns = -1;
  return entry;
}

Bytes encode(const std::vector<ListingEntry>& entries) {
  BinaryWriter writer;
  ListingEncoder encoder;
  for (const ListingEntry& entry : entries) encoder.append(entry, writer);
  return writer.take();
}

Result<std::vector<ListingEntry>> decode(const std::vector<Bytes>& chunks) {
  std::vector<ListingEntry> entries;
  ListingDecoder decoder;
  for (const Bytes& chunk : chunks) {
    TRY(decoder.feed(chunk, [&](ListingEntry entry) -> Status {
      entries.push_back(std::move(entry));
      return {};
    }));
  }
  TRY(decoder.finish());
  return entries;
}

// A record's bytes by hand: flags, shared, suffix, and what the writer adds.
Bytes record(std::uint16_t flags, std::uint64_t shared, std::string_view suffix,
             const std::function<void(BinaryWriter&)>& rest) {
  BinaryWriter body;
  body.u16(flags);
  body.varint(shared);
  body.text(suffix);
  rest(body);
  BinaryWriter out;
  out.bytes(body.view());
  return out.take();
}

void attributes(BinaryWriter& body, EntryType type, std::uint64_t size, std::uint32_t mode = 0644) {
  body.u8(static_cast<std::uint8_t>(type));
  body.varint(mode);
  body.varint(1);
  body.varint(2);
  body.text("u");
  body.text("g");
  body.i64(0);
  body.varint(size);
}

Code refusal_of_chunk(const Bytes& chunk) {
  const auto read = decode({chunk});
  return read.ok() ? Code::Bug : read.error().code();
}

TEST(listing, entries_of_every_type_round_trip) {
  std::vector<ListingEntry> entries;
  for (const EntryType type : {EntryType::Regular, EntryType::Directory, EntryType::Symlink, EntryType::Fifo,
                               EntryType::Socket, EntryType::CharDevice, EntryType::BlockDevice}) {
    ListingEntry entry = file("entry " + std::to_string(static_cast<int>(type)));
    entry.type = type;
    entry.mode = 07777;
    entry.xattrs = {{"user.a", to_bytes("x")}, {"user.empty", {}}};
    entry.hard_link = HardLinkId{~std::uint64_t{0}, 1};
    if (type == EntryType::Symlink) entry.link_target = "../\xff where";
    if (type == EntryType::CharDevice || type == EntryType::BlockDevice) {
      entry.device_major = 0xffffffff;
      entry.device_minor = 7;
    }
    entries.push_back(entry);
  }
  ListingEntry content = file("file");
  content.size = 30;
  content.content = id_of<ContentId>("content");
  content.slices = {{id_of<ChunkId>("a"), 5, 10}, {id_of<ChunkId>("a"), 15, 10}, {id_of<ChunkId>("b"), 0, 10}};
  ListingEntry sparse = file("sparse");
  sparse.size = std::uint64_t{1} << 40;
  sparse.sparse = true;
  sparse.extents = {{0, 10}, {10, 5}, {(std::uint64_t{1} << 40) - 1, 1}};
  sparse.slices = {{id_of<ChunkId>("b"), 0, 16}};
  ListingEntry hole = file("hole");
  hole.size = 4096;
  hole.sparse = true;
  ListingEntry unreadable = file("unreadable");
  unreadable.size = 99;
  unreadable.problem = EntryProblem::Unreadable;
  ListingEntry changed = file("zz changed");
  changed.size = 10;
  changed.problem = EntryProblem::ChangedWhileRead;
  changed.slices = {{id_of<ChunkId>("b"), 0, 10}};
  for (const ListingEntry& entry : {content, sparse, hole, unreadable, changed}) entries.push_back(entry);
  const auto read = decode({encode(entries)});
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value(), entries);
}

TEST(listing, paths_and_owners_are_shared_with_the_record_before) {
  const Bytes chunk = encode({file("a/long/path/one"), file("a/long/path/two")});
  const Bytes first = encode({file("a/long/path/one")});
  EXPECT_LT(chunk.size(), first.size() + 25);
  EXPECT_EQ(decode({chunk}).value()[1].path, "a/long/path/two");
}

TEST(listing, a_new_chunk_refers_to_nothing_before_it) {
  std::vector<ListingEntry> entries;
  for (int i = 0; i < 50; ++i) entries.push_back(file("directory/file " + std::to_string(100 + i)));
  std::vector<Bytes> chunks;
  BinaryWriter writer;
  ListingEncoder encoder;
  int count = 0;
  for (const ListingEntry& entry : entries) {
    encoder.append(entry, writer, [&](ByteView) { return ++count % 10 == 0; });
    if (count % 10 == 0) {
      chunks.push_back(writer.take());
      writer.clear();
    }
  }
  EXPECT_EQ(decode(chunks).value(), entries);
  for (const Bytes& chunk : chunks) EXPECT_EQ(decode({chunk}).value().size(), 10U);
  // Without the reset the second chunk cannot be read.
  const Bytes both = encode({entries[0], entries[1]});
  const std::size_t first = encode({entries[0]}).size();
  EXPECT_EQ(refusal_of_chunk(Bytes(both.begin() + static_cast<std::ptrdiff_t>(first), both.end())), Code::Corrupt);
}

ListingEntry large_file(std::size_t slices) {
  ListingEntry entry = file("huge");
  entry.sparse = true;
  for (std::size_t i = 0; i < slices; ++i) {
    entry.extents.push_back({i * 10, 3});
    entry.slices.push_back({id_of<ChunkId>(std::to_string(i)), 0, 3});
  }
  entry.size = slices * 10;
  return entry;
}

TEST(listing, a_file_of_many_slices_is_spread_over_parts_and_chunks) {
  for (const std::size_t slices :
       {kMaxSlicesPerPart - 1, kMaxSlicesPerPart, kMaxSlicesPerPart + 1, 3 * kMaxSlicesPerPart}) {
    const ListingEntry entry = large_file(slices);
    std::vector<Bytes> chunks;
    BinaryWriter writer;
    ListingEncoder encoder;
    std::size_t largest = 0;
    encoder.append(entry, writer, [&](ByteView bytes) {
      largest = std::max(largest, bytes.size());
      chunks.push_back(writer.take());
      writer.clear();
      return true;
    });
    EXPECT_EQ(chunks.size(), (slices + kMaxSlicesPerPart - 1) / kMaxSlicesPerPart);
    EXPECT_LT(largest, 512U << 10);
    const auto read = decode(chunks);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(read.value(), std::vector<ListingEntry>{entry});
    EXPECT_EQ(decode({encode({entry})}).value(), std::vector<ListingEntry>{entry});
  }
}

TEST(listing, parts_that_are_lost_mixed_or_out_of_order_are_refused) {
  std::vector<Bytes> parts;
  BinaryWriter writer;
  ListingEncoder encoder;
  // Dense: the size shows that a part in the middle is missing. (Of a sparse file, extents and slices go together.)
  ListingEntry dense = large_file(2 * kMaxSlicesPerPart + 1);
  dense.sparse = false;
  dense.extents.clear();
  dense.size = dense.slices.size() * 3;
  encoder.append(dense, writer, [&](ByteView) {
    parts.push_back(writer.take());
    writer.clear();
    return true;
  });
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_TRUE(decode(parts).ok());
  EXPECT_FALSE(decode({parts[0]}).ok());
  EXPECT_FALSE(decode({parts[0], parts[1]}).ok());
  EXPECT_FALSE(decode({parts[0], parts[2]}).ok());
  EXPECT_FALSE(decode({parts[1], parts[2]}).ok());
  EXPECT_FALSE(decode({parts[0], parts[0]}).ok());
  EXPECT_FALSE(decode({parts[0], encode({file("other")})}).ok());
  EXPECT_FALSE(decode({parts[0], parts[2], parts[1]}).ok());
}

TEST(listing, paths_that_leave_the_tree_are_refused) {
  for (const std::string path : {"..", ".", "a/..", "../a", "a/../b", "/", "/a", "a/", "a//b", "./a", "a/./b"}) {
    EXPECT_FALSE(is_safe_path(path)) << path;
    EXPECT_EQ(refusal_of_chunk(encode({file(path)})), Code::Corrupt) << path;
  }
  EXPECT_FALSE(is_safe_path(std::string("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(256, 'a')));
  for (const std::string path : {"", "a", "..a", "a..", "...", "a/.b", "\xff\xfe", " "}) {
    EXPECT_TRUE(is_safe_path(path)) << path;
    EXPECT_EQ(refusal_of_chunk(encode({file(path)})), Code::Bug) << path;
  }
  EXPECT_TRUE(is_safe_path(std::string(255, 'a')));
  // Put together from two records, too.
  Bytes chunk = record(0, 0, "a/b", [](BinaryWriter& body) { attributes(body, EntryType::Directory, 0); });
  append(chunk, record(0, 2, "..", [](BinaryWriter& body) { attributes(body, EntryType::Directory, 0); }));
  EXPECT_EQ(refusal_of_chunk(chunk), Code::Corrupt);
}

TEST(listing, records_that_break_a_rule_are_refused) {
  const auto nothing = [](BinaryWriter& body) { attributes(body, EntryType::Directory, 0); };
  const auto file_with = [](std::uint64_t size, const std::function<void(BinaryWriter&)>& slices) {
    return [=](BinaryWriter& body) {
      attributes(body, EntryType::Regular, size);
      slices(body);
    };
  };
  const auto slice = [](BinaryWriter& body, std::uint64_t length) {
    body.u8(0);
    body.id(id_of<ChunkId>("c"));
    body.varint(0);
    body.varint(length);
  };
  EXPECT_EQ(refusal_of_chunk(record(0, 0, "a", nothing)), Code::Bug);
  const std::vector<std::pair<std::string, Bytes>> wrongs = {
      {"unknown flag", record(0x100, 0, "a", nothing)},
      {"shares what is not there", record(0, 1, "a", nothing)},
      {"same owner as nobody", record(1, 0, "a", nothing)},
      {"later part of nothing", record(0x80, 0, "a", [](BinaryWriter&) {})},
      {"type 0", record(0, 0, "a", [](BinaryWriter& b) { attributes(b, static_cast<EntryType>(0), 0); })},
      {"type 8", record(0, 0, "a", [](BinaryWriter& b) { attributes(b, static_cast<EntryType>(8), 0); })},
      {"mode", record(0, 0, "a", [](BinaryWriter& b) { attributes(b, EntryType::Directory, 0, 010000); })},
      {"bytes left", record(0, 0, "a", [&](BinaryWriter& b) { nothing(b), b.u8(0); })},
      {"problem 3", record(0x20, 0, "a", [&](BinaryWriter& b) { nothing(b), b.u8(3); })},
      {"a part of a directory", record(0x40, 0, "a", nothing)},
      {"content id of a directory", record(0x08, 0, "a", [&](BinaryWriter& b) { nothing(b), b.raw(Bytes(16)); })},
      {"extended attributes above 1 MiB", record(4, 0, "a",
                                                 [&](BinaryWriter& b) {
                                                   nothing(b), b.varint(2);
                                                   for (const char* name : {"user.a", "user.b"})
                                                     b.text(name), b.bytes(Bytes(kMaxXattrBytes / 2));
                                                 })},
      {"sparse directory", record(0x10, 0, "a", [&](BinaryWriter& b) { nothing(b), b.varint(0); })},
      {"symlink to nothing",
       record(0, 0, "a", [](BinaryWriter& b) { attributes(b, EntryType::Symlink, 0), b.text(""); })},
      {"xattr without name",
       record(4, 0, "a", [&](BinaryWriter& b) { nothing(b), b.varint(1), b.text(""), b.text(""); })},
      {"no slices", record(0, 0, "a", file_with(1, [](BinaryWriter& b) { b.varint(0); }))},
      {"slices beyond the size", record(0, 0, "a", file_with(1, [&](BinaryWriter& b) { b.varint(1), slice(b, 2); }))},
      {"empty slice", record(0, 0, "a", file_with(0, [&](BinaryWriter& b) { b.varint(1), slice(b, 0); }))},
      {"same chunk as none",
       record(0, 0, "a", file_with(1, [](BinaryWriter& b) { b.varint(1), b.u8(1), b.varint(0), b.varint(1); }))},
      {"slice mark 2",
       record(0, 0, "a", file_with(1, [](BinaryWriter& b) { b.varint(1), b.u8(2), b.varint(0), b.varint(1); }))},
      {"half the data of a problem",
       record(0x20, 0, "a", file_with(9, [&](BinaryWriter& b) { b.u8(1), b.varint(1), slice(b, 2); }))},
  };
  for (const auto& [name, chunk] : wrongs) EXPECT_EQ(refusal_of_chunk(chunk), Code::Corrupt) << name;
}

TEST(listing, extents_that_overlap_or_lie_outside_the_file_are_refused) {
  const auto with = [](const std::vector<DataExtent>& extents, std::uint64_t size) {
    ListingEntry entry = file("a");
    entry.sparse = true;
    entry.size = size;
    entry.extents = extents;
    std::uint64_t bytes = 0;
    for (const DataExtent& extent : extents) bytes += extent.length;
    if (bytes > 0) entry.slices = {{id_of<ChunkId>("c"), 0, static_cast<std::uint32_t>(bytes)}};
    return refusal_of_chunk(encode({entry}));
  };
  EXPECT_EQ(with({{0, 5}, {5, 5}}, 10), Code::Bug);
  EXPECT_EQ(with({{0, 5}, {4, 5}}, 10), Code::Corrupt);
  EXPECT_EQ(with({{5, 5}, {0, 5}}, 10), Code::Corrupt);
  EXPECT_EQ(with({{5, 6}}, 10), Code::Corrupt);
  EXPECT_EQ(with({{11, 1}}, 10), Code::Corrupt);
  EXPECT_EQ(with({{0, 0}}, 10), Code::Corrupt);
  EXPECT_EQ(with({{~std::uint64_t{0} - 1, 3}}, ~std::uint64_t{0}), Code::Corrupt);
}

// One that a writer lets through and a reader refuses costs the whole snapshot.
TEST(listing, what_a_writer_is_told_to_leave_out_is_exactly_what_a_reader_refuses) {
  std::vector<std::pair<std::string, std::function<void(ListingEntry&)>>> changes = {
      {"nothing", [](ListingEntry&) {}},
      {"name of 255 bytes", [](ListingEntry& e) { e.path = "d/" + std::string(255, 'n'); }},
      {"name of 256 bytes", [](ListingEntry& e) { e.path = "d/" + std::string(256, 'n'); }},
      {"path out of the tree", [](ListingEntry& e) { e.path = "../a"; }},
      {"mode", [](ListingEntry& e) { e.mode = 010000; }},
      {"owner of 256 bytes", [](ListingEntry& e) { e.owner.user_name = std::string(256, 'u'); }},
      {"owner of 257 bytes", [](ListingEntry& e) { e.owner.user_name = std::string(257, 'u'); }},
      {"group of 257 bytes", [](ListingEntry& e) { e.owner.group_name = std::string(257, 'g'); }},
      {"link to something", [](ListingEntry& e) { e.type = EntryType::Symlink, e.link_target = "b"; }},
      {"link to nothing", [](ListingEntry& e) { e.type = EntryType::Symlink; }},
      {"link with NUL", [](ListingEntry& e) { e.type = EntryType::Symlink, e.link_target = std::string(1, '\0'); }},
      {"xattr",
       [](ListingEntry& e) {
         e.xattrs = {{"user.a", {}}};
       }},
      {"xattr without name",
       [](ListingEntry& e) {
         e.xattrs = {{"", {}}};
       }},
      {"xattr of 256 bytes",
       [](ListingEntry& e) {
         e.xattrs = {{std::string(256, 'x'), {}}};
       }},
      {"too many xattrs",
       [](ListingEntry& e) {
         e.xattrs.assign(kMaxXattrs + 1, {"user.a", {}});
       }},
      {"too large xattrs",
       [](ListingEntry& e) {
         e.xattrs = {{"user.a", Bytes(kMaxXattrBytes)}};
       }},
      {"data",
       [](ListingEntry& e) {
         e.size = 3, e.slices = {{id_of<ChunkId>("c"), 0, 3}};
       }},
      {"data of a directory", [](ListingEntry& e) { e.type = EntryType::Directory, e.sparse = true; }},
      {"content of a pipe", [](ListingEntry& e) { e.type = EntryType::Fifo, e.content = id_of<ContentId>("c"); }},
      {"no data", [](ListingEntry& e) { e.size = 3; }},
      {"no data, and that is said", [](ListingEntry& e) { e.size = 3, e.problem = EntryProblem::Unreadable; }},
      {"empty slice",
       [](ListingEntry& e) {
         e.slices = {{id_of<ChunkId>("c"), 0, 0}};
       }},
      {"hole", [](ListingEntry& e) { e.size = 9, e.sparse = true; }},
      {"extent outside",
       [](ListingEntry& e) {
         e.size = 9, e.sparse = true, e.extents = {{9, 1}};
       }},
  };
  std::size_t refused = 0;
  for (const auto& [name, change] : changes) {
    ListingEntry entry = file("a");
    change(entry);
    const bool is_refused = refusal_of_chunk(encode({entry})) == Code::Corrupt;
    EXPECT_EQ(entry_flaw(entry).has_value(), is_refused) << name;
    refused += is_refused ? 1 : 0;
  }
  EXPECT_EQ(refused, 16U);
}

TEST(listing, hostile_counts_are_refused_before_anything_is_allocated) {
  for (const std::uint64_t count : {std::uint64_t{5000}, std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
    EXPECT_EQ(refusal_of_chunk(
                  record(4, 0, "a", [&](BinaryWriter& b) { attributes(b, EntryType::Fifo, 0), b.varint(count); })),
              Code::Corrupt);
    EXPECT_EQ(refusal_of_chunk(
                  record(0, 0, "a", [&](BinaryWriter& b) { attributes(b, EntryType::Regular, 0), b.varint(count); })),
              Code::Corrupt);
    EXPECT_EQ(refusal_of_chunk(record(0x10, 0, "a",
                                      [&](BinaryWriter& b) { attributes(b, EntryType::Regular, 0), b.varint(count); })),
              Code::Corrupt);
    BinaryWriter length;
    length.varint(count);
    EXPECT_EQ(refusal_of_chunk(length.take()), Code::Corrupt);
  }
}

TEST(listing, more_slices_than_a_part_may_have_are_refused) {
  const auto with = [](std::size_t count) {
    return refusal_of_chunk(record(0, 0, "a", [&](BinaryWriter& body) {
      attributes(body, EntryType::Regular, count);
      body.varint(count);
      for (std::size_t i = 0; i < count; ++i) {
        body.u8(i == 0 ? 0 : 1);
        if (i == 0) body.id(id_of<ChunkId>("c"));
        body.varint(i);
        body.varint(1);
      }
    }));
  };
  EXPECT_EQ(with(kMaxSlicesPerPart), Code::Bug);
  EXPECT_EQ(with(kMaxSlicesPerPart + 1), Code::Corrupt);
}

TEST(listing, a_chunk_cut_off_anywhere_but_at_a_record_is_refused) {
  const Bytes one = encode({file("a")});
  Bytes both = encode({file("a"), file("b")});
  for (std::size_t size = 1; size < both.size(); ++size) {
    const Code code = refusal_of_chunk(Bytes(both.begin(), both.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_EQ(code, size == one.size() ? Code::Bug : Code::Corrupt) << size;
  }
}

// The oracle: a tree of maps, walked depth first, names bytewise.
struct Tree {
  std::map<std::string, Tree> children;
  void walk(const std::string& path, std::vector<std::string>& out) const {
    out.push_back(path);
    for (const auto& [name, child] : children) child.walk(path.empty() ? name : path + "/" + name, out);
  }
};

TEST(walk_order, is_that_of_a_sorted_walk) {
  std::mt19937 random(7);
  const std::vector<std::string> names = {"a", "a.b", "a-", "a b", "aa", "b", "\x01", "\xff", "A", "a\x7f", "a0"};
  Tree root;
  for (int i = 0; i < 400; ++i) {
    Tree* at = &root;
    const unsigned depth = random() % 4;
    for (unsigned level = 0; level <= depth; ++level) at = &at->children[names[random() % names.size()]];
  }
  std::vector<std::string> walked;
  root.walk("", walked);
  std::vector<std::string> sorted = walked;
  std::shuffle(sorted.begin(), sorted.end(), random);
  std::sort(sorted.begin(), sorted.end(),
            [](const std::string& a, const std::string& b) { return compare_in_walk_order(a, b) < 0; });
  EXPECT_EQ(sorted, walked);
  EXPECT_GT(walked.size(), 300U);
  for (std::size_t i = 1; i < walked.size(); ++i) {
    EXPECT_LT(compare_in_walk_order(walked[i - 1], walked[i]), 0);
    EXPECT_GT(compare_in_walk_order(walked[i], walked[i - 1]), 0);
    EXPECT_EQ(compare_in_walk_order(walked[i], walked[i]), 0);
  }
}

}  // namespace
}  // namespace exclave::format
