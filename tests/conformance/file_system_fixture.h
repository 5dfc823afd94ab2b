// The fixture of the FileSystem suites: short ways to put and read small files.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/world_under_test.h"

namespace exclave::conformance {

class FileSystemConformance : public WorldConformance {
 protected:
  static Bytes content_of(env::ReadableFile& file) {
    const env::FileInfo info = must(file.info());
    Bytes content(info.size + 16);
    content.resize(must(file.read_at(0, content)));
    return content;
  }
  static Bytes content_of(env::Directory& directory, std::string_view name) {
    return content_of(*must(directory.open_file(name)));
  }
  static void put(env::Directory& directory, std::string_view name, std::string_view content) {
    auto file = must(directory.create_file(name, 0600));
    EXPECT_TRUE(is_ok(file->append(as_bytes(content))));
  }
  static std::set<std::string> names_of(env::Directory& directory) {
    std::set<std::string> names;
    for (const auto& entry : must(directory.entries())) names.insert(entry.name);
    return names;
  }
  static std::vector<std::string> wrong_names() {  // InvalidInput in every call that takes a name
    return {"", ".", "..", "a/b", "/", "/a", "a/", std::string("a\0b", 3), std::string("\0", 1)};
  }
  using Names = std::vector<std::string>;
};

}  // namespace exclave::conformance
