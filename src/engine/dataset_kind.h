// DatasetKind: a dataset's name is of one kind of thing. Whoever restores the latest, or to a place in a log, would find the
// wrong one behind it.
// Hides: the rule.
//
// I1  A tree or a stream is refused where the era has a snapshot of another kind. A database is refused only where it has no
//     base yet: of a name that has one, restores of all take the database, whatever else was put there by mistake.
// Errors: InvalidInput.
#pragma once

#include <string_view>
#include <vector>

#include "repo/dedup_index.h"

namespace exclave::engine {

// `snapshots`: of the era, as the agent remembers them.
Status check_kind(const std::vector<repo::SnapshotSummary>& snapshots, std::string_view dataset,
                  format::DatasetKind kind);

}  // namespace exclave::engine
