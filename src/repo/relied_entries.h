// ReliedEntries: how many entries of each stream captures rely on: k vaults had confirmed them when something was built
// on them, so what is captured later refers to them and does not send them again. Those of interrupted captures too.
// Hides: its rows, beside those of DedupIndex in the agent's table.
//
//   "e" stream id -> entries u64
//
// I1  A row never goes back.
// Threads: one at a time.
// Durability: a row survives power loss if anything does that was written to the table after it (table.h I2).
// Errors: Corrupt (a row), Exhausted, Unavailable.
#pragma once

#include <cstdint>
#include <map>

#include "format/stream.h"
#include "table/table.h"

namespace exclave::repo {

using ReliedEntries = std::map<format::StreamId, std::uint64_t>;

// Before whatever makes others build on the first `entries` of the stream.
Status rely_on(table::Table& table, const format::StreamId& stream, std::uint64_t entries);
// Of all streams of the table's era.
Result<ReliedEntries> relied_in(const table::Table& table);

}  // namespace exclave::repo
