#include "format/stream.h"

#include <gtest/gtest.h>

#include "format/testing/samples.h"

namespace exclave::format {
namespace {

using testing::id_of;

const crypto::Ed25519SigningKey& writer() {
  static const auto key = crypto::Ed25519SigningKey::from_seed(testing::secret_of("stream test writer"));
  return key;
}

StreamDescriptor a_descriptor() {
  return {.realm = id_of<RealmId>("realm"),
          .writer = writer().public_key(),
          .registry = id_of<RegistryId>("registry"),
          .era = EraNumber(2),
          .kind = StreamKind::Objects,
          .start = id_of<StreamStart>("start")};
}
Entry an_entry() {
  return {a_descriptor().id(), EntryIndex(9), id_of<ObjectName>("object"), id_of<ChainHash>("chain"), PeriodNumber(4)};
}
Receipt a_receipt() {
  return {.vault = writer().public_key(),
          .realm = id_of<RealmId>("realm"),
          .policy = PolicyVersion(3),
          .stream = a_descriptor().id(),
          .index = EntryIndex(9),
          .chain = id_of<ChainHash>("chain"),
          .term = Term(1),
          .durable_at_seconds = 1'800'000'000};
}

Reading a_reading() {
  return {.realm = id_of<RealmId>("realm"),
          .reader = writer().public_key(),
          .holder = id_of<crypto::Ed25519PublicKey>("holder"),
          .object = id_of<ObjectName>("object"),
          .at_seconds = 1'800'000'200};
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  CHECK(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

// Every document that differs from `document` in one field's value and still parses fails its signature.
template <typename Parse, typename CheckSignature>
void expect_every_altered_field_is_refused(const std::string& document, Parse parse, CheckSignature check) {
  ASSERT_TRUE(check(parse(document).value()).ok());
  std::size_t altered = 0;
  for (std::size_t at = document.find('\n') + 1; document[at] != '\n'; at = document.find('\n', at) + 1) {
    const std::size_t last = document.find('\n', at) - 1;
    for (const char c : std::string_view("0123456789abcdef")) {
      if (c == document[last]) continue;
      std::string changed = document;
      changed[last] = c;
      const auto read = parse(changed);
      if (!read.ok()) continue;
      ++altered;
      const Status checked = check(read.value());
      ASSERT_FALSE(checked.ok()) << changed;
      EXPECT_EQ(checked.error().code(), Code::Corrupt);
    }
  }
  EXPECT_GT(altered, 20U);
}

TEST(stream, descriptor_round_trips_and_its_id_is_the_hash_of_its_text) {
  const SignedStream stream = SignedStream::sign(a_descriptor(), writer());
  const auto read = SignedStream::parse(as_bytes(stream.document()), "stream");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_TRUE(read.value().check_signature().ok());
  EXPECT_EQ(read.value().descriptor.text(), a_descriptor().text());
  EXPECT_EQ(read.value().descriptor.id().array(), crypto::sha256(as_bytes(a_descriptor().text())).array());
}

TEST(stream, entry_and_receipt_round_trip) {
  const auto entry = SignedEntry::parse(as_bytes(SignedEntry::sign(an_entry(), writer()).document()), "entry");
  ASSERT_TRUE(entry.ok()) << entry.error().message();
  EXPECT_EQ(entry.value().entry.text(), an_entry().text());
  EXPECT_TRUE(entry.value().check_signature(writer().public_key()).ok());
  Receipt early = a_receipt();
  early.durable_at_seconds = -1;
  for (const Receipt& receipt : {a_receipt(), early}) {
    const auto read = SignedReceipt::parse(as_bytes(SignedReceipt::sign(receipt, writer()).document()), "receipt");
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(read.value().receipt.text(), receipt.text());
    EXPECT_TRUE(read.value().check_signature().ok());
  }
}

TEST(stream, every_altered_field_of_a_descriptor_fails_its_signature) {
  expect_every_altered_field_is_refused(
      SignedStream::sign(a_descriptor(), writer()).document(),
      [](const std::string& text) { return SignedStream::parse(as_bytes(text), "stream"); },
      [](const SignedStream& stream) { return stream.check_signature(); });
}

TEST(stream, every_altered_field_of_an_entry_fails_its_signature) {
  expect_every_altered_field_is_refused(
      SignedEntry::sign(an_entry(), writer()).document(),
      [](const std::string& text) { return SignedEntry::parse(as_bytes(text), "entry"); },
      [](const SignedEntry& entry) { return entry.check_signature(writer().public_key()); });
}

TEST(stream, every_altered_field_of_a_receipt_fails_its_signature) {
  expect_every_altered_field_is_refused(
      SignedReceipt::sign(a_receipt(), writer()).document(),
      [](const std::string& text) { return SignedReceipt::parse(as_bytes(text), "receipt"); },
      [](const SignedReceipt& receipt) { return receipt.check_signature(); });
}

TEST(stream, a_reading_round_trips) {
  const SignedReading reading = SignedReading::sign(a_reading(), writer());
  const auto read = SignedReading::parse(as_bytes(reading.document()), "reading");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().reading.text(), a_reading().text());
  EXPECT_TRUE(read.value().check_signature().ok());
}

TEST(stream, every_altered_field_of_a_reading_fails_its_signature) {
  expect_every_altered_field_is_refused(
      SignedReading::sign(a_reading(), writer()).document(),
      [](const std::string& text) { return SignedReading::parse(as_bytes(text), "reading"); },
      [](const SignedReading& reading) { return reading.check_signature(); });
}

TEST(stream, the_snapshot_field_cannot_be_dropped_from_a_signed_entry) {
  const std::string document = SignedEntry::sign(an_entry(), writer()).document();
  const auto read = SignedEntry::parse(as_bytes(replaced(document, "snapshot 4\n", "")), "entry");
  ASSERT_TRUE(read.ok());
  EXPECT_FALSE(read.value().check_signature(writer().public_key()).ok());
}

TEST(stream, a_signature_by_another_key_is_refused) {
  const auto other = crypto::Ed25519SigningKey::from_seed(testing::secret_of("other writer"));
  EXPECT_FALSE(SignedStream::sign(a_descriptor(), other).check_signature().ok());
  EXPECT_FALSE(SignedEntry::sign(an_entry(), other).check_signature(writer().public_key()).ok());
  EXPECT_FALSE(SignedReceipt::sign(a_receipt(), other).check_signature().ok());
}

TEST(stream, documents_out_of_the_grammar_are_refused) {
  const std::string stream = SignedStream::sign(a_descriptor(), writer()).document();
  for (const std::string& wrong :
       {replaced(stream, "era 2", "era 0"), replaced(stream, "era 2", "era 4294967296"),
        replaced(stream, "kind objects", "kind diary"), replaced(stream, "era 2\n", ""),
        replaced(stream, "era 2\n", "era 2\nera 2\n"), replaced(stream, "signature writer", "signature vault"),
        stream.substr(0, stream.find("\n\n") + 1), stream + stream.substr(stream.find("signature")),
        replaced(stream, "start ", "start 00")}) {
    EXPECT_FALSE(SignedStream::parse(as_bytes(wrong), "stream").ok()) << wrong;
  }
  const std::string entry = SignedEntry::sign(an_entry(), writer()).document();
  for (const std::string& wrong :
       {replaced(entry, "snapshot 4", "snapshot 4294967295"), replaced(entry, "snapshot 4", "snapshot -1"),
        replaced(entry, "index 9", "index 09"), replaced(entry, "exclave/entry", "exclave/receipt")}) {
    EXPECT_FALSE(SignedEntry::parse(as_bytes(wrong), "entry").ok()) << wrong;
  }
  const std::string receipt = SignedReceipt::sign(a_receipt(), writer()).document();
  for (const std::string& wrong :
       {replaced(receipt, "durable-at 1800000000", "durable-at -0"),
        replaced(receipt, "durable-at 1800000000", "durable-at 9223372036854775808"),
        replaced(receipt, "signature vault", "signature writer"), replaced(receipt, "term 1\n", "")}) {
    EXPECT_FALSE(SignedReceipt::parse(as_bytes(wrong), "receipt").ok()) << wrong;
  }
}

TEST(chain, is_sha256_of_previous_name_and_note) {
  const ChainHash start = chain_start(a_descriptor().id());
  EXPECT_EQ(start.array(), a_descriptor().id().array());
  const ObjectName name = id_of<ObjectName>("object");
  Bytes message = to_bytes(start.view());
  append(message, name.view());
  append(message, Bytes{0xff, 0xff, 0xff, 0xff});
  EXPECT_EQ(next_chain(start, name, std::nullopt).array(), crypto::sha256(message).array());
  message.resize(64);
  append(message, Bytes{0, 0, 1, 2});
  EXPECT_EQ(next_chain(start, name, PeriodNumber(258)).array(), crypto::sha256(message).array());
}

TEST(chain, binds_the_order_the_names_and_the_notes_of_all_entries) {
  const ChainHash start = chain_start(a_descriptor().id());
  const ObjectName a = id_of<ObjectName>("a");
  const ObjectName b = id_of<ObjectName>("b");
  const ChainHash ab = next_chain(next_chain(start, a, std::nullopt), b, std::nullopt);
  EXPECT_NE(ab, next_chain(next_chain(start, b, std::nullopt), a, std::nullopt));
  EXPECT_NE(ab, next_chain(next_chain(start, a, PeriodNumber(0)), b, std::nullopt));
  EXPECT_NE(ab, next_chain(next_chain(chain_start(id_of<StreamId>("other")), a, std::nullopt), b, std::nullopt));
}

}  // namespace
}  // namespace exclave::format
