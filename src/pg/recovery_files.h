// What is written into a restored data directory so that the server recovers to exactly one place.
// Hides: names and escaping of settings, and what a former recovery left behind.
//
//   recovery.signal          empty; its presence makes the server recover
//   postgresql.auto.conf     as it came, minus settings of former recoveries, plus ours at the end (the last one wins)
//
// I1  Exactly one target, or none (Latest), whatever postgresql.conf says: all other targets are set to '' before it.
// I2  recovery_target_inclusive is off for a position: the default would replay one record too many. It is on for a record.
// I3  Every value is quoted so that the server reads back the same bytes. Line breaks and NUL are InvalidInput.
// I4  Nothing that home does when it recovers is done here, whatever postgresql.conf says: no command but
//     restore_command is run, no primary is followed, nothing is held back. tools/restorer/recovery.py writes the same.
// Threads: values, pure functions. Nothing is written here; the caller makes the files durable, recovery.signal last.
// Errors: InvalidInput.
// Source: PostgreSQL 15 documentation, 20.5.6 Recovery Target; each rule tested with a real server.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "env/time.h"
#include "pg/lsn.h"

namespace exclave::pg {

inline constexpr std::string_view kRecoverySignalFile = "recovery.signal";
inline constexpr std::string_view kAutoConfFile = "postgresql.auto.conf";

struct ToLatest {};      // all WAL that restore_command has: a record that does not read well is its end, too
struct ToConsistent {};  // as early as possible: the end of the backup
struct ToPosition {
  Lsn position;  // records that begin before it are replayed
};
struct ToRecord {
  Lsn begin;  // of the last record that is replayed; a server that finds no such record does not open
};
struct ToTime {
  env::Timestamp time;  // fails on a database without a commit after it; never for several databases
};
struct ToRestorePoint {
  std::string name;  // of pg_create_restore_point; at most 63 bytes
};
using RecoveryTarget = std::variant<ToLatest, ToConsistent, ToPosition, ToRecord, ToTime, ToRestorePoint>;

enum class AtTarget { Promote, Pause, ShutDown };

struct RecoverySettings {
  // %f and %p stand for name and place of the file; %% for a percent sign. Exit codes: 0 = there it is, 1 = proven
  // absent, 126 or more = stop. 2 to 125 count as absent: never use them.
  std::string restore_command;
  RecoveryTarget target;
  std::optional<Timeline> timeline;  // none = the newest that restore_command has a history of
  AtTarget at_target = AtTarget::Promote;
  // Further settings, e.g. {"archive_mode", "off"} for a drill, {"synchronous_standby_names", ""} at an embassy (else
  // every commit waits for standbys that are not there).
  std::vector<std::pair<std::string, std::string>> further;
};

// The new content of postgresql.auto.conf. `present` is the content that came with the backup ("" if none).
Result<std::string> auto_conf_for_recovery(std::string_view present, const RecoverySettings& settings);
// The content without any setting of a recovery: for after it.
std::string auto_conf_without_recovery(std::string_view present);
// 'value' with quotes, as the server's configuration files want it.
Result<std::string> quoted_setting(std::string_view value);

}  // namespace exclave::pg
