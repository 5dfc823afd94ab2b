// Probes: how often the rare situations really occurred in a run of many seeds. A campaign that never reaches one of
// them proves less than it seems to, so its test fails.
//
//   Probes probes({"a vault filled up by repair", ...});    probes.hit("a vault filled up by repair");
//
// Only names that were announced can be hit (CHECK), so that a misspelt one is found.
// Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace exclave::realm_tests {

class Probes {
 public:
  Probes(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) counts_.emplace(name, 0);
  }
  void hit(std::string_view name, std::uint64_t times = 1) {
    const auto found = counts_.find(name);
    CHECK(found != counts_.end());
    found->second += times;
  }
  // Of a liar, by kind; the first kind is none.
  template <std::size_t N>
  void hit_lies(const std::array<std::string_view, N>& names, const std::array<std::uint64_t, N>& told) {
    for (std::size_t lie = 1; lie < N; ++lie) {
      if (told[lie] > 0) hit("a liar: " + std::string(names[lie]), told[lie]);
    }
  }
  // But for names that begin with "rarely: ": of a hundred lives one or two meet these, which long campaigns show.
  std::vector<std::string> never_reached() const {
    std::vector<std::string> names;
    for (const auto& [name, count] : counts_) {
      if (count == 0 && !name.starts_with("rarely: ")) names.push_back(name);
    }
    return names;
  }
  std::string to_string() const {
    std::string text;
    for (const auto& [name, count] : counts_) text += "  " + std::to_string(count) + "  " + name + "\n";
    return text;
  }

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace exclave::realm_tests
