#include "wire/documents.h"

#include <gtest/gtest.h>

#include "policy/testing/realm.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::wire {
namespace {

using conformance::failed_with;
using conformance::must;
using policy::testing::machine_key;
using policy::testing::seeded_id;

const crypto::Ed25519SigningKey& writer() {
  static const crypto::Ed25519SigningKey key = machine_key("writer");
  return key;
}
const auto kRegistry = seeded_id<format::RegistryId>("land");

format::SignedStream stream(std::string_view start) {
  format::StreamDescriptor descriptor;
  descriptor.writer = writer().public_key();
  descriptor.registry = kRegistry;
  descriptor.era = format::EraNumber(1);
  descriptor.start = seeded_id<format::StreamStart>(start);
  return format::SignedStream::sign(descriptor, writer());
}

format::SignedReceipt receipt(const format::StreamId& id) {
  format::Receipt receipt;
  receipt.stream = id;
  receipt.policy = format::PolicyVersion(3);
  receipt.term = format::Term(1);
  receipt.durable_at_seconds = -5;
  return format::SignedReceipt::sign(receipt, writer());
}

TEST(Documents, status_reads_back) {
  store::VaultStatus status;
  status.name = "lux";
  status.policy = format::PolicyVersion(7);
  status.now_seconds = -3;
  status.free_bytes = 1'000;
  status.object_count = 2;
  status.unlisted_objects = 3;
  status.damaged_objects = 4;
  status.program = "exclave 0.1.0";
  status.readings = {{"est", 12, 3'145'728, -1}};
  const std::string document = status_document(status);
  EXPECT_EQ(document,
            "exclave/vault-status/v2\nname lux\npolicy 7\nnow -3\nfree 1000\nobjects 2\nunlisted 3\ndamaged 4\nprogram "
            "exclave 0.1.0\n"
            "read-by est\nread-objects 12\nread-bytes 3145728\nread-last -1\n");
  const auto parsed = must(parse_status(as_bytes(document)));
  EXPECT_EQ(status_document(parsed), document);
}

TEST(Documents, heads_read_back_with_and_without_receipts_and_next) {
  HeadsPage page;
  page.heads.push_back({stream("a"), 5, receipt(stream("a").descriptor.id())});
  page.heads.push_back({stream("b"), 0, std::nullopt});
  page.next = seeded_id<format::StreamId>("next");
  const std::string document = heads_document(kRegistry, page);
  const HeadsPage parsed = must(parse_heads(as_bytes(document), kRegistry));
  ASSERT_EQ(parsed.heads.size(), 2U);
  EXPECT_EQ(parsed.heads[0].stream.document(), page.heads[0].stream.document());
  EXPECT_EQ(parsed.heads[0].receipt->document(), page.heads[0].receipt->document());
  EXPECT_EQ(parsed.heads[0].entries, 5U);
  EXPECT_EQ(parsed.heads[1].receipt, std::nullopt);
  EXPECT_EQ(parsed.next, page.next);
  EXPECT_TRUE(
      failed_with(parse_heads(as_bytes(document), seeded_id<format::RegistryId>("people")), Code::InvalidInput));
  EXPECT_TRUE(must(parse_heads(as_bytes(heads_document(kRegistry, {})), kRegistry)).heads.empty());
}

TEST(Documents, a_page_of_too_many_heads_is_refused) {
  HeadsPage page;
  for (std::size_t i = 0; i < kHeadsPerPage; ++i) page.heads.push_back({stream("a"), 0, std::nullopt});
  EXPECT_TRUE(conformance::is_ok(parse_heads(as_bytes(heads_document(kRegistry, page)), kRegistry)));
  page.heads.push_back(page.heads.front());
  EXPECT_TRUE(failed_with(parse_heads(as_bytes(heads_document(kRegistry, page)), kRegistry), Code::InvalidInput));
}

TEST(Documents, entries_read_back_and_belong_to_the_stream) {
  const format::StreamId id = stream("a").descriptor.id();
  const format::Entry entry{id, format::EntryIndex(4), seeded_id<format::ObjectName>("o"),
                            seeded_id<format::ChainHash>("c"), format::PeriodNumber(2)};
  const std::string document =
      entries_document(id, {{format::SignedEntry::sign(entry, writer()), 262'144, -9, format::PeriodNumber(3)}});
  const auto parsed = must(parse_entries(as_bytes(document), id));
  ASSERT_EQ(parsed.size(), 1U);
  EXPECT_EQ(parsed[0].entry.document(), format::SignedEntry::sign(entry, writer()).document());
  EXPECT_EQ(parsed[0].object_bytes, 262'144U);
  EXPECT_EQ(parsed[0].retain_until_seconds, -9);
  EXPECT_EQ(parsed[0].period, format::PeriodNumber(3));
  std::string no_period = document;
  no_period.replace(no_period.find("period 3"), 8, "period 4294967296");
  EXPECT_TRUE(failed_with(parse_entries(as_bytes(no_period), id), Code::InvalidInput));
  const auto other = stream("b").descriptor.id();
  EXPECT_TRUE(failed_with(parse_entries(as_bytes(document), other), Code::InvalidInput));
  std::string smuggled = document;
  smuggled.replace(smuggled.find(id.hex()), 64, other.hex());
  EXPECT_TRUE(failed_with(parse_entries(as_bytes(smuggled), other), Code::InvalidInput))
      << "an entry of another stream inside";
}

store::OpenSegment marked_segment() {
  const format::SegmentPlace place{seeded_id<format::StreamId>("marked"), format::EntryIndex(9)};
  const format::Mark mark{place, 8192, 4, seeded_id<crypto::Hash256>("prefix"), 1'800'000'000};
  return {place.stream, place.index, 20, 12288, false, format::SignedMark::sign(mark, machine_key("writer"))};
}

TEST(Documents, open_segments_read_back_and_impossible_ones_are_refused) {
  const std::vector<store::OpenSegment> segments = {
      {seeded_id<format::StreamId>("one"), format::EntryIndex(7), 18, 8192, true, {}},
      marked_segment(),
      {seeded_id<format::StreamId>("two"), format::EntryIndex(0), 24, std::uint64_t{1} << 24}};
  EXPECT_EQ(must(parse_segments(as_bytes(segments_document(kRegistry, segments)), kRegistry)), segments);
  EXPECT_TRUE(must(parse_segments(as_bytes(segments_document(kRegistry, {})), kRegistry)).empty());
  for (const store::OpenSegment& wrong :
       {store::OpenSegment{{}, {}, 19, 0}, store::OpenSegment{{}, {}, 18, (1 << 18) + 4096},
        store::OpenSegment{{}, {}, 18, 4095}}) {
    EXPECT_TRUE(
        failed_with(parse_segments(as_bytes(segments_document(kRegistry, {wrong})), kRegistry), Code::InvalidInput));
  }
  store::OpenSegment other = marked_segment();
  other.index = format::EntryIndex(8);
  EXPECT_TRUE(
      failed_with(parse_segments(as_bytes(segments_document(kRegistry, {other})), kRegistry), Code::InvalidInput))
      << "another segment's mark";
}

TEST(Documents, acts_and_quota_read_back) {
  const std::vector<store::Act> acts = {{"policy", seeded_id<crypto::Hash256>("p")},
                                        {"era", seeded_id<crypto::Hash256>("e")}};
  const auto parsed = must(parse_acts(as_bytes(acts_document(acts))));
  ASSERT_EQ(parsed.size(), 2U);
  EXPECT_EQ(parsed[1].kind, "era");
  EXPECT_EQ(parsed[1].hash, acts[1].hash);
  EXPECT_TRUE(must(parse_acts(as_bytes(acts_document({})))).empty());
  const auto quota = must(parse_quota(as_bytes(quota_document(kRegistry, {5, 9})), kRegistry));
  EXPECT_EQ(quota.used_bytes, 5U);
  EXPECT_EQ(quota.quota_bytes, 9U);
}

TEST(Documents, another_kind_another_version_and_trailing_fields_are_refused) {
  const std::string quota = quota_document(kRegistry, {5, 9});
  EXPECT_TRUE(failed_with(parse_acts(as_bytes(quota)), Code::InvalidInput));
  EXPECT_TRUE(failed_with(parse_quota(as_bytes(quota + "more 1\n"), kRegistry), Code::InvalidInput));
  EXPECT_TRUE(failed_with(parse_quota(as_bytes(quota + "\nsignature x AAAA\n"), kRegistry), Code::InvalidInput));
  std::string newer = quota;
  newer.replace(newer.find("/v1"), 3, "/v2");
  EXPECT_TRUE(failed_with(parse_quota(as_bytes(newer), kRegistry), Code::Unsupported));
  EXPECT_TRUE(failed_with(parse_acts(as_bytes("exclave/acts/v1\nrecipe 00\n")), Code::InvalidInput));
}

}  // namespace
}  // namespace exclave::wire
