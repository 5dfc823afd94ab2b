// The Table of the program: RocksDB, set up for small keys, few writers and flat memory.
// Hides: RocksDB altogether; no other header includes it.
//
// Units/limits: measured with 5 million keys of 32 bytes: 55-95 MB resident whatever the number of keys (ADR-0012).
//   At most 256 open files; two background threads.
// I1  The directory belongs to one open table at a time. Who only looks takes it from nobody, writes nothing there, and sees
//     what the table was when it began to look.
// I2  After a failed write the next one closes and opens RocksDB anew, and is refused: what is there then is what a restart
//     would find, the failed batch perhaps too. While that fails, writes say why, and reads go on from what is on disk or in
//     the kernel's cache, which is not settled(). Never does that make a new one:
//     a table whose files vanished, or that another one lies in the place of, stays Corrupt.
// I3  A table is made only where none ever was: in a directory that is empty, or holds what a creation that died has
//     left. Where a table has lost its CURRENT nothing is written, and each opening says Corrupt.
// Threads: as Table; RocksDB runs two background threads of its own, for flushing and compaction.
// Durability: as Table. RocksDB does its own I/O: it never runs inside a simulation (docs/architecture.md).
// Errors of open: NotFound (no such directory), Conflict (another table has it open), Corrupt, Exhausted, Unavailable.
// See: ADR-0012.
#pragma once

#include <memory>
#include <string>

#include "table/table.h"

namespace exclave::table {

// Opens the table in `directory`, or creates one if there never was any (I3). The directory itself, and its name's
// durability, are the caller's (FileSystem::make_directories).
Result<std::unique_ptr<Table>> open_rocksdb(const std::string& directory);

// To look at, beside whoever has it open. NotFound: there is no table, or none yet.
Result<std::unique_ptr<const Table>> open_rocksdb_to_look(const std::string& directory);

}  // namespace exclave::table
