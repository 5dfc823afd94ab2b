// What a Section holds under a key, and how the TOML adapter puts it there. For section.cc and toml.cc only.
//
// Threads: a value.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/section.h"

namespace exclave::config {

struct Section::Value {
  struct Other {  // floats, dates and times: read by nobody
    std::string_view type_name;
  };
  std::variant<std::string, std::int64_t, bool, std::unique_ptr<Section>, std::vector<Value>, Other> content;
  std::uint32_t line = 0;  // from 1
};

class SectionBuilder {
 public:
  static void add(Section& section, std::string key, Section::Value value) {
    section.values_.emplace(std::move(key), std::make_unique<Section::Value>(std::move(value)));
  }
};

}  // namespace exclave::config
