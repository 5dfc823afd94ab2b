// Implements testing/vectors.h. A test source, so that nothing of it is in the library.
#include "crypto/testing/vectors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace exclave::crypto::testing {
namespace {

std::string path_of(std::string_view relative) {
  return std::string(EXCLAVE_SOURCE_DIR) + "/" + std::string(relative);
}

std::vector<Vector> parse(const std::string& path, std::size_t fields) {
  std::vector<Vector> vectors;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Vector vector;
    std::string verdict;
    std::string field;
    words >> vector.name >> verdict;
    vector.name = path.substr(path.rfind('/') + 1) + " " + vector.name;
    CHECK(verdict == "valid" || verdict == "invalid");
    vector.valid = verdict == "valid";
    while (words >> field) vector.fields.push_back(field);
    CHECK(vector.fields.size() == fields);
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

}  // namespace

const std::string& Vector::text(std::size_t field) const {
  return fields.at(field);
}

Bytes Vector::bytes(std::size_t field) const {
  const std::string& hex = text(field);
  return hex == "-" ? Bytes{} : from_hex(hex).take();
}

std::vector<Vector> load_vectors_if_present(std::string_view name, std::size_t fields) {
  return parse(path_of("testdata/vectors/" + std::string(name) + ".txt"), fields);
}

std::vector<Vector> load_vectors(std::string_view name, std::size_t fields) {
  std::vector<Vector> vectors = load_vectors_if_present(name, fields);
  CHECK(!vectors.empty());
  for (Vector& more : load_vectors_if_present(std::string(name) + ".wycheproof", fields)) {
    vectors.push_back(std::move(more));
  }
  return vectors;
}

std::size_t count_valid(const std::vector<Vector>& vectors) {
  return static_cast<std::size_t>(
      std::count_if(vectors.begin(), vectors.end(), [](const Vector& vector) { return vector.valid; }));
}

Bytes example_in_page(std::string_view page, std::string_view name) {
  std::ifstream file(path_of("docs/formats/" + std::string(page)));
  const std::string start = "| " + std::string(name) + " | `";
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(start)) continue;
    const std::string rest = line.substr(start.size());
    return from_hex(rest.substr(0, rest.find('`'))).take();
  }
  check_failed("the page has this example", __FILE__, __LINE__);
}

TEST(Vectors, every_file_has_its_expected_number_of_cases) {
  EXPECT_GE(load_vectors("aes_256_gcm", 6).size(), 286U);
  EXPECT_GE(load_vectors("sha2", 3).size(), 107U);
  EXPECT_GE(load_vectors("hmac_sha256", 3).size(), 6U);
  EXPECT_GE(load_vectors("hkdf", 5).size(), 4U);
  EXPECT_EQ(load_vectors("hkdf_sha2", 5).size(), 27U);
  EXPECT_GE(load_vectors("x25519", 3).size(), 17U);
  EXPECT_GE(load_vectors("ed25519", 4).size(), 87U);
  EXPECT_GE(load_vectors("p384_ecdsa", 3).size(), 83U);
  EXPECT_GE(load_vectors("p384_ecdh", 3).size(), 33U);
  EXPECT_EQ(load_vectors("segments", 6).size(), 42U);
  EXPECT_EQ(load_vectors("wrap", 6).size(), 14U);
  EXPECT_EQ(load_vectors("shares", 5).size(), 11U);
}

}  // namespace exclave::crypto::testing
