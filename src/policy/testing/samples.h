// Samples: the worked examples that the pages of docs/formats show, and documents line by line. Hides: how a page fences
// them.
//
// I1  What is missing or empty stops the test run: a test never passes by reading nothing.
// Threads: pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/text.h"

namespace exclave::policy::testing {

// The fenced blocks of `page` that are marked "```text", in order, each ending with LF.
inline std::vector<std::string> examples_in(std::string_view page) {
  constexpr std::string_view kBegin = "```text\n";
  constexpr std::string_view kEnd = "\n```\n";
  std::vector<std::string> examples;
  for (std::size_t at = page.find(kBegin); at != std::string_view::npos; at = page.find(kBegin, at)) {
    at += kBegin.size();
    const std::size_t end = page.find(kEnd, at);
    CHECK(end != std::string_view::npos);
    examples.emplace_back(page.substr(at, end + 1 - at));
    at = end;
  }
  CHECK(!examples.empty());
  return examples;
}

// The value of the line "| name | `value` |" in a page.
inline std::string value_in(std::string_view page, std::string_view name) {
  const std::string begin = "\n| " + std::string(name) + " | `";
  const std::size_t at = page.find(begin);
  CHECK(at != std::string_view::npos);
  const std::size_t end = page.find('`', at + begin.size());
  CHECK(end != std::string_view::npos);
  return std::string(page.substr(at + begin.size(), end - at - begin.size()));
}

// The lines of a document that ends with LF, without it.
inline std::vector<std::string> lines_of(std::string_view document) {
  std::vector<std::string> lines;
  for (const std::string_view line : split(document, '\n')) lines.emplace_back(line);
  lines.pop_back();
  return lines;
}

}  // namespace exclave::policy::testing
