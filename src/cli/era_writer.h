// Era writer: lays the parts of a new era beside their keepers' other files in a realm directory.
// Hides: which part goes where, that each is read back before anybody relies on it, and how what an interrupted run
// left is told from an era that another copy of the ceremony's folder opened.
//
//   officials/NAME/share-book/<leaf>, officials/NAME/acts/<era document>, KEEPER/REGISTRY/era-N.keys
//   ceremony/era-REGISTRY-N.unfinished     begin_era -> settle_era: one line for each of these files,
//                                          "SHA-256-hex path"; for the keys "dedup-check=HEX path", as the era's
//                                          document publishes it
//
// The era counts once its document is in ceremony/acts, which the caller does before settle_era.
//
// I1  Nothing is replaced. What lies where a part belongs is removed by begin_era if an interrupted run wrote it, as
//     that run's mark says, and is refused otherwise: a leaf that is gone is a share that nobody can make again.
// I2  The mark is there before the first part, and until the era counts.
// Threads: functions; one process at a time (the caller holds the ceremony's lock). Durability: everything written or
//     removed survives power loss when a function returns.
// Errors: AlreadyExists (I1; nothing of the era was written), Corrupt (a file on disk is not what the ceremony made, or
//     a mark does not tell whose it is), those of the file system.
// See: docs/formats/era.md, src/cli/era_writer_test.cc, tests/crash/custody_test.py
#pragma once

#include <string>

#include "custody/ceremony.h"
#include "env/file_system.h"

namespace exclave::cli {

// Makes room for an era in a realm that is in use: I1, I2.
Status begin_era(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                 const std::string& keeper, const custody::CeremonyResult& result);

// `keeper`: "home" for the era in which an agent begins, "operator" for those to come. None of its files exists yet.
Status write_era(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                 const std::string& keeper, const custody::CeremonyResult& result);

// Whether the run that opened an era, which counts, has not come to settle_era: nobody may know yet that it is open.
Result<bool> is_unsettled(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                          const policy::SignedEra& era);

// Removes the mark of an era that counts, if there is one; after its opening was told. A mark of another one of its
// number goes with all that its run left.
Status settle_era(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                  const policy::SignedEra& era);

}  // namespace exclave::cli
