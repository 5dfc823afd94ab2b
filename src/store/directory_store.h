// Directory store: the `dir` ObjectStore, one file per object in a directory of the machine.
// Hides: how names become paths, drafts, the fan-out, and how room is kept.
//
//   PATH/3f/3f9a...(64 hex digits)       one object; its name is its file name, its fan-out directory the first byte
//   PATH/3f/.tmp-*                       an upload in progress; removed when the store is opened after a crash
//   PATH/damaged/3f9a...-1               set aside by repair: the first damaged copy of that object; the operator's to
//                                        look at and to remove
//
// Units/limits: bytes. An upload is refused when the file system would be left with less than reserve_bytes, counting
//   what other uploads have still to write. Opening lists all 256 fan-out directories: seconds for ten million objects.
// I1  All 256 fan-out directories exist, durably, before the first object: publishing syncs exactly one directory.
// I2  Files are of mode 0400 and are never opened for writing again; one that was adopted has been written to before.
// Threads: as ObjectStore. One open store per directory: a second one would remove the first one's drafts.
// Durability: as ObjectStore.
// Errors: as ObjectStore; of open: NotFound (no store there).
// See: ADR-0003, tests/conformance/object_store_conformance.h.
#pragma once

#include <memory>
#include <string>

#include "env/file_system.h"
#include "store/object_store.h"

namespace exclave::store {

struct DirectoryStoreOptions {
  std::uint64_t reserve_bytes = std::uint64_t{256} << 20;  // for the table and for what else lives on the file system
};

// Makes the directory (its parents too) and its fan-out; DURABLE. Idempotent, so it is repeated after a crash.
Status create_directory_store(env::FileSystem& files, const std::string& path);
// `files` outlives the store.
Result<std::unique_ptr<ObjectStore>> open_directory_store(env::FileSystem& files, const std::string& path,
                                                          const DirectoryStoreOptions& options = {});

}  // namespace exclave::store
