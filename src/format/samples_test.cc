// Frozen samples of version 1: a vault directory of three objects, its keys, its stream. Written once by
// DISABLED_wrote_the_samples_like_this, never again; every later build must read them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "format/listing.h"
#include "format/pack.h"
#include "format/snapshot.h"
#include "format/testing/samples.h"

namespace exclave::format {

std::string testing::repository_file(const std::string& path) {
  std::ifstream file(std::string(EXCLAVE_SOURCE_DIR) + "/" + path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  CHECK(!content.empty());
  return content;
}

namespace {

using testing::id_of;
using testing::labelled;
using testing::page;
using testing::repository_file;
using testing::sample_key;
using testing::sample_realm;
using testing::secret_of;
using testing::value_in;

constexpr std::string_view kObjectFolder = "testdata/format/v1/";
constexpr std::string_view kHello = "Hello, Exclave.\n";
constexpr std::string_view kSecond = "A second small file of the same group.\n";

// zstd 1.5.4, level 3, of long_text(). Compression is not canonical, so the frame itself is part of the sample.
constexpr std::string_view kFrame =
    "28b52ffd60040fb5040092491a179025c90384a3b6124b65c0ffd7155284c4cd808c9b0604ffac269e15cd7735f1ac68aeab896745f35c4d3c"
    "2b9ae36ae259d1fc5613cf8ae6b69a785634afd5c4b3a239ad269e15cd6735f1ace80f105c0805d201a32000434070e98107dc837b18859b14"
    "857bcc1f63a811909ffd3f03e0370312f8ff7f05ff017d47fee3fe73ff71ffb9ffb8fbb9ffb8ffdc5f27cc86a90a";

std::string long_text() {
  std::string text;
  for (int i = 1; i <= 100; ++i) {
    const std::string number = std::to_string(i);
    text += std::string(3 - number.size(), '0') + number + " restores are rehearsed, not promised\n";
  }
  return text;
}

Bytes group_plain() {
  Bytes plain = to_bytes(kHello);
  append(plain, as_bytes(kSecond));
  append_group_trailer(plain, {static_cast<std::uint32_t>(kHello.size()), static_cast<std::uint32_t>(kSecond.size())});
  return plain;
}

struct SampleChunks {
  ChunkIdentifier identifier{secret_of("dedup key")};
  crypto::Hash256 hello = identifier.file_hash(as_bytes(kHello));
  crypto::Hash256 second = identifier.file_hash(as_bytes(kSecond));
  ChunkId group = identifier.of_group(
      {{hello, static_cast<std::uint32_t>(kHello.size())}, {second, static_cast<std::uint32_t>(kSecond.size())}});
  ChunkId long_file = identifier.of_bytes(ChunkKind::Content, as_bytes(long_text()));
};

ListingEntry entry_of(std::string path, EntryType type, std::uint32_t mode) {
  ListingEntry entry;
  entry.path = std::move(path);
  entry.type = type;
  entry.mode = mode;
  entry.owner = {1000, 100, "ana", "users"};
  entry.modified_ns = 1'800'000'000'000'000'123;
  return entry;
}

// One of every kind, in walk order.
std::vector<ListingEntry> sample_entries(SampleChunks& chunks) {
  const auto hello_bytes = static_cast<std::uint32_t>(kHello.size());
  const auto second_bytes = static_cast<std::uint32_t>(kSecond.size());
  std::vector<ListingEntry> entries;
  entries.push_back(entry_of("", EntryType::Directory, 0755));
  entries.push_back(entry_of("console", EntryType::CharDevice, 0620));
  entries.back().owner = {0, 5, "root", "tty"};
  entries.back().device_major = 5;
  entries.back().device_minor = 1;
  entries.push_back(entry_of("docs", EntryType::Directory, 02775));
  entries.back().xattrs = {{"user.note", to_bytes("kept")}};
  entries.push_back(entry_of("docs/hello.txt", EntryType::Regular, 0644));
  entries.back().size = hello_bytes;
  entries.back().hard_link = HardLinkId{64769, 4711};
  entries.back().content = content_id_of(chunks.hello);
  entries.back().slices = {{chunks.group, 0, hello_bytes}};
  entries.push_back(entry_of("docs/second.txt", EntryType::Regular, 0600));
  entries.back().size = second_bytes;
  entries.back().content = content_id_of(chunks.second);
  entries.back().slices = {{chunks.group, hello_bytes, second_bytes}};
  entries.push_back(entry_of("docs.link", EntryType::Symlink, 0777));
  entries.back().link_target = "docs/hello.txt";
  entries.push_back(entry_of("empty", EntryType::Regular, 0644));
  entries.push_back(entry_of("long.txt", EntryType::Regular, 0644));
  entries.back().size = long_text().size();
  entries.back().slices = {{chunks.long_file, 0, static_cast<std::uint32_t>(long_text().size())}};
  entries.push_back(entry_of("pipe", EntryType::Fifo, 0600));
  entries.push_back(entry_of("secret", EntryType::Regular, 0));
  entries.back().problem = EntryProblem::Unreadable;
  entries.back().size = 99;
  entries.push_back(entry_of("sparse.img", EntryType::Regular, 0640));
  entries.back().size = 1U << 20;
  entries.back().sparse = true;
  entries.back().extents = {{4096, 41}, {65536, 82}};
  entries.back().slices = {{chunks.long_file, 0, 41}, {chunks.long_file, 41, 82}};
  return entries;
}

constexpr std::size_t kEntriesInFirstChunk = 5;

// The two listing chunks: decoder state is reset between them.
std::vector<Bytes> sample_listing(SampleChunks& chunks) {
  std::vector<Bytes> listing;
  BinaryWriter writer;
  ListingEncoder encoder;
  std::size_t count = 0;
  for (const ListingEntry& entry : sample_entries(chunks)) {
    encoder.append(entry, writer);
    if (++count == kEntriesInFirstChunk) {
      listing.push_back(writer.take());
      writer.clear();
      encoder.reset();
    }
  }
  listing.push_back(writer.take());
  return listing;
}

Bytes with_footer(Bytes payload, const Footer& footer) {
  payload.resize(plain_capacity(testing::kSampleClass));
  write_footer(MutableByteView(payload).last(kFooterBytes), footer);
  return payload;
}

struct PackSample {
  Bytes plain;
  Bytes directory;
};

PackSample sample_pack(SampleChunks& chunks) {
  PackSample pack;
  const auto add = [&](const ChunkId& id, ChunkKind kind, ChunkCodec codec, std::size_t plain, ByteView stored) {
    append_entry(pack.directory,
                 {id, static_cast<std::uint32_t>(pack.plain.size()), static_cast<std::uint32_t>(stored.size()),
                  static_cast<std::uint32_t>(plain), kind, codec});
    append(pack.plain, stored);
  };
  add(chunks.group, ChunkKind::Group, ChunkCodec::Raw, group_plain().size(), group_plain());
  const Bytes frame = from_hex(kFrame).take();
  add(chunks.long_file, ChunkKind::Content, ChunkCodec::Zstd, long_text().size(), frame);
  for (const Bytes& listing : sample_listing(chunks)) {
    add(chunks.identifier.of_bytes(ChunkKind::Listing, listing), ChunkKind::Listing, ChunkCodec::Raw, listing.size(),
        listing);
  }
  pack.plain.resize(plain_capacity(testing::kSampleClass));
  const MutableByteView view(pack.plain);
  std::copy(pack.directory.begin(), pack.directory.end(), view.last(kFooterBytes + pack.directory.size()).begin());
  write_footer(view.last(kFooterBytes), {PlaintextType::Pack, static_cast<std::uint32_t>(pack.directory.size()), 4});
  return pack;
}

Snapshot sample_snapshot(SampleChunks& chunks, const ObjectName& index) {
  Snapshot snapshot;
  snapshot.dataset = "documents";
  snapshot.number = 7;
  snapshot.started_ns = 1'800'000'100'000'000'000;
  snapshot.finished_ns = 1'800'000'101'500'000'000;
  snapshot.host = "registry-host";
  snapshot.source = "/srv/documents";
  snapshot.program = "exclave 0.1.0";
  snapshot.totals = {.files = 6, .directories = 2, .others = 3, .bytes = 1'052'830, .unreadable = 1};
  snapshot.oldest_period = PeriodNumber(3);
  snapshot.previous = id_of<ObjectName>("previous snapshot");
  snapshot.dedup_key = secret_of("dedup key");
  for (const Bytes& listing : sample_listing(chunks)) {
    snapshot.listing.push_back(
        {chunks.identifier.of_bytes(ChunkKind::Listing, listing), static_cast<std::uint32_t>(listing.size())});
  }
  snapshot.indexes = {{index, testing::kSampleClass, PeriodNumber(3)}};
  return snapshot;
}

struct Samples {
  Bytes pack, index, snapshot;             // objects
  Bytes directory, index_payload, record;  // what stands inside
  std::vector<ObjectName> names;           // pack, index, snapshot
  std::string stream, entry0, entry1, entry2, receipt;
};

Samples make_samples() {
  Samples made;
  SampleChunks chunks;
  const PackSample pack = sample_pack(chunks);
  made.directory = pack.directory;
  made.pack = testing::seal_sample(sample_key(), sample_realm(), testing::kSampleClass, pack.plain, "pack");
  made.names.push_back(name_of(made.pack));
  append_index_section(made.index_payload, made.names[0], testing::kSampleClass, PeriodNumber(3), pack.directory);
  const auto index_bytes = static_cast<std::uint32_t>(made.index_payload.size());
  made.index = testing::seal_sample(sample_key(), sample_realm(), testing::kSampleClass,
                                    with_footer(made.index_payload, {PlaintextType::Index, index_bytes, 1}), "index");
  made.names.push_back(name_of(made.index));
  made.record = encode_snapshot(sample_snapshot(chunks, made.names[1]));
  const auto record_bytes = static_cast<std::uint32_t>(made.record.size());
  made.snapshot =
      testing::seal_sample(sample_key(), sample_realm(), testing::kSampleClass,
                           with_footer(made.record, {PlaintextType::Snapshot, record_bytes, 1}), "snapshot");
  made.names.push_back(name_of(made.snapshot));

  const auto writer = crypto::Ed25519SigningKey::from_seed(secret_of("writer"));
  const auto vault = crypto::Ed25519SigningKey::from_seed(secret_of("vault"));
  const StreamDescriptor descriptor{.realm = sample_realm(),
                                    .writer = writer.public_key(),
                                    .registry = testing::sample_key_id().registry,
                                    .era = EraNumber(1),
                                    .kind = StreamKind::Objects,
                                    .start = id_of<StreamStart>("start")};
  made.stream = SignedStream::sign(descriptor, writer).document();
  ChainHash chain = chain_start(descriptor.id());
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto oldest = i == 2 ? std::optional(PeriodNumber(3)) : std::nullopt;
    chain = next_chain(chain, made.names[i], oldest);
    const Entry entry{descriptor.id(), EntryIndex(i), made.names[i], chain, oldest};
    (i == 0 ? made.entry0 : i == 1 ? made.entry1 : made.entry2) = SignedEntry::sign(entry, writer).document();
  }
  made.receipt = SignedReceipt::sign({.vault = vault.public_key(),
                                      .realm = sample_realm(),
                                      .policy = PolicyVersion(1),
                                      .stream = descriptor.id(),
                                      .index = EntryIndex(2),
                                      .chain = chain,
                                      .term = Term(1),
                                      .durable_at_seconds = 1'800'000'102},
                                     vault)
                     .document();
  return made;
}

std::string object_sample(std::string_view name) {
  return repository_file(std::string(kObjectFolder) + std::string(name));
}
std::string object_path(const ObjectName& name) {
  return "objects/" + name.hex().substr(0, 2) + "/" + name.hex();
}
std::string expected(std::string_view key) {
  return value_in(repository_file("testdata/format/README.md"), key);
}
ObjectName expected_name(std::string_view key) {
  return ObjectName::from_hex(expected(key)).take();
}

void write_file(const std::string& path, std::string_view bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST(FormatSampleWriter, DISABLED_wrote_the_samples_like_this) {
  const std::string root = std::string(EXCLAVE_SOURCE_DIR) + "/" + std::string(kObjectFolder);
  const std::string seeds = std::string(EXCLAVE_SOURCE_DIR) + "/fuzz/seeds/";
  const Samples made = make_samples();
  write_file(root + object_path(made.names[0]), as_text(made.pack));
  write_file(root + object_path(made.names[1]), as_text(made.index));
  write_file(root + object_path(made.names[2]), as_text(made.snapshot));
  write_file(root + "stream.txt", made.stream);
  write_file(root + "entry-0.txt", made.entry0);
  write_file(root + "entry-1.txt", made.entry1);
  write_file(root + "entry-2.txt", made.entry2);
  write_file(root + "receipt.txt", made.receipt);

  // Fuzz seeds: the same plaintexts without the padding that fills an object.
  SampleChunks chunks;
  const std::vector<Bytes> listing = sample_listing(chunks);
  Bytes pack = sample_pack(chunks).plain;
  const auto chunk_bytes = read_pack_directory(pack).value().back();
  Bytes small(pack.begin(), pack.begin() + static_cast<std::ptrdiff_t>(chunk_bytes.offset + chunk_bytes.stored_bytes));
  small.resize(small.size() + 8);
  append(small, made.directory);
  append(small, ByteView(pack).last(kFooterBytes));
  write_file(seeds + "pack_plaintext/pack", as_text(small));
  for (const auto& [name, type, payload] : {std::tuple("index", PlaintextType::Index, made.index_payload),
                                            std::tuple("snapshot", PlaintextType::Snapshot, made.record)}) {
    Bytes plain = payload;
    plain.resize(payload.size() + 8 + kFooterBytes);
    write_footer(MutableByteView(plain).last(kFooterBytes), {type, static_cast<std::uint32_t>(payload.size()), 1});
    write_file(seeds + "pack_plaintext/" + name, as_text(plain));
  }
  write_file(seeds + "snapshot_record/record", as_text(made.record));
  write_file(seeds + "object_front/pack", as_text(ByteView(made.pack).first(kSegmentsOffset)));
  write_file(seeds + "listing/first", as_text(listing[0]));
  write_file(seeds + "listing/second", as_text(listing[1]));
  write_file(seeds + "group_trailer/group", as_text(group_plain()));
  for (const auto& [name, document] : {std::pair("stream", made.stream), std::pair("entry", made.entry0),
                                       std::pair("snapshot-entry", made.entry2), std::pair("receipt", made.receipt)}) {
    write_file(seeds + "signed_text/" + name, document);
  }
  write_file(seeds + "zstd_chunk/frame", as_text(from_hex(kFrame).take()));

  // What README.md of the samples and the pages of docs/formats show.
  const OpeningKey key = sample_key();
  const auto show = [](std::string_view name, ByteView bytes) {
    std::cout << "| " << name << " | `" << to_hex(bytes) << "` |\n";
  };
  show("realm", sample_realm().view());
  show("registry", key.id.registry.view());
  show("period secret A", secret_of("period secret 3").view());
  show("S_p", key.symmetric.view());
  show("x_p", key.decapsulation.view());
  show("X_p", sealing_half(key).encapsulation.view());
  show("dedup key D", secret_of("dedup key").view());
  show("pack", made.names[0].view());
  show("index", made.names[1].view());
  show("snapshot", made.names[2].view());
  show("group chunk", chunks.group.view());
  show("file hash of hello.txt", chunks.hello.view());
  show("content chunk", chunks.long_file.view());
  show("group plaintext", group_plain());
  show("directory", made.directory);
  show("index payload", made.index_payload);
  show("record", made.record);
  show("listing 1", listing[0]);
  show("listing 2", listing[1]);
  show("front of the pack", ByteView(made.pack).first(kSegmentsOffset));
  const auto pack_front = decode_front(made.pack).take();
  show("shared secret", crypto::x25519(key.decapsulation, pack_front.encapsulated).value().view());
  show("footer", ByteView(pack).last(kFooterBytes));
}

Bytes open_sample(std::string_view kind) {
  const ObjectName name = expected_name(kind);
  const std::string object = object_sample(object_path(name));
  EXPECT_EQ(name_of(as_bytes(object)), name);
  auto plain = open_object(sample_key(), sample_realm(), as_bytes(object));
  CHECK(plain.ok());
  return plain.take();
}

std::vector<ListingEntry> decode_all(const std::vector<Bytes>& listing) {
  std::vector<ListingEntry> entries;
  ListingDecoder decoder;
  for (const Bytes& chunk : listing) {
    const Status fed = decoder.feed(chunk, [&](ListingEntry entry) -> Status {
      entries.push_back(std::move(entry));
      return {};
    });
    CHECK(fed.ok());
  }
  CHECK(decoder.finish().ok());
  return entries;
}

TEST(format_samples, keys_are_the_ones_the_readme_lists) {
  EXPECT_EQ(sample_realm().hex(), expected("realm"));
  EXPECT_EQ(sample_key().id.registry.hex(), expected("registry"));
  EXPECT_EQ(to_hex(sample_key().symmetric.view()), expected("S_p"));
  EXPECT_EQ(to_hex(sample_key().decapsulation.view()), expected("x_p"));
  EXPECT_EQ(sealing_half(sample_key()).encapsulation.hex(), expected("X_p"));
  EXPECT_EQ(to_hex(secret_of("dedup key").view()), expected("dedup key D"));
}

TEST(format_samples, snapshot_is_read_and_means_what_it_meant_when_it_was_written) {
  const Bytes plain = open_sample("snapshot");
  const auto record = read_payload(plain, PlaintextType::Snapshot);
  ASSERT_TRUE(record.ok()) << record.error().message();
  const auto snapshot = decode_snapshot(record.value());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
  EXPECT_EQ(snapshot.value().dataset, "documents");
  EXPECT_EQ(snapshot.value().number, 7U);
  EXPECT_EQ(snapshot.value().source, "/srv/documents");
  EXPECT_EQ(snapshot.value().totals.bytes, 1'052'830U);
  ASSERT_EQ(snapshot.value().indexes.size(), 1U);
  EXPECT_EQ(snapshot.value().indexes[0].name, expected_name("index"));
  EXPECT_EQ(snapshot.value().listing.size(), 2U);
}

TEST(format_samples, index_says_what_the_directory_of_its_pack_says) {
  const Bytes plain = open_sample("index");
  const auto sections = read_index(plain);
  ASSERT_TRUE(sections.ok()) << sections.error().message();
  ASSERT_EQ(sections.value().size(), 1U);
  EXPECT_EQ(sections.value()[0].pack, expected_name("pack"));
  EXPECT_EQ(sections.value()[0].period.value(), 3U);
  const auto directory = read_pack_directory(open_sample("pack"));
  ASSERT_TRUE(directory.ok()) << directory.error().message();
  EXPECT_EQ(sections.value()[0].entries, directory.value());
}

TEST(format_samples, pack_holds_the_chunks_and_the_listing_of_the_tree) {
  SampleChunks chunks;
  const Bytes plain = open_sample("pack");
  const auto directory = read_pack_directory(plain).take();
  ASSERT_EQ(directory.size(), 4U);
  const auto stored = [&](std::size_t i) {
    return ByteView(plain).subspan(directory[i].offset, directory[i].stored_bytes);
  };
  EXPECT_TRUE(chunks.identifier.verify(ChunkKind::Group, stored(0), directory[0].id).ok());
  EXPECT_TRUE(equal(stored(0), group_plain()));
  EXPECT_EQ(directory[1].codec, ChunkCodec::Zstd);
  EXPECT_EQ(directory[1].id, chunks.long_file);
  EXPECT_EQ(decode_all({to_bytes(stored(2)), to_bytes(stored(3))}), sample_entries(chunks));
}

TEST(format_samples, totals_of_the_snapshot_are_those_of_its_listing) {
  SampleChunks chunks;
  SnapshotTotals totals;
  for (const ListingEntry& entry : sample_entries(chunks)) {
    totals.files += entry.type == EntryType::Regular ? 1 : 0;
    totals.directories += entry.type == EntryType::Directory ? 1 : 0;
    totals.bytes += entry.size;
    totals.unreadable += entry.problem == EntryProblem::None ? 0 : 1;
  }
  totals.others = sample_entries(chunks).size() - totals.files - totals.directories;
  EXPECT_EQ(totals, sample_snapshot(chunks, {}).totals);
}

TEST(format_samples, stream_entries_and_receipt_are_read_and_their_chain_is_unbroken) {
  const auto stream = SignedStream::parse(as_bytes(object_sample("stream.txt")), "sample");
  ASSERT_TRUE(stream.ok()) << stream.error().message();
  EXPECT_TRUE(stream.value().check_signature().ok());
  EXPECT_EQ(stream.value().descriptor.start, id_of<StreamStart>("start"));
  ChainHash chain = chain_start(stream.value().descriptor.id());
  const std::vector<std::string> kinds = {"pack", "index", "snapshot"};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto entry = SignedEntry::parse(as_bytes(object_sample("entry-" + std::to_string(i) + ".txt")), "sample");
    ASSERT_TRUE(entry.ok()) << entry.error().message();
    EXPECT_TRUE(entry.value().check_signature(stream.value().descriptor.writer).ok());
    EXPECT_EQ(entry.value().entry.index.value(), i);
    EXPECT_EQ(entry.value().entry.object, expected_name(kinds[i]));
    chain = next_chain(chain, entry.value().entry.object, entry.value().entry.snapshot_oldest);
    EXPECT_EQ(entry.value().entry.chain, chain);
  }
  const auto receipt = SignedReceipt::parse(as_bytes(object_sample("receipt.txt")), "sample");
  ASSERT_TRUE(receipt.ok()) << receipt.error().message();
  EXPECT_TRUE(receipt.value().check_signature().ok());
  EXPECT_EQ(receipt.value().receipt.chain, chain);
}

// If this fails and the tests above pass, the writer has changed: new objects must still be readable by old programs.
TEST(format_samples, are_still_written_byte_for_byte) {
  const Samples made = make_samples();
  EXPECT_EQ(made.names[0], expected_name("pack"));
  EXPECT_EQ(made.names[1], expected_name("index"));
  EXPECT_EQ(made.names[2], expected_name("snapshot"));
  EXPECT_EQ(made.stream, object_sample("stream.txt"));
  EXPECT_EQ(made.entry2, object_sample("entry-2.txt"));
  EXPECT_EQ(made.receipt, object_sample("receipt.txt"));
}

TEST(format_pages, object_page_shows_the_front_and_the_keys_of_the_sample_pack) {
  const std::string text = page("object.md");
  const Bytes front_bytes = testing::hex_in(text, "front");
  const std::string object = object_sample(object_path(expected_name("pack")));
  EXPECT_TRUE(equal(front_bytes, as_bytes(object).first(kSegmentsOffset)));
  const auto front = decode_front(front_bytes);
  ASSERT_TRUE(front.ok()) << front.error().message();
  EXPECT_EQ(front.value().header.key, testing::sample_key_id());
  const auto shared = crypto::x25519(sample_key().decapsulation, front.value().encapsulated);
  EXPECT_EQ(to_hex(shared.value().view()), value_in(text, "ss"));
  EXPECT_EQ(value_in(text, "name"), expected("pack"));
  EXPECT_TRUE(opening_cipher(sample_key(), sample_realm(), front.value()).ok());
}

TEST(format_pages, pack_page_shows_group_directory_footer_and_index_of_the_samples) {
  const std::string text = page("pack.md");
  SampleChunks chunks;
  EXPECT_TRUE(equal(testing::hex_in(text, "group"), group_plain()));
  EXPECT_EQ(value_in(text, "group chunk id"), chunks.group.hex());
  EXPECT_EQ(value_in(text, "content chunk id"), chunks.long_file.hex());
  EXPECT_EQ(value_in(text, "file hash of hello.txt"), chunks.hello.hex());
  const Bytes plain = open_sample("pack");
  Bytes tail = testing::hex_in(text, "directory");
  EXPECT_EQ(tail.size(), 4 * kDirectoryEntryBytes);
  append(tail, testing::hex_in(text, "footer"));
  EXPECT_TRUE(equal(tail, ByteView(plain).last(tail.size())));
  const Bytes section = testing::hex_in(text, "section-header");
  EXPECT_TRUE(equal(section, ByteView(open_sample("index")).first(kIndexSectionHeaderBytes)));
}

TEST(format_pages, snapshot_page_shows_the_record_of_the_sample) {
  const Bytes record = testing::hex_in(page("snapshot.md"), "record");
  SampleChunks chunks;
  EXPECT_TRUE(equal(record, encode_snapshot(sample_snapshot(chunks, expected_name("index")))));
}

TEST(format_pages, listing_page_shows_the_two_chunks_of_the_sample) {
  const std::string text = page("listing.md");
  SampleChunks chunks;
  EXPECT_EQ(decode_all({testing::hex_in(text, "chunk-1"), testing::hex_in(text, "chunk-2")}), sample_entries(chunks));
}

TEST(format_pages, stream_page_shows_the_documents_of_the_sample) {
  const std::string text = page("stream.md");
  EXPECT_EQ(testing::block_in(text, "text", "stream"), object_sample("stream.txt"));
  EXPECT_EQ(testing::block_in(text, "text", "entry"), object_sample("entry-2.txt"));
  EXPECT_EQ(testing::block_in(text, "text", "receipt"), object_sample("receipt.txt"));
  EXPECT_EQ(value_in(text, "stream id"),
            SignedStream::parse(as_bytes(object_sample("stream.txt")), "sample").value().descriptor.id().hex());
}

}  // namespace
}  // namespace exclave::format
