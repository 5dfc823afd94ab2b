// Commands: one function per subcommand: take settings, call the library, render. No rule of the product lives here.
// A command that could do only part of its work prints what it did and returns kPartial.
#pragma once

#include "cli/context.h"
#include "cli/settings.h"
#include "cli/site_folder.h"

namespace exclave::cli {

Result<ExitCode> run(const Context& context, const RealmCreateSettings& settings);
Result<ExitCode> run(const Context& context, const EraSettings& settings);
Result<ExitCode> run(const Context& context, const VaultSettings& settings);
Result<ExitCode> run(const Context& context, const RepairSettings& settings);
Result<ExitCode> run(const Context& context, const BackupSettings& settings);
Result<ExitCode> backup_database(const Context& context, const BackupSettings& settings);
Result<ExitCode> run(const Context& context, const AgentRunSettings& settings);
Result<ExitCode> run(const Context& context, const CutSettings& settings);
Result<ExitCode> run(const Context& context, const WalFetchSettings& settings);
Result<ExitCode> run(const Context& context, const IngestSettings& settings);
Result<ExitCode> run(const Context& context, const StatusSettings& settings);
Result<ExitCode> run(const Context& context, const SnapshotsSettings& settings);
Result<ExitCode> run(const Context& context, const ListSettings& settings);
Result<ExitCode> run(const Context& context, const ReleaseRequestSettings& settings);
Result<ExitCode> run(const Context& context, const ReleaseShowSettings& settings);
Result<ExitCode> run(const Context& context, const ReleaseApproveSettings& settings);
Result<ExitCode> run(const Context& context, const ReleaseCloseSettings& settings);
Result<ExitCode> run(const Context& context, const RestoreSettings& settings);
Result<ExitCode> restore_database(const Context& context, SiteFolder& site, ReleasedSnapshot base,
                                  const RestoreSettings& settings);
Result<ExitCode> restore_all(const Context& context, const RestoreSettings& settings);
Result<ExitCode> run(const Context& context, const VerifySettings& settings);
Result<ExitCode> run(const Context& context, const RecoverSettings& settings);
Result<ExitCode> run(const Context& context, const NameSettings& settings);

}  // namespace exclave::cli
