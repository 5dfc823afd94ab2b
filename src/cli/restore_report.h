// Restore report: what every restore ends with: what came back, from which vaults, what was gone round.
#pragma once

#include <string>

#include "cli/context.h"
#include "cli/site_folder.h"
#include "engine/restore.h"

namespace exclave::cli {

config::Json restore_json(const engine::RestoreReport& report, const ReleasedSnapshot& released);
std::string restore_text(const engine::RestoreReport& report, const ReleasedSnapshot& released,
                         const std::string& target);
// Their parts: what came back of one snapshot, and what all reads under one release went through.
config::Json restored_json(const engine::RestoreReport& report, const engine::FoundSnapshot& snapshot);
std::string restored_text(const engine::RestoreReport& report, const engine::FoundSnapshot& snapshot,
                          env::Timestamp began, const std::string& target);
void add_reads(config::Json& json, const ReleasedRegistry& released);
std::string reads_text(const ReleasedRegistry& released);
void show_restore_problems(const Context& context, const engine::RestoreReport& report);
// The same command was run again, and a later snapshot was taken meanwhile: what the target holds a part of is finished.
void note_finishing(const Context& context, const std::string& target, const engine::FoundSnapshot& unfinished,
                    const engine::FoundSnapshot& later);

}  // namespace exclave::cli
