#include "format/signed_text.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

#include "crypto/signature.h"
#include "format/testing/samples.h"

namespace exclave::format {
namespace {

constexpr std::string_view kDomain = "exclave/example/v1";

Result<TextReader> open(const std::string& document) {
  return TextReader::open(as_bytes(document), kDomain, "letter");
}

struct Refusal {
  std::string document;
  std::string message;
};

// The code points that the format page lists, "U+0600-0605" for several.
std::set<std::uint32_t> unseen_by_the_page() {
  std::ifstream file(std::string(EXCLAVE_SOURCE_DIR) + "/docs/formats/signed-text.md");
  std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t begin = page.find("## What cannot stand in a value");
  CHECK(begin != std::string::npos);
  page = page.substr(begin, page.find("\n## ", begin + 1) - begin);
  std::set<std::uint32_t> code_points;
  for (std::size_t at = page.find("U+0000-"); at != std::string::npos; at = page.find("U+", at + 1)) {
    std::size_t end = 0;
    const unsigned long first = std::stoul(page.substr(at + 2, 6), &end, 16);
    const std::size_t after = at + 2 + end;
    const unsigned long last = page[after] == '-' ? std::stoul(page.substr(after + 1, 6), nullptr, 16) : first;
    for (unsigned long each = first; each <= last; ++each) code_points.insert(static_cast<std::uint32_t>(each));
  }
  return code_points;
}

std::string utf8(std::uint32_t code_point) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  const auto tail = [&](unsigned shift) { return byte(0x80 | (code_point >> shift & 0x3f)); };
  if (code_point < 0x80) return {byte(code_point)};
  if (code_point < 0x800) return {byte(0xc0 | code_point >> 6), tail(0)};
  if (code_point < 0x10000) return {byte(0xe0 | code_point >> 12), tail(6), tail(0)};
  return {byte(0xf0 | code_point >> 18), tail(12), tail(6), tail(0)};
}

TEST(signed_text, text_value_refuses_what_cannot_be_seen) {
  const std::set<std::uint32_t> unseen = unseen_by_the_page();
  ASSERT_GT(unseen.size(), 4096U);
  for (std::uint32_t code_point = 0; code_point < 0x110000; ++code_point) {
    if (code_point >= 0xd800 && code_point < 0xe000) continue;  // surrogates are no UTF-8
    ASSERT_EQ(is_valid_text_value("a" + utf8(code_point) + "b"), unseen.count(code_point) == 0) << code_point;
  }
  for (const char* value : {"a\xd8\x9c", "\xe2\x80\x8b", "\xe2\x80\x8f", "\xe2\x81\xa0", "\xef\xbb\xbf", "\xc2\xad",
                            "\xe3\x85\xa4", "\xc2\xa0", "\xf3\xa0\x81\x81"}) {
    EXPECT_FALSE(is_valid_text_value(value));
  }
}

TEST(signed_text, documents_outside_the_grammar_are_refused_with_the_line) {
  const std::string head = std::string(kDomain) + "\n";
  const std::vector<Refusal> refusals = {
      {"", "line 1: is not an exclave/example/v1 document"},
      {"exclave/example/v1", "line 1: is not an exclave/example/v1 document"},
      {"exclave/other/v1\na b\n", "line 1: is not an exclave/example/v1 document"},
      {" exclave/example/v1\n", "line 1: is not an exclave/example/v1 document"},
      {head + "a b", "line 2: does not end with a line feed"},
      {head + "a b\n\n", "line 3: has an empty line without signatures after it"},
      {head + "a b\n\nsignature x QQ==\n\nsignature x QQ==\n", "line 5: has a second empty line"},
      {head + "\n\n", "line 3: has a second empty line"},
      {head + "alone\n", "line 2: has no value"},
      {head + "a b\nA b\n", "line 3: has an ill-formed key"},
      {head + " a b\n", "line 2: has an ill-formed key"},
      {head + "a_b c\n", "line 2: has an ill-formed key"},
      {head + std::string(65, 'k') + " v\n", "line 2: has an ill-formed key"},
      {head + "a \n", "line 2: has an ill-formed value"},
      {head + "a  b\n", "line 2: has an ill-formed value"},
      {head + "a b \n", "line 2: has an ill-formed value"},
      {head + "a b\r\n", "line 2: has an ill-formed value"},
      {head + "a b\tc\n", "line 2: has an ill-formed value"},
      {head + std::string("a b\0c\n", 6), "line 2: has an ill-formed value"},
      {head + "a \xff\n", "line 2: has an ill-formed value"},
      {head + "a x\xe2\x80\xaey\n", "line 2: has an ill-formed value"},
      {head + "a " + std::string(8193, 'v') + "\n", "line 2: has an ill-formed value"},
      {head + "a b\n\na b\n", "line 4: is not a signature line"},
      {head + "a b\n\nsignature alone\n", "line 4: is not a signature line"},
      {head + "a b\n\nsignature Mallory QQ==\n", "line 4: has an ill-formed signer"},
      {head + "a b\n\nsignature " + std::string(65, 'm') + " QQ==\n", "line 4: has an ill-formed signer"},
      {head + "a b\n\nsignature x Q\n", "line 4: holds a signature that is not base64"},
      {head + "a b\n\nsignature x QR==\n", "line 4: holds a signature that is not base64"},
      {head + "a b\n\nsignature x  QQ==\n", "line 4: holds a signature that is not base64"},
      {head + "a b\n\nsignature x QQ== \n", "line 4: has an ill-formed value"},
  };
  for (const Refusal& refusal : refusals) {
    const auto reader = open(refusal.document);
    ASSERT_FALSE(reader.ok()) << refusal.document;
    EXPECT_EQ(reader.error().code(), Code::InvalidInput);
    EXPECT_EQ(reader.error().message(), "letter: " + refusal.message);
  }
}

TEST(signed_text, another_version_of_a_known_domain_is_unsupported) {
  const auto reader = open("exclave/example/v2\na b\n");
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error().code(), Code::Unsupported);
}

TEST(signed_text, a_document_above_4_mib_is_refused) {
  std::string document = std::string(kDomain) + "\n";
  while (document.size() + 8003 <= (4U << 20)) document += "a " + std::string(8000, 'v') + "\n";
  EXPECT_TRUE(open(document).ok());
  document += "a " + std::string(8000, 'v') + "\n";
  EXPECT_FALSE(open(document).ok());
}

TEST(signed_text, fields_come_in_the_order_that_the_reader_asks_for) {
  const std::string document = std::string(kDomain) + "\nname x\ncount 3\n";
  auto reader = open(document).take();
  EXPECT_FALSE(reader.next_is("count"));
  const auto misplaced = reader.field("count");
  ASSERT_FALSE(misplaced.ok());
  EXPECT_EQ(misplaced.error().message(), "letter: line 2: expected 'count', found 'name'");
  EXPECT_EQ(reader.field("name").value(), "x");
  const Status early = reader.end();
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.error().message(), "letter: line 3: unexpected field 'count'");
  EXPECT_EQ(reader.number("count").value(), 3U);
  EXPECT_TRUE(reader.end().ok());
  const auto missing = reader.field("more");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().message(), "letter: line 4: expected 'more', found the end");
}

TEST(signed_text, numbers_have_one_spelling) {
  for (const std::string value : {"03", "+3", "-3", "3x", "0x3", "18446744073709551616", "3.0"}) {
    auto reader = open(std::string(kDomain) + "\ncount " + value + "\n").take();
    const auto number = reader.number("count");
    ASSERT_FALSE(number.ok()) << value;
    EXPECT_TRUE(number.error().message().starts_with("letter: line 2: ")) << number.error().message();
  }
  auto largest = open(std::string(kDomain) + "\ncount 18446744073709551615\n").take();
  EXPECT_EQ(largest.number("count").value(), ~std::uint64_t{0});
}

TEST(signed_text, what_the_writer_writes_the_reader_reads_back) {
  std::string document = TextWriter(kDomain).field("name", "Grüße").field("count", 7).text();
  const std::string text = document;
  append_signature(document, "first", Bytes{1, 2, 3});
  append_signature(document, "second", Bytes{4});
  auto reader = open(document);
  ASSERT_TRUE(reader.ok()) << reader.error().message();
  EXPECT_EQ(as_text(reader.value().signed_bytes()), text);
  ASSERT_EQ(reader.value().signatures().size(), 2U);
  EXPECT_EQ(reader.value().signatures()[0].signer, "first");
  EXPECT_EQ(reader.value().signatures()[1].value, Bytes{4});
  EXPECT_EQ(reader.value().field("name").value(), "Grüße");
  EXPECT_EQ(domain_of(as_bytes(document)), kDomain);
}

TEST(signed_text, names_have_1_to_63_characters_and_do_not_begin_with_a_hyphen) {
  EXPECT_TRUE(is_valid_name("a"));
  EXPECT_TRUE(is_valid_name("7-lux"));
  EXPECT_TRUE(is_valid_name(std::string(63, 'a')));
  for (const std::string name : {"", "-a", "A", "a b", "a.b", "../a", "é"}) EXPECT_FALSE(is_valid_name(name)) << name;
  EXPECT_FALSE(is_valid_name(std::string(64, 'a')));
  EXPECT_TRUE(check_name("vault", "lux").ok());
  EXPECT_FALSE(check_name("vault", "Lux").ok());
}

TEST(signed_text, page_shows_a_document_whose_signature_is_right) {
  const std::string document = testing::block_in(testing::page("signed-text.md"), "text", "example");
  auto reader = open(document);
  ASSERT_TRUE(reader.ok()) << reader.error().message();
  EXPECT_EQ(reader.value().field("name").value(), "Grüße aus Lissabon");
  EXPECT_EQ(reader.value().number("count").value(), 3U);
  EXPECT_EQ(reader.value().field("item").value(), "one");
  EXPECT_EQ(reader.value().field("item").value(), "two words");
  EXPECT_TRUE(reader.value().end().ok());
  ASSERT_EQ(reader.value().signatures().size(), 1U);
  const auto seed = crypto::Secret<32>::from_view(
      from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").value());
  const auto key = crypto::Ed25519SigningKey::from_seed(seed).public_key();
  const auto signature = crypto::Ed25519Signature::from_view(reader.value().signatures()[0].value);
  EXPECT_TRUE(crypto::verify(key, reader.value().signed_bytes(), signature).ok());
}

}  // namespace
}  // namespace exclave::format
