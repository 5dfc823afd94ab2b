// Database restore, in the parts that `restore` of one dataset and `restore --all` share: the goal, the log from the base
// that serves it, what the operator is told.
//
//   --to -> parse_goal -> find_log (newest base that reaches the goal) -> the base's files -> make_ready -> hand_over
//     -> text, JSON
//
//   hand_over := the log's plan gets its name -> the target's marker goes -> recovery.signal
//
// I1  A server can be started on the target after hand_over, and not before. A restore that ends before, however, can be run
//     again, and goes on; it fetches the log anew. Of one that is killed in the midst of hand_over, the log keeps the next
//     one away, and from its second step on the target: then only recovery.signal is missing. Where it cannot be made for
//     one of several databases, the others get theirs.
#pragma once

#include <functional>
#include <optional>

#include "cli/settings.h"
#include "cli/site_folder.h"
#include "engine/database_restore.h"
#include "engine/recovery_point.h"
#include "engine/restore.h"

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
  // The log's end is not proven, and with more of it the restore might end elsewhere. It was said; the exit code says it,
  // too.
  bool may_lack_the_last = false;
};
// `missing`: that there is no base backup. If there may be one that cannot be opened, or at a vault that does not answer,
// that is said instead.
Error no_base(const engine::RegistryHoldings& holdings, Error missing);

// Into `directory`. Says on the way what is wrong with it. Precondition (no base reaches the goal), Unavailable (the end is
// wanted, not proven, and settings.accept_unproven_end is off), those of engine::fetch_log.
Result<FoundLog> find_log(const Context& context, SiteFolder& site, const ReleasedRegistry& released,
                          const RestoreSettings& settings, const engine::RecoveryGoal& goal, const NextBase& next_base,
                          const std::string& directory);

// No server runs as this user.
inline constexpr std::uint32_t kRootUser = 0;

// Where a dataset goes.
struct RestoreTarget {
  std::string path;
  engine::ClaimedTarget claimed;
  // Of a database: no server runs on files of another user. Whoever owns the target; where that is root, as whom no server
  // runs, `instead_of_root`. So a target that this run makes, and one that an earlier run made, have the same owner.
  env::FileOwner owner;
};
// Errors: those of engine::claim_target.
Result<RestoreTarget> claim_restore_target(env::FileSystem& files, const std::string& path,
                                           const std::optional<env::FileOwner>& instead_of_root = {});
// InvalidInput: the log would lie in the target.
Status check_lies_beside(env::FileSystem& files, const RestoreTarget& target, const std::string& log_directory);

// After the base's files, with Ending::StayMarked, were `restored`. Then they can be handed over. Precondition:
// something of the base is not there, or not with its content. What is wrong with attributes alone is only told.
Result<engine::DatabaseRestoreReport> make_ready(const Context& context, const FoundLog& found,
                                                 const RestoreTarget& target, const engine::RestoreReport& restored);
struct PreparedDatabase {
  const FoundLog* log = nullptr;
  const RestoreTarget* target = nullptr;
};
// DURABLE. To their servers, all that belong together in one call: where it fails, all of them can be gone on with. From here
// on none can: what is left is engine::allow_recovery, with what is returned.
Result<std::vector<engine::DatabaseRestoreOptions>> hand_over(const Context& context,
                                                              const std::vector<PreparedDatabase>& databases);

// What was restored is reported also where allow_recovery failed: no second run could. After the report the error is
// shown, and its exit code returned; with --json the report holds it (`ok`, and then as of every error).
void add_outcome(config::Json& json, const Status& allowed);
enum class IsPartial { No, Yes };
ExitCode end_of_restore(const Context& context, const Status& allowed, IsPartial is_partial);

// `why` claiming a target, make_ready or hand_over failed. The kernel tells once of bytes that never reached the disk, and it
// may have been those of any target: whoever goes on writes everything in them again. Unless `why` is of no disk.
Error distrusting(const Context& context, const std::vector<std::string>& targets, Error why);

// "cut 1a2b... of T", "restore point 'x' of T at P, the last of 2 of that name"; empty: the goal says it all.
std::string chosen_in_words(const engine::DatabaseLog& log);
std::string database_text(const FoundLog& found, const engine::DatabaseRestoreReport& ready, const std::string& target,
                          const Status& allowed);
void add_database(config::Json& json, const FoundLog& found);
// What to do before the server is started; also, which directories its user cannot come through.
void show_database_notes(const Context& context, const FoundLog& found, const engine::DatabaseRestoreReport& ready,
                         const RestoreTarget& target);

}  // namespace exclave::cli
