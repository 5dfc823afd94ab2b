// A host that puts parts of genuine objects together anew: each by itself passes every check but the one of the whole.
// Mechanism: front and segments are read from one copy and judged together (repo::ObjectOpener::open_range).
#include <gmock/gmock.h>

#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

class SwappedParts : public PosixRealm {
 protected:
  // Every pack's front at this vault becomes the one of the next pack of its size. The number of packs changed.
  std::size_t rotate_fronts(const VaultHost& host, const repo::ChunkSource& chunks) {
    std::map<std::uint8_t, std::vector<std::string>> paths;
    for (std::uint32_t i = 0; i < chunks.pack_count(); ++i) {
      paths[chunks.pack(i).size_class].push_back(host.path_of(chunks.pack(i).name));
    }
    std::size_t changed = 0;
    for (const auto& [size_class, group] : paths) {
      std::vector<Bytes> contents;
      for (const std::string& path : group) contents.push_back(must(files().read_file(path, 1 << 30)));
      for (std::size_t i = 0; i < group.size() && group.size() > 1; ++i) {
        Bytes mixed = contents[i];
        std::copy_n(contents[(i + 1) % group.size()].begin(), format::kSegmentsOffset, mixed.begin());
        write_file(files(), group[i], mixed, 0400);
        ++changed;
      }
    }
    return changed;
  }
};

TEST_F(SwappedParts, H3_fronts_rotated_on_one_vaults_disk_cost_no_file_and_accuse_nobody_else) {
  for (std::uint64_t i = 0; i < 3; ++i) {
    for (std::uint64_t f = 0; f < 3; ++f) write("f" + std::to_string(3 * i + f), noise(1'200'000, 100 + 3 * i + f));
    let_time_pass();
    capture();
  }
  const auto report = capture();
  ASSERT_GT(rotate_fronts(*hosts_[1], must(site().open(report.snapshot))->chunks()), 1U);
  for (int i = 0; i < 4; ++i) expect_restores_as_source(report.snapshot);  // whichever vault is asked first
  ASSERT_FALSE(site().incidents().empty());
  for (const auto& incident : site().incidents()) EXPECT_EQ(incident.vault, "est") << incident.error.message();
}

}  // namespace
}  // namespace exclave::realm_tests
