// Reads the vector files of testdata/vectors for the tests of this module. Hides: where they lie and how a line is cut.
//
//   file := line*        line := "#" comment | case " " ("valid" | "invalid") (" " field)*        field := hex | word |
//   "-"
//
// I1  A file that is missing, empty or has a malformed line stops the test run: a test never passes by reading nothing.
// Threads: pure.
// See: testdata/vectors/README.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace exclave::crypto::testing {

struct Vector {
  std::string name;  // file and case, for messages
  bool valid = false;
  std::vector<std::string> fields;

  const std::string& text(std::size_t field) const;
  Bytes bytes(std::size_t field) const;  // "-" is empty
};

// Cases of testdata/vectors/<name>.txt with `fields` fields each; then those of <name>.wycheproof.txt, if a developer
// has made that file with tools/import_wycheproof.py.
std::vector<Vector> load_vectors(std::string_view name, std::size_t fields);

// Cases of testdata/vectors/<name>.txt, or none if a developer has not made that file.
std::vector<Vector> load_vectors_if_present(std::string_view name, std::size_t fields);

std::size_t count_valid(const std::vector<Vector>& vectors);

// The value of the line "| name | `hex` |" of a page under docs/formats: worked examples are read from the page itself.
Bytes example_in_page(std::string_view page, std::string_view name);

}  // namespace exclave::crypto::testing
