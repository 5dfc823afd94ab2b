// Database restore: a base backup that was restored into a directory becomes a data directory that its server recovers to
// exactly where the log that was fetched ends.
// Hides: tablespaces, recovery settings, what must not come back from home.
//
//   restored base + WalDirectory -> prepare_recovery: tablespaces in it, linked; postgresql.auto.conf
//     -> whoever restores publishes the log's plan, lets go of the target -> allow_recovery: recovery.signal
//
// I1  The server replays what the plan holds and nothing else: its restore_command is `exclave wal fetch`, archiving is
//     off, no standby is waited for, no primary is followed, and no other command of a recovery is run, whatever home's
//     postgresql.conf says. So a drill's server cannot reach back home. It opens only behind the plan's last record: a server
//     takes whatever it cannot read for the end of the log, and without a target would open there. Nobody gets in before.
// I2  Until allow_recovery no server uses the target or the log. What else is missing then is one empty file,
//     recovery.signal, and of several databases each gets its own, whatever becomes of the others'.
// I3  Everything belongs to `owner`, if one is given.
// I4  Both directories are read and written through their open handles, without following a link: the base comes from
//     home, and who owns the target can put other things in their places at any moment.
// Durability: after each ok, all of it. Until recovery.signal is there, a server that is started by mistake refuses (it finds
//     no log), or recovers to the backup's end at most.
// Errors: those of the file system.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/restore.h"
#include "engine/wal_directory.h"
#include "env/file_system.h"

namespace exclave::engine {

struct DatabaseRestoreOptions {
  std::string target;               // the restored base; for messages, and for what the server is told
  ClaimedTarget claimed{};          // that directory
  std::string wal_directory;        // as the server is told
  WalDirectoryHold* log = nullptr;  // that directory, planned; the plan need not be published yet. Outlives this
  pg::Lsn last_record;              // where the record begins with which the plan ends
  std::string program;              // absolute path of exclave
  std::optional<env::FileOwner> owner;
};

struct DatabaseRestoreReport {
  std::vector<std::string> tablespaces;  // where they are now
  std::vector<std::string> notes;        // what the operator has to do before the server starts
};

Result<DatabaseRestoreReport> prepare_recovery(env::FileSystem& files, const DatabaseRestoreOptions& options,
                                               const WalPlan& plan);
// From here on their servers recover. The error names each that lacks its recovery.signal, and whose it has to be.
Status allow_recovery(const std::vector<DatabaseRestoreOptions>& databases);

}  // namespace exclave::engine
