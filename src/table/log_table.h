// The twin of the RocksDB table for simulations: a sorted map in memory and an append-only log on env::FileSystem, so
// that every byte it writes, and every power loss, comes from the simulation's seed.
// Hides: the log (detail/log_records.h) and when it is written anew.
//
//   directory/ table.log    header, the whole table as of the last rewriting, then one record per batch
//              CREATED      made after the first log: where it is and the log is not, the table was lost
//              LOCK         held while the table is open
//
//   open -> [ready] -- append or sync failed --> [broken] -- next write rewrites the log from the map --> [ready]
//
// Units/limits: the whole table is in memory; the log has at most 1 GiB. A scan copies its range first.
// I1  open rewrites the log under a new name before it returns, so that what it read is durable: data that the kernel
//     holds after a failed sync read well and are lost with the power, and a second sync would not say so.
// I2  The log is also rewritten by flush, and when it is larger than 1 MiB and than four times its base.
// I3  As RocksDB's: a table is made only where none ever was.
// Threads: as Table. Writers take turns; no lock is held during I/O.
// Durability: as Table.
// Errors of open: NotFound (no such directory), Conflict (another table has it open), Corrupt, Unsupported, Exhausted
//   and those of FileSystem.
// See: ADR-0012.
#pragma once

#include <memory>
#include <string>

#include "env/file_system.h"
#include "env/threads.h"
#include "table/table.h"

namespace exclave::table {

// `files` and `threads` outlive the table.
Result<std::unique_ptr<Table>> open_log_table(env::FileSystem& files, env::Threads& threads,
                                              const std::string& directory);

}  // namespace exclave::table
