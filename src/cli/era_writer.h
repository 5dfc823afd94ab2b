// Era writer: lays the parts of a new era beside their keepers' other files in a realm directory.
// Hides: which part goes where, and that the agent's keys are read back before anybody relies on them.
//
//   officials/NAME/share-book/<leaf>, officials/NAME/acts/<era document>, KEEPER/REGISTRY/era-N.keys
//
// The era counts once its document is in ceremony/acts, which is the caller's last step: whoever is interrupted before
// makes the era anew, and that replaces what there is of it.
// Threads: functions. Durability: everything written survives power loss when it returns.
// Errors: Corrupt (the keys on disk are not those of the ceremony), those of the file system.
#pragma once

#include <string>

#include "custody/ceremony.h"
#include "env/file_system.h"

namespace exclave::cli {

// `keeper`: "home" for the era in which an agent begins, "operator" for those to come.
Status write_era(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                 const std::string& keeper, const custody::CeremonyResult& result);

}  // namespace exclave::cli
