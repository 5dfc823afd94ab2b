// Database restore, in the parts that `restore` of one dataset and `restore --all` share: the goal, the log from the base
// that serves it, what the operator is told.
//
//   --to -> parse_goal -> find_log (newest base that reaches the goal) -> the base's files -> make_ready -> text, JSON
//
// I1  A server can be started on the target after make_ready, and not before.
#pragma once

#include <functional>
#include <optional>

#include "cli/settings.h"
#include "cli/site_folder.h"
#include "engine/database_restore.h"
#include "engine/recovery_point.h"

namespace exclave::cli {

// InvalidInput: no place in a log.
Result<engine::RecoveryGoal> parse_goal(const std::string& text);

// A dataset's base backups, newest first: the next one with each call, nullopt at the end.
using NextBase = std::function<std::optional<engine::DatasetSnapshot>()>;

struct FoundLog {
  engine::DatasetSnapshot base;         // from which it is replayed
  engine::DatabaseLog log;              // planned
  std::string directory;                // where it is
  std::chrono::nanoseconds duration{};  // of fetching and checking it
};
// Into `directory`. Says on the way what is wrong with it. Precondition (no base reaches the goal), Unavailable (the end is
// wanted, not proven, and settings.accept_unproven_end is off), those of engine::fetch_log.
Result<FoundLog> find_log(const Context& context, SiteFolder& site, const ReleasedRegistry& released,
                          const RestoreSettings& settings, const engine::RecoveryGoal& goal, const NextBase& next_base,
                          const std::string& directory);

// A server does not run on files of another user: whoever owns the target; if it is made now, `of_new`, or whoever restores.
Result<env::FileOwner> make_target(env::FileSystem& files, const std::string& target,
                                   const std::optional<env::FileOwner>& of_new = {});

Result<engine::DatabaseRestoreReport> make_ready(const Context& context, const FoundLog& found,
                                                 const std::string& target, env::FileOwner owner);

// "cut 1a2b... of T", "restore point 'x' of T at P, the last of 2 of that name"; empty: the goal says it all.
std::string chosen_in_words(const engine::DatabaseLog& log);
std::string database_text(const FoundLog& found, const engine::DatabaseRestoreReport& ready, const std::string& target);
void add_database(config::Json& json, const FoundLog& found);
// What to do before the server is started.
void show_database_notes(const Context& context, const engine::DatabaseRestoreReport& ready, const std::string& target,
                         env::FileOwner owner);

}  // namespace exclave::cli
