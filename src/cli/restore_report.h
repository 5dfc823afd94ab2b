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
void show_restore_problems(const Context& context, const engine::RestoreReport& report);

}  // namespace exclave::cli
