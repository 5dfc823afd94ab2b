#include "engine/database_restore.h"

#include <algorithm>

#include "base/text.h"
#include "env/exists.h"
#include "format/snapshot.h"
#include "pg/recovery_files.h"

namespace exclave::engine {
namespace {

constexpr std::uint64_t kMaxConfBytes = 1U << 20;
constexpr std::string_view kTablespaceMap = "tablespace_map";

// As one word of a shell's command line, in which a server replaces %.
std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += "'\\''";
    } else if (c == '%') {
      word += "%%";
    } else {
      word += c;
    }
  }
  return word + "'";
}

Status give_to(env::FileSystem& files, const std::string& directory, const std::optional<env::FileOwner>& owner) {
  if (!owner.has_value()) return {};
  env::FileAttributes attributes;
  attributes.owner = owner;
  const auto opened = TRY(files.open_directory(directory));
  for (const env::DirectoryEntry& entry : TRY(opened->entries())) TRY(opened->set_attributes(entry.name, attributes));
  return opened->set_own_attributes(attributes);
}

Status write_owned(env::FileSystem& files, const std::string& path, std::string_view text,
                   const std::optional<env::FileOwner>& owner) {
  TRY(env::replace_file_durably(files, path, as_bytes(text), env::kPrivateFile));
  if (!owner.has_value()) return {};
  env::FileAttributes attributes;
  attributes.owner = owner;
  const auto directory = TRY(files.open_directory(env::parent_path(path)));
  return directory->set_attributes(env::base_name(path), attributes);
}

Status remove_if_there(env::FileSystem& files, const std::string& path) {
  Status removed = files.remove_file(path);
  if (!removed.ok() && removed.error().code() == Code::NotFound) return {};
  return removed;
}

// The server makes each link anew from tablespace_map.
Status place_tablespaces(env::FileSystem& files, const DatabaseRestoreOptions& options, DatabaseRestoreReport& report) {
  const std::string place = env::join_path(options.target, format::kTablespacesFolder);
  const auto oids = files.list(place);
  if (!oids.ok() && oids.error().code() == Code::NotFound) return {};
  const std::string absolute = TRY(files.canonical(place));
  std::string map;
  for (const std::string& oid : TRY(oids)) {
    report.tablespaces.push_back(env::join_path(absolute, oid));
    map += oid + " " + report.tablespaces.back() + "\n";
  }
  return write_owned(files, env::join_path(options.target, kTablespaceMap), map, options.owner);
}

}  // namespace

Result<DatabaseRestoreReport> prepare_recovery(env::FileSystem& files, const DatabaseRestoreOptions& options,
                                               const WalPlan& plan) {
  DatabaseRestoreReport report;
  TRY(files.remove_temporaries(options.target));
  TRY(place_tablespaces(files, options, report));
  TRY(give_to(files, options.wal_directory, options.owner));
  // A backup of a standby would go on following its primary.
  TRY(remove_if_there(files, env::join_path(options.target, "standby.signal")));

  pg::RecoverySettings settings;
  // exec: a shell that cannot start a process says 2, which a server takes for the end of its log.
  settings.restore_command = "exec " + shell_word(options.program) + " wal fetch " +
                             shell_word(TRY(files.canonical(options.wal_directory))) + " %f %p";
  settings.target = pg::ToLatest{};  // the log ends where the plan says: "absent" is proven there
  settings.timeline = plan.timeline();
  settings.further = {{"archive_mode", "off"}, {"synchronous_standby_names", ""}};
  const std::string conf = env::join_path(options.target, pg::kAutoConfFile);
  const auto present = files.read_file(conf, kMaxConfBytes);
  if (!present.ok() && present.error().code() != Code::NotFound) return present.error();
  const std::string_view text = present.ok() ? as_text(present.value()) : std::string_view();
  TRY(write_owned(files, conf, TRY(pg::auto_conf_for_recovery(text, settings)), options.owner));
  if (!TRY(env::exists(files, env::join_path(options.target, "postgresql.conf")))) {
    report.notes.push_back(
        "the data directory has no postgresql.conf: at home it lay elsewhere; start the server with --config-file, or "
        "bring one (the file tree of /etc/postgresql belongs into the registry too)");
  }
  TRY(TRY(files.open_directory(options.target))->sync_all());
  return report;
}

Status allow_recovery(env::FileSystem& files, const DatabaseRestoreOptions& options) {
  const std::string signal = env::join_path(options.target, pg::kRecoverySignalFile);
  const auto make = [&]() -> Status {
    TRY(write_owned(files, signal, "", options.owner));
    return TRY(files.open_directory(options.target))->sync_all();
  };
  Status made = make();
  if (made.ok()) return made;
  return made.take_error().hint("all else is there: make an empty '" + printable(signal) +
                                "' that belongs to the server's user, and start the server");
}

}  // namespace exclave::engine
