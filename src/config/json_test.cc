#include "config/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace exclave::config {
namespace {

TEST(Json, values_are_printed_in_the_order_in_which_they_were_set) {
  Json json = Json::object();
  json.set("zulu", 1).set("alpha", "two").set("list", Json::array().push(true).push(Json()).push(-3).push(1.5));
  json.set("empty", Json::object());
  EXPECT_EQ(json.dump(), R"({"zulu":1,"alpha":"two","list":[true,null,-3,1.5],"empty":{}})");
  json.set("zulu", "again");
  EXPECT_EQ(json.dump(), R"({"zulu":"again","alpha":"two","list":[true,null,-3,1.5],"empty":{}})");
  EXPECT_EQ(Json::object().set("a", Json::array().push(1)).dump_indented(), "{\n  \"a\": [\n    1\n  ]\n}");
}

TEST(Json, what_is_printed_is_read_back_equal) {
  Json json = Json::object();
  json.set("least", std::numeric_limits<std::int64_t>::min()).set("most", std::numeric_limits<std::uint64_t>::max());
  json.set("text", "quote \" backslash \\ newline \n bell \a Õ 漢 \xf0\x9f\x98\x80").set("nothing", Json());
  json.set("a key with \"quotes\"", Json::array().push(Json::array()).push(Json::object()));
  json.set("third", 1.0 / 3.0).set("false", false);
  EXPECT_EQ(parse_json(json.dump()).value(), json);
  EXPECT_EQ(parse_json(json.dump_indented()).value(), json);
}

TEST(Json, integers_of_any_type_are_one_kind) {
  EXPECT_EQ(Json(7), Json(7u));
  EXPECT_EQ(Json(std::int64_t{7}), Json(std::uint64_t{7}));
  EXPECT_NE(Json(-7), Json(7));
  EXPECT_NE(Json(1), Json(1.0));
  EXPECT_NE(Json(1), Json(true));
  EXPECT_EQ(Json(-7).i64(), -7);
  EXPECT_EQ(Json(7).i64(), 7);
  EXPECT_EQ(Json(-7).number(), -7.0);
  EXPECT_EQ(Json(0.5).number(), 0.5);
}

TEST(Json, names_that_are_not_utf8_are_escaped_and_never_break_the_text) {
  Json json = Json::object();
  json.set("file \xff", std::string("bad \xc3\x28 and \x1b[31m"));
  const std::string text = json.dump();
  EXPECT_EQ(text, R"({"file \\xff":"bad \\xc3( and \\x1b[31m"})");
  EXPECT_EQ(parse_json(text).value()["file \\xff"].string(), "bad \\xc3( and \\x1b[31m");
}

TEST(Json, control_characters_in_valid_text_are_escaped_as_json_does) {
  EXPECT_EQ(Json(std::string("a\0b\x1b\n", 5)).dump(), R"("a\u0000b\u001b\n")");
}

TEST(Json, numbers_that_json_cannot_say_are_null) {
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(Json, members_are_looked_up) {
  const Json json = parse_json(R"({"name": "x", "list": [1, "b", false]})").value();
  EXPECT_EQ(json["name"].string(), "x");
  EXPECT_TRUE(json["missing"].is_null());
  ASSERT_EQ(json["list"].elements().size(), 3u);
  EXPECT_EQ(json["list"].elements()[0].u64(), 1u);
  EXPECT_FALSE(json["list"].elements()[2].boolean());
  EXPECT_EQ(json.members()[1].first, "list");
}

TEST(Json, text_that_is_not_json_is_refused) {
  for (const char* bad : {"", "{", "[1,]", "{\"a\" 1}", "nul", "01", "\"\x01\"", "\"\xff\"", "1 2", "'a'", "[1] //"}) {
    const auto parsed = parse_json(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().code(), Code::InvalidInput);
  }
}

TEST(Json, deep_nesting_is_refused_and_not_followed) {
  EXPECT_TRUE(parse_json(std::string(60, '[') + std::string(60, ']')).ok());
  EXPECT_FALSE(parse_json(std::string(70, '[') + std::string(70, ']')).ok());
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[') + std::string(1'000'000, ']')).ok());
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')).ok());
}

}  // namespace
}  // namespace exclave::config
