#include "base/text.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace exclave {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(TextTest, numbers_up_to_their_limits_are_parsed) {
  EXPECT_EQ(parse_u64("0").value(), 0U);
  EXPECT_EQ(parse_u64("18446744073709551615").value(), 18'446'744'073'709'551'615U);
  EXPECT_EQ(parse_u32("4294967295").value(), 4'294'967'295U);
  EXPECT_EQ(parse_i64("-9223372036854775808").value(), INT64_MIN);
  EXPECT_EQ(parse_i64("9223372036854775807").value(), INT64_MAX);
  EXPECT_EQ(parse_i64("-1").value(), -1);
}

TEST(TextTest, numbers_have_one_spelling) {
  for (const char* wrong : {"", " ", "00", "01", "+1", "-1", "-0", " 1", "1 ", "1\n", "0x1", "1e3", "1.0", "1_000",
                            "18446744073709551616", "99999999999999999999999", "abc", "1a", "\xd9\xa1"}) {
    const auto result = parse_u64(wrong);
    ASSERT_FALSE(result.ok()) << wrong;
    EXPECT_EQ(result.error().code(), Code::InvalidInput);
  }
  EXPECT_FALSE(parse_u64(std::string_view("1\0", 2)).ok());
  EXPECT_FALSE(parse_u32("4294967296").ok());
  for (const char* wrong : {"-0", "--1", "- 1", "-01", "+1", "9223372036854775808", "-9223372036854775809"}) {
    EXPECT_FALSE(parse_i64(wrong).ok()) << wrong;
  }
}

TEST(TextTest, wrong_number_is_named_without_its_control_characters) {
  EXPECT_EQ(parse_u64("a\x1b").error().message(), "'a\\x1b' is not a whole number in range");
}

TEST(TextTest, split_keeps_empty_parts) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split("a,b", ','), (Parts{"a", "b"}));
  EXPECT_EQ(split("", ','), (Parts{""}));
  EXPECT_EQ(split(",", ','), (Parts{"", ""}));
  EXPECT_EQ(split(",a,,b,", ','), (Parts{"", "a", "", "b", ""}));
}

TEST(TextTest, bytes_are_printed_with_three_digits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1'000), "1.00 kB");
  EXPECT_EQ(human_bytes(1'364'000'000), "1.36 GB");
  EXPECT_EQ(human_bytes(12'340'000), "12.3 MB");
  EXPECT_EQ(human_bytes(123'400'000), "123 MB");
}

TEST(TextTest, bytes_are_rounded_into_the_next_unit) {
  EXPECT_EQ(human_bytes(9'994), "9.99 kB");
  EXPECT_EQ(human_bytes(9'996), "10.0 kB");
  EXPECT_EQ(human_bytes(99'960), "100 kB");
  EXPECT_EQ(human_bytes(999'499), "999 kB");
  EXPECT_EQ(human_bytes(999'500), "1.00 MB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "18.4 EB");
}

TEST(TextTest, durations_are_printed_in_the_unit_people_use) {
  EXPECT_EQ(human_duration(milliseconds(0)), "0 ms");
  EXPECT_EQ(human_duration(milliseconds(420)), "420 ms");
  EXPECT_EQ(human_duration(milliseconds(999)), "999 ms");
  EXPECT_EQ(human_duration(milliseconds(3'400)), "3.4 s");
  EXPECT_EQ(human_duration(milliseconds(99'900)), "99.9 s");
  EXPECT_EQ(human_duration(seconds(125)), "2 min 05 s");
  EXPECT_EQ(human_duration(seconds(3'599)), "59 min 59 s");
  EXPECT_EQ(human_duration(milliseconds(3'599'700)), "1 h 00 min");
  EXPECT_EQ(human_duration(hours(3) + minutes(7)), "3 h 07 min");
}

TEST(TextTest, printable_leaves_clean_text_alone) {
  for (const char* text : {"", "plain", "a b/c",
                           "Sch\xc3\xbc\xc3\x9f"
                           "el",
                           "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_EQ(printable(text), text);
    EXPECT_TRUE(is_clean_utf8(text)) << text;
  }
}

TEST(TextTest, printable_escapes_what_could_drive_a_terminal) {
  EXPECT_EQ(printable("a\nb\r\t"), "a\\x0ab\\x0d\\x09");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\x1b[31m\x7f"), "\\x1b[31m\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "C1: a one-character escape sequence start";
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae") << "right-to-left override";
  EXPECT_EQ(printable("\xe2\x81\xa6"), "\\xe2\\x81\\xa6") << "isolate";
  EXPECT_EQ(printable("\xe2\x80\xa8"), "\\xe2\\x80\\xa8") << "line separator";
}

TEST(TextTest, printable_escapes_invalid_utf8_byte_by_byte) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("a\x80z"), "a\\x80z");
  EXPECT_EQ(printable("\xc3"), "\\xc3") << "cut off";
  EXPECT_EQ(printable("\xc3("), "\\xc3(");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "overlong slash";
  EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf") << "overlong in three bytes";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond U+10FFFF";
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");
}

TEST(TextTest, printable_escapes_what_cannot_be_seen) {
  EXPECT_EQ(printable("pay\xe2\x80\x8broll"), "pay\\xe2\\x80\\x8broll") << "zero-width space";
  EXPECT_EQ(printable("a\xc2\xa0"), "a\\xc2\\xa0") << "no-break space";
  EXPECT_EQ(printable("\xf3\xa0\x81\x81"), "\\xf3\\xa0\\x81\\x81") << "a tag, U+E0041";
}

TEST(TextTest, two_names_never_print_alike) {
  // A name that spells an escape is not shown like the name that needs one.
  EXPECT_EQ(printable("a\\x0ab"), "a\\\\x0ab");
  std::set<std::string> shown;
  std::size_t names = 0;
  // Every name of up to six characters out of those that an escape is made of, and one that needs an escape.
  const std::string letters = "\\x0a\n";
  std::vector<std::string> last = {""};
  for (int length = 1; length <= 6; ++length) {
    std::vector<std::string> longer;
    for (const std::string& name : last) {
      for (const char letter : letters) longer.push_back(name + letter);
    }
    for (const std::string& name : longer) shown.insert(printable(name));
    names += longer.size();
    last = std::move(longer);
  }
  EXPECT_EQ(shown.size(), names);
}

TEST(TextTest, printable_output_is_always_clean) {
  // Every string of two bytes.
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second)};
      ASSERT_TRUE(is_clean_utf8(printable(text)));
      const bool is_plain = is_clean_utf8(text) && text.find('\\') == std::string::npos;
      ASSERT_EQ(is_plain, printable(text) == text);
    }
  }
}

}  // namespace
}  // namespace exclave
