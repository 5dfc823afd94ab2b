#include "engine/dataset_kind.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::engine {
namespace {

std::string in_words(format::DatasetKind kind) {
  switch (kind) {
    case format::DatasetKind::Tree:
      return "a tree of files";
    case format::DatasetKind::ByteStream:
      return "a stream of bytes";
    case format::DatasetKind::Database:
      return "a database";
  }
  return "something else";
}

}  // namespace

Status check_kind(const std::vector<repo::SnapshotSummary>& snapshots, std::string_view dataset,
                  format::DatasetKind kind) {
  const auto has_name = [&](const repo::SnapshotSummary& each) { return each.dataset == dataset; };
  const auto is_own = [&](const repo::SnapshotSummary& each) { return has_name(each) && each.kind == kind; };
  const auto is_other = [&](const repo::SnapshotSummary& each) { return has_name(each) && each.kind != kind; };
  const auto other = std::ranges::find_if(snapshots, is_other);
  if (other == snapshots.end()) return {};
  if (kind == format::DatasetKind::Database && std::ranges::any_of(snapshots, is_own)) return {};
  return Error(Code::InvalidInput, "dataset '" + printable(dataset) + "' holds " + in_words(other->kind) +
                                       ", and this is " + in_words(kind))
      .hint("give it a dataset of its own, by another name");
}

}  // namespace exclave::engine
