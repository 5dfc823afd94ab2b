#include "engine/dataset_kind.h"

#include <gtest/gtest.h>

namespace exclave::engine {
namespace {

using format::DatasetKind;

repo::SnapshotSummary snapshot(const std::string& dataset, DatasetKind kind) {
  repo::SnapshotSummary summary;
  summary.dataset = dataset;
  summary.kind = kind;
  return summary;
}

TEST(CheckKind, a_name_is_free_or_of_the_same_kind) {
  const std::vector<repo::SnapshotSummary> snapshots = {snapshot("papers", DatasetKind::Tree),
                                                        snapshot("people", DatasetKind::Database)};
  EXPECT_TRUE(check_kind({}, "people", DatasetKind::Tree).ok());
  EXPECT_TRUE(check_kind(snapshots, "land", DatasetKind::ByteStream).ok());
  EXPECT_TRUE(check_kind(snapshots, "papers", DatasetKind::Tree).ok());
  EXPECT_TRUE(check_kind(snapshots, "people", DatasetKind::Database).ok());
  const Status tree = check_kind(snapshots, "people", DatasetKind::Tree);
  ASSERT_FALSE(tree.ok());
  EXPECT_EQ(tree.error().code(), Code::InvalidInput);
  EXPECT_EQ(tree.error().message(), "dataset 'people' holds a database, and this is a tree of files");
  EXPECT_FALSE(check_kind(snapshots, "papers", DatasetKind::Database).ok());
  EXPECT_FALSE(check_kind(snapshots, "papers", DatasetKind::ByteStream).ok());
}

TEST(CheckKind, a_database_that_has_bases_is_not_kept_from_the_next_by_a_mistake) {
  const std::vector<repo::SnapshotSummary> snapshots = {snapshot("people", DatasetKind::Database),
                                                        snapshot("people", DatasetKind::Tree)};
  EXPECT_TRUE(check_kind(snapshots, "people", DatasetKind::Database).ok());
  EXPECT_FALSE(check_kind(snapshots, "people", DatasetKind::Tree).ok());
}

}  // namespace
}  // namespace exclave::engine
