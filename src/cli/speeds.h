// Speeds: how long restores of databases took at a site, and how long the next one would take.
// Hides: where the numbers lie.
//
//   HOME/databases/DATASET/base.json       by each base backup: how large it is, where its log begins
//   SITE/speeds/REGISTRY.DATASET.json      by each restore of a database there: bytes and milliseconds
//   HOME/speeds/REGISTRY.DATASET.json      the same file, if a person brought it
//   WAL/replay.json                        by `wal fetch`: when the server asked for the first segment, and for what is
//                                          behind the end; `status --site` takes it over into SITE/speeds
//
//   base.json, what the agent says is durable, a measure -> estimate: size * (time / size), base and log each
//
// I1  Nothing is made up: without a measure the estimate is the sizes, and names the command that measures.
// I2  What could not be noted never fails what was measured: it is said.
// I3  The server's replay is what lies between the first segment that it asked for and the last time that it was told
//     "absent": it asks for the next file when it has replayed the one before. A recovery that was interrupted counts
//     with its pause: an estimate is rather too long.
// Threads: one. Errors: none; a file that is not as it was written counts as missing.
#pragma once

#include <optional>
#include <string>

#include "cli/context.h"
#include "cli/database_restore.h"
#include "engine/database_capture.h"
#include "engine/restore.h"

namespace exclave::cli {

void note_base(const Context& context, const std::string& home, const std::string& dataset,
               const engine::DatabaseCaptureReport& report);

// From where on the last base that was noted is consistent.
std::optional<pg::Lsn> noted_base_end(const Context& context, const std::string& home, const std::string& dataset);

// Not if an earlier run had restored a part of it.
void note_restore(const Context& context, const SiteFolder& site, const FoundLog& found,
                  const engine::RestoreReport& report);

// After `wal fetch` answered the server. Never in its way: what cannot be noted is dropped.
void note_replay(env::Env& env, const std::string& directory, std::string_view name, engine::FetchOutcome outcome);

// At home: one line for each database of the agent's status. `estimates`: list for --json.
std::string restore_estimates(const Context& context, const std::string& home, const std::string& registry,
                              const config::Json& status, config::Json& estimates);
// At a site: one line for each of the registry's databases that was restored there. Takes over what their servers' replay
// took, while that can be read.
std::string restores_in_words(const Context& context, const std::string& site, const std::string& registry);

}  // namespace exclave::cli
