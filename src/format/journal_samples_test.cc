// The frozen sample of a journal: one segment with two frames, its stream and entry. Written once by
// DISABLED_wrote_the_journal_sample_like_this, never again; every later build must read it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "format/journal.h"
#include "format/mark.h"
#include "format/testing/samples.h"

namespace exclave::format {
namespace {

using testing::id_of;
using testing::page;
using testing::repository_file;
using testing::sample_key;
using testing::sample_key_id;
using testing::sample_realm;
using testing::secret_of;
using testing::value_in;

constexpr std::string_view kJournalFolder = "testdata/format/journal/";
constexpr std::string_view kFirst = "first frame of the journal\n";

Bytes second_plain() {
  std::string text;
  for (int i = 0; text.size() < 5000; ++i) text += "record " + std::to_string(i) + "\n";
  return to_bytes(std::string_view(text).substr(0, 5000));
}

StreamDescriptor sample_stream() {
  const auto writer = crypto::Ed25519SigningKey::from_seed(secret_of("writer"));
  return {.realm = sample_realm(),
          .writer = writer.public_key(),
          .registry = sample_key_id().registry,
          .era = EraNumber(1),
          .kind = StreamKind::Journal,
          .start = id_of<StreamStart>("journal start")};
}

struct Sample {
  std::string stream;
  std::string entry;
  std::string mark;          // as it was before the entry: of both frames
  std::string mark_receipt;  // a vault's for that
  Bytes segment;
};
Sample make_sample() {
  const auto writer = crypto::Ed25519SigningKey::from_seed(secret_of("writer"));
  const StreamDescriptor descriptor = sample_stream();
  Sample sample;
  sample.stream = SignedStream::sign(descriptor, writer).document();
  auto sealer = SegmentSealer::open(sealing_half(sample_key()), sample_realm(), {descriptor.id(), EntryIndex(0)}, 18,
                                    secret_of("ephemeral journal"))
                    .take();
  sample.segment.resize(object_bytes(18));
  std::copy(sealer.front().begin(), sealer.front().end(), sample.segment.begin());
  const MutableByteView bytes(sample.segment);
  CHECK(sealer.seal(FrameNumber(0), as_bytes(kFirst), secret_of("frame 0"), bytes.subspan(sealer.end())).ok());
  CHECK(sealer.seal(FrameNumber(1), second_plain(), secret_of("frame 1"), bytes.subspan(sealer.end())).ok());
  const ObjectName name = name_of(sample.segment);
  const ChainHash chain = next_chain(chain_start(descriptor.id()), name, {});
  sample.entry = SignedEntry::sign({descriptor.id(), EntryIndex(0), name, chain, {}}, writer).document();
  Mark mark;
  mark.place = {descriptor.id(), EntryIndex(0)};
  mark.end = sealer.end();
  mark.frames = 2;
  mark.hash = crypto::sha256(ByteView(sample.segment).first(static_cast<std::size_t>(mark.end)));
  mark.at_seconds = 1'800'000'200;
  sample.mark = SignedMark::sign(mark, writer).document();
  const auto vault = crypto::Ed25519SigningKey::from_seed(secret_of("vault"));
  sample.mark_receipt = SignedMarkReceipt::sign({.vault = vault.public_key(),
                                                 .realm = sample_realm(),
                                                 .policy = PolicyVersion(1),
                                                 .place = mark.place,
                                                 .end = mark.end,
                                                 .hash = mark.hash,
                                                 .term = Term(1),
                                                 .durable_at_seconds = 1'800'000'201},
                                                vault)
                            .document();
  return sample;
}

std::string journal_sample(std::string_view name) {
  return repository_file(std::string(kJournalFolder) + std::string(name));
}

TEST(JournalSample, DISABLED_wrote_the_journal_sample_like_this) {
  const auto write = [](const std::string& path, std::string_view bytes) {
    const std::string whole = std::string(EXCLAVE_SOURCE_DIR) + "/" + path;
    std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
    std::ofstream(whole, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  };
  const Sample made = make_sample();
  write(std::string(kJournalFolder) + "stream.txt", made.stream);
  write(std::string(kJournalFolder) + "entry-0.txt", made.entry);
  write(std::string(kJournalFolder) + "mark.txt", made.mark);
  write(std::string(kJournalFolder) + "mark-receipt.txt", made.mark_receipt);
  write(std::string(kJournalFolder) + "segment-0", as_text(made.segment));
  write("fuzz/seeds/signed_text/mark", made.mark);
  write("fuzz/seeds/signed_text/mark-receipt", made.mark_receipt);
  write("fuzz/seeds/journal/segment", as_text(ByteView(made.segment).first(5 * kFrameStep)));
  std::cout << "| name | `" << name_of(made.segment).hex() << "` |\n";
  std::cout << to_hex(ByteView(made.segment).first(152)) << "\n";
  std::cout << to_hex(ByteView(made.segment).subspan(4096, 80)) << "\n";
}

TEST(JournalSample, the_frozen_segment_opens) {
  const std::string segment = journal_sample("segment-0");
  const auto stream = SignedStream::parse(as_bytes(journal_sample("stream.txt")), "stream");
  ASSERT_TRUE(stream.ok());
  EXPECT_TRUE(stream.value().check_signature().ok());
  EXPECT_EQ(stream.value().descriptor.kind, StreamKind::Journal);
  EXPECT_EQ(stream.value().document(), journal_sample("stream.txt"));
  const auto entry = SignedEntry::parse(as_bytes(journal_sample("entry-0.txt")), "entry");
  ASSERT_TRUE(entry.ok());
  EXPECT_TRUE(entry.value().check_signature(stream.value().descriptor.writer).ok());
  EXPECT_EQ(entry.value().entry.object, name_of(as_bytes(segment)));
  std::vector<Bytes> frames;
  const Status opened =
      open_segment(sample_key(), sample_realm(), {stream.value().descriptor.id(), EntryIndex(0)}, as_bytes(segment),
                   FrameNumber(0), [&](const SegmentOpener::Frame& frame) -> Status {
                     frames.push_back(frame.content);
                     return {};
                   });
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(as_text(frames[0]), kFirst);
  EXPECT_EQ(frames[1], second_plain());
}

TEST(JournalSample, this_build_still_makes_the_same_bytes) {
  const Sample made = make_sample();
  EXPECT_EQ(as_text(made.segment), journal_sample("segment-0"));
  EXPECT_EQ(made.entry, journal_sample("entry-0.txt"));
  EXPECT_EQ(made.stream, journal_sample("stream.txt"));
  EXPECT_EQ(made.mark, journal_sample("mark.txt"));
  EXPECT_EQ(made.mark_receipt, journal_sample("mark-receipt.txt"));
}

TEST(JournalSample, the_frozen_mark_and_its_receipt_are_read_and_are_of_the_segment) {
  const std::string segment = journal_sample("segment-0");
  const auto stream = SignedStream::parse(as_bytes(journal_sample("stream.txt")), "stream");
  const auto mark = SignedMark::parse(as_bytes(journal_sample("mark.txt")), "mark");
  ASSERT_TRUE(stream.ok() && mark.ok());
  EXPECT_EQ(mark.value().document(), journal_sample("mark.txt"));
  EXPECT_TRUE(mark.value().check_signature(stream.value().descriptor.writer).ok());
  const Mark& said = mark.value().mark;
  EXPECT_EQ(said.place.stream, stream.value().descriptor.id());
  EXPECT_EQ(said.frames, scan_frames(as_bytes(segment).subspan(kSegmentFrontBytes)).last->value() + 1);
  EXPECT_EQ(said.hash, crypto::sha256(as_bytes(segment).first(static_cast<std::size_t>(said.end))));
  const auto receipt = SignedMarkReceipt::parse(as_bytes(journal_sample("mark-receipt.txt")), "mark receipt");
  ASSERT_TRUE(receipt.ok());
  EXPECT_EQ(receipt.value().document(), journal_sample("mark-receipt.txt"));
  EXPECT_TRUE(receipt.value().check_signature().ok());
  EXPECT_EQ(receipt.value().receipt.hash, said.hash);
}

TEST(JournalSample, marks_that_no_frame_can_have_are_refused) {
  const std::string good = journal_sample("mark.txt");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    CHECK(at != std::string::npos);
    text.replace(at, from.size(), to);
    return SignedMark::parse(as_bytes(text), "mark");
  };
  EXPECT_TRUE(with("end 16384", "end 8192").ok()) << "this only shows that the text has such a line";
  for (const char* const end : {"end 0", "end 4096", "end 16385", "end 33554432", "end 016384"}) {
    EXPECT_FALSE(with("end 16384", end).ok()) << end;
  }
  EXPECT_FALSE(with("frames 2", "frames 0").ok());
  EXPECT_FALSE(with("at 18", "at x").ok());
  EXPECT_FALSE(with("hash ", "hash 0").ok());
  EXPECT_FALSE(with("signature writer", "signature vault").ok());
}

TEST(JournalSample, the_page_shows_its_front_its_first_frame_and_its_marks) {
  const std::string segment = journal_sample("segment-0");
  const Bytes front = testing::hex_in(page("journal.md"), "front");
  EXPECT_EQ(as_text(front), segment.substr(0, 152));
  const Bytes frame = testing::hex_in(page("journal.md"), "frame");
  EXPECT_EQ(as_text(frame), segment.substr(4096, 80));
  EXPECT_EQ(testing::block_in(page("journal.md"), "text", "mark"), journal_sample("mark.txt"));
  EXPECT_EQ(testing::block_in(page("journal.md"), "text", "mark-receipt"), journal_sample("mark-receipt.txt"));
  EXPECT_EQ(value_in(page("journal.md"), "name"), name_of(as_bytes(segment)).hex());
  EXPECT_EQ(value_in(page("journal.md"), "content of frame 0"), to_hex(as_bytes(kFirst)));
  EXPECT_EQ(value_in(page("journal.md"), "stream id"), sample_stream().id().hex());
}

}  // namespace
}  // namespace exclave::format
