#include "format/pack.h"

#include <gtest/gtest.h>

#include <functional>

#include "format/object.h"
#include "format/testing/samples.h"

namespace exclave::format {
namespace {

using testing::id_of;

constexpr std::size_t kPlainBytes = 4096;

std::vector<ChunkEntry> some_entries() {
  return {{id_of<ChunkId>("1"), 0, 100, 100, ChunkKind::Content, ChunkCodec::Raw},
          {id_of<ChunkId>("2"), 100, 50, 200, ChunkKind::Group, ChunkCodec::Zstd},
          {id_of<ChunkId>("3"), 150, 10, 10, ChunkKind::Listing, ChunkCodec::Raw}};
}

Bytes directory_of(const std::vector<ChunkEntry>& entries) {
  Bytes directory;
  for (const ChunkEntry& entry : entries) append_entry(directory, entry);
  return directory;
}

Bytes pack_of(const std::vector<ChunkEntry>& entries) {
  Bytes plain(kPlainBytes);
  const Bytes directory = directory_of(entries);
  const MutableByteView view(plain);
  if (!entries.empty()) std::fill_n(plain.begin(), entries.back().offset + entries.back().stored_bytes, Byte{0x5a});
  std::copy(directory.begin(), directory.end(), view.last(kFooterBytes + directory.size()).begin());
  write_footer(view.last(kFooterBytes), {PlaintextType::Pack, static_cast<std::uint32_t>(directory.size()),
                                         static_cast<std::uint32_t>(entries.size())});
  return plain;
}

Code refusal_of_pack(const Bytes& plain) {
  const auto read = read_pack_directory(plain);
  return read.ok() ? Code::Bug : read.error().code();
}

TEST(pack, directory_round_trips) {
  EXPECT_EQ(read_pack_directory(pack_of(some_entries())).value(), some_entries());
  EXPECT_TRUE(read_pack_directory(pack_of({})).value().empty());
}

TEST(pack, may_be_full_to_the_last_byte) {
  const auto bytes = static_cast<std::uint32_t>(kPlainBytes - kFooterBytes - kDirectoryEntryBytes);
  const std::vector<ChunkEntry> full = {{id_of<ChunkId>("1"), 0, bytes, bytes, ChunkKind::Content, ChunkCodec::Raw}};
  EXPECT_EQ(read_pack_directory(pack_of(full)).value(), full);
}

TEST(pack, directory_refuses_each_entry_that_breaks_a_rule) {
  const std::vector<std::pair<std::string, std::function<void(std::vector<ChunkEntry>&)>>> wrongs = {
      {"gap before the first", [](auto& e) { e[0].offset = 1; }},
      {"gap", [](auto& e) { e[2].offset = 151; }},
      {"overlap", [](auto& e) { e[1].offset = 99; }},
      {"out of order", [](auto& e) { std::swap(e[0], e[1]); }},
      {"raw sizes differ", [](auto& e) { e[2].plain_bytes = 11; }},
      {"zstd grew", [](auto& e) { e[1].plain_bytes = 49; }},
      {"zstd of equal size", [](auto& e) { e[1].plain_bytes = 50; }},
      {"empty", [](auto& e) { e[2].plain_bytes = e[2].stored_bytes = 0; }},
      {"empty frame", [](auto& e) { e[1].stored_bytes = 0, e[2].offset = 100; }},
      {"larger than any chunk", [](auto& e) { e[1].plain_bytes = kMaxChunkPlainBytes + 1; }},
      {"into the directory", [](auto& e) { e[2].stored_bytes = e[2].plain_bytes = kPlainBytes - 150 - 16 - 143; }},
      {"beyond 32 bits", [](auto& e) { e[2].stored_bytes = e[2].plain_bytes = 0xffffffff; }},
  };
  for (const auto& [name, change] : wrongs) {
    std::vector<ChunkEntry> entries = some_entries();
    change(entries);
    Bytes plain = pack_of(some_entries());
    const Bytes directory = directory_of(entries);
    std::copy(directory.begin(), directory.end(), MutableByteView(plain).last(kFooterBytes + directory.size()).begin());
    EXPECT_EQ(refusal_of_pack(plain), Code::Corrupt) << name;
  }
}

TEST(pack, directory_refuses_unknown_kinds_codecs_and_reserved_bytes) {
  const std::size_t first = kPlainBytes - kFooterBytes - 3 * kDirectoryEntryBytes;
  for (const auto& [at, value] : {std::pair<std::size_t, Byte>{44, 0}, {44, 4}, {45, 2}, {46, 1}, {47, 1}}) {
    Bytes plain = pack_of(some_entries());
    plain[first + at] = value;
    EXPECT_EQ(refusal_of_pack(plain), Code::Corrupt) << at;
  }
}

TEST(pack, padding_that_is_not_zero_is_refused_at_both_ends) {
  const std::size_t directory_at = kPlainBytes - kFooterBytes - 3 * kDirectoryEntryBytes;
  for (const std::size_t at : {std::size_t{160}, std::size_t{2000}, directory_at - 1}) {
    Bytes plain = pack_of(some_entries());
    plain[at] = 1;
    EXPECT_EQ(refusal_of_pack(plain), Code::Corrupt) << at;
  }
}

TEST(pack, footer_refuses_each_field_that_is_not_as_it_must_be) {
  struct Case {
    std::size_t at;
    Byte value;
    Code code;
  };
  const std::size_t footer = kPlainBytes - kFooterBytes;
  for (const Case& wrong : {Case{0, 0, Code::Unsupported}, Case{0, 4, Code::Unsupported}, Case{0, 5, Code::Unsupported},
                            Case{0, 2, Code::Corrupt}, Case{1, 0, Code::Unsupported}, Case{1, 2, Code::Unsupported},
                            Case{2, 1, Code::Corrupt}, Case{3, 1, Code::Corrupt}, Case{4, 1, Code::Corrupt},
                            Case{7, 143, Code::Corrupt}, Case{8, 1, Code::Corrupt}, Case{11, 2, Code::Corrupt},
                            Case{11, 4, Code::Corrupt}, Case{12, 1, Code::Corrupt}, Case{15, 1, Code::Corrupt}}) {
    Bytes plain = pack_of(some_entries());
    plain[footer + wrong.at] = wrong.value;
    EXPECT_EQ(refusal_of_pack(plain), wrong.code) << wrong.at;
  }
  EXPECT_EQ(refusal_of_pack(Bytes(15)), Code::Corrupt);
  EXPECT_EQ(refusal_of_pack({}), Code::Corrupt);
}

TEST(pack, footer_that_claims_more_entries_than_there_is_room_for_is_refused) {
  Bytes plain(kPlainBytes);
  // 48 * 0x55555556 = 0x1'0000'0020: equal modulo 2^32 must not be enough.
  write_footer(MutableByteView(plain).last(kFooterBytes), {PlaintextType::Pack, 0x20, 0x55555556});
  EXPECT_EQ(refusal_of_pack(plain), Code::Corrupt);
}

Bytes index_of(const Bytes& payload, std::uint32_t sections) {
  Bytes plain = payload;
  plain.resize(kPlainBytes);
  write_footer(MutableByteView(plain).last(kFooterBytes),
               {PlaintextType::Index, static_cast<std::uint32_t>(payload.size()), sections});
  return plain;
}

TEST(index_object, round_trips_sections) {
  Bytes payload;
  append_index_section(payload, id_of<ObjectName>("p"), 24, PeriodNumber(9), directory_of(some_entries()));
  append_index_section(payload, id_of<ObjectName>("q"), 18, PeriodNumber(10), {});
  const auto sections = read_index(index_of(payload, 2));
  ASSERT_TRUE(sections.ok()) << sections.error().message();
  ASSERT_EQ(sections.value().size(), 2U);
  EXPECT_EQ(sections.value()[0].pack, id_of<ObjectName>("p"));
  EXPECT_EQ(sections.value()[0].size_class, 24);
  EXPECT_EQ(sections.value()[0].period, PeriodNumber(9));
  EXPECT_EQ(sections.value()[0].entries, some_entries());
  EXPECT_TRUE(sections.value()[1].entries.empty());
}

TEST(index_object, refuses_what_does_not_add_up) {
  Bytes payload;
  append_index_section(payload, id_of<ObjectName>("p"), 18, PeriodNumber(9), directory_of(some_entries()));
  EXPECT_TRUE(read_index(index_of(payload, 1)).ok());
  EXPECT_FALSE(read_index(index_of(payload, 0)).ok());
  EXPECT_FALSE(read_index(index_of(payload, 2)).ok());
  EXPECT_FALSE(read_index(pack_of(some_entries())).ok());
  for (std::size_t size = 1; size < payload.size(); ++size) {
    EXPECT_FALSE(
        read_index(index_of(Bytes(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size)), 1)).ok())
        << size;
  }
  for (const auto& [at, value] : {std::pair<std::size_t, Byte>{32, 19}, {32, 255}, {37, 255}, {40, 4}}) {
    Bytes changed = payload;
    changed[at] = value;
    EXPECT_FALSE(read_index(index_of(changed, 1)).ok()) << at;
  }
  Bytes padded = index_of(payload, 1);
  padded[payload.size()] = 1;
  EXPECT_FALSE(read_index(padded).ok());
}

TEST(index_object, refuses_chunks_that_lie_outside_their_pack) {
  const auto within = [](std::uint32_t last) {
    std::vector<ChunkEntry> entries;
    for (std::uint32_t at = 0; at < last; at += 65'438)
      entries.push_back({id_of<ChunkId>("c"), at, 65'438, 65'438, ChunkKind::Content, ChunkCodec::Raw});
    Bytes payload;
    append_index_section(payload, id_of<ObjectName>("p"), 18, PeriodNumber(0), directory_of(entries));
    return read_index(index_of(payload, 1)).ok();
  };
  EXPECT_TRUE(within(4 * 65'438));
  EXPECT_FALSE(within(5 * 65'438));
}

TEST(chunk_identifier, gives_equal_bytes_of_different_purpose_different_ids) {
  ChunkIdentifier identifier(testing::secret_of("D"));
  const Bytes plain = to_bytes("the same bytes");
  const ChunkId content = identifier.of_bytes(ChunkKind::Content, plain);
  const ChunkId listing = identifier.of_bytes(ChunkKind::Listing, plain);
  const crypto::Hash256 file = identifier.file_hash(plain);
  const ChunkId group = identifier.of_group({{file, static_cast<std::uint32_t>(plain.size())}});
  EXPECT_NE(content, listing);
  EXPECT_FALSE(equal(content.view(), file.view()));
  EXPECT_FALSE(equal(listing.view(), file.view()));
  EXPECT_NE(group, content);
  EXPECT_NE(group, listing);
  // A content chunk that spells out a group's message is no group.
  Bytes message = to_bytes(file.view());
  append(message, Bytes{0, 0, 0, 14});
  EXPECT_NE(identifier.of_bytes(ChunkKind::Content, message), group);
  EXPECT_NE(identifier.of_bytes(ChunkKind::Listing, message), group);
  EXPECT_TRUE(equal(content_id_of(file).view(), file.view().first(16)));
}

TEST(chunk_identifier, depends_on_the_key_and_on_nothing_else) {
  const Bytes plain = to_bytes("bytes");
  ChunkIdentifier one(testing::secret_of("D"));
  ChunkIdentifier again(testing::secret_of("D"));
  ChunkIdentifier other(testing::secret_of("E"));
  const ChunkId id = one.of_bytes(ChunkKind::Content, plain);
  EXPECT_EQ(one.of_bytes(ChunkKind::Content, plain), id);
  EXPECT_EQ(again.of_bytes(ChunkKind::Content, plain), id);
  EXPECT_NE(other.of_bytes(ChunkKind::Content, plain), id);
}

Bytes group_of(const std::vector<std::string>& files) {
  Bytes plain;
  std::vector<std::uint32_t> lengths;
  for (const std::string& file : files) {
    append(plain, as_bytes(file));
    lengths.push_back(static_cast<std::uint32_t>(file.size()));
  }
  append_group_trailer(plain, lengths);
  return plain;
}

TEST(chunk_identifier, verifies_what_was_read_back_and_nothing_else) {
  ChunkIdentifier identifier(testing::secret_of("D"));
  const Bytes group = group_of({"one", "two!"});
  const ChunkId id =
      identifier.of_group({{identifier.file_hash(as_bytes("one")), 3}, {identifier.file_hash(as_bytes("two!")), 4}});
  EXPECT_TRUE(identifier.verify(ChunkKind::Group, group, id).ok());
  EXPECT_FALSE(identifier.verify(ChunkKind::Content, group, id).ok());
  EXPECT_FALSE(identifier.verify(ChunkKind::Group, group_of({"onet", "wo!"}), id).ok());
  for (std::size_t at = 0; at < group.size(); ++at) {
    Bytes changed = group;
    changed[at] ^= 1;
    EXPECT_EQ(identifier.verify(ChunkKind::Group, changed, id).error().code(), Code::Corrupt) << at;
  }
}

TEST(group_trailer, round_trips_and_refuses_what_does_not_add_up) {
  EXPECT_EQ(read_group_lengths(group_of({"one", "", "three"})).value(), (std::vector<std::uint32_t>{3, 0, 5}));
  const std::vector<std::pair<std::string, std::string>> wrongs = {
      {"", "nothing"},
      {"000000", "shorter than a count"},
      {"00000000", "no members"},
      {"61"
       "00000001",
       "a count without lengths"},
      {"61"
       "00000002"
       "00000001",
       "a length beyond the bytes"},
      {"6161"
       "00000001"
       "00000001",
       "a length below the bytes"},
      {"61"
       "00000001"
       "00000002",
       "more members than room"},
      {"61"
       "ffffffff",
       "a count that wraps"},
      {"ffffffff"
       "00000001"
       "00000002",
       "lengths that wrap"},
      {"00000001"
       "40000001",
       "a count that wraps when multiplied"},
  };
  for (const auto& [hex, why] : wrongs) {
    const auto read = read_group_lengths(from_hex(hex).value());
    ASSERT_FALSE(read.ok()) << why;
    EXPECT_EQ(read.error().code(), Code::Corrupt);
  }
}

}  // namespace
}  // namespace exclave::format
