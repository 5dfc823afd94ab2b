#include "engine/database_restore.h"

#include <algorithm>

#include "base/text.h"
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

// A missing name is as good as a removed one.
Status remove_if_there(env::Directory& directory, std::string_view name) {
  Status removed = directory.remove(name);
  if (!removed.ok() && removed.error().code() == Code::NotFound) return {};
  return removed;
}

// A new file, whatever had the name. A base that was half prepared is prepared again: it needs no step that is
// undivided.
Status write_owned(const DatabaseRestoreOptions& options, std::string_view name, std::string_view text) {
  env::Directory& target = *options.claimed;
  TRY(remove_if_there(target, name));
  const auto file = TRY(target.create_file(name, env::kPrivateFile));
  TRY(file->append(as_bytes(text)));
  if (options.owner.has_value()) {
    env::FileAttributes attributes;
    attributes.owner = options.owner;
    TRY(file->set_attributes(attributes));
  }
  return file->sync();
}

// What a base brings under this name. nullopt if it is not there, or no file of its own: a link, or a second name,
// could be of a file that only root may read.
Result<std::optional<Bytes>> read_own(const DatabaseRestoreOptions& options, std::string_view name,
                                      std::vector<std::string>& notes) {
  const auto file = options.claimed->open_file(name);
  if (!file.ok() && file.error().code() == Code::NotFound) return std::optional<Bytes>();
  if (!file.ok() && file.error().code() != Code::InvalidInput) return file.error();
  const bool is_own = file.ok() && TRY(file.value()->info()).link_count == 1;
  if (!is_own) {
    notes.push_back("the base's " + std::string(name) + " is no file of its own, and was left out: look who made it");
    return std::optional<Bytes>();
  }
  auto content = env::read_whole(*file.value(), env::join_path(options.target, name), kMaxConfBytes);
  if (content.ok()) return std::optional<Bytes>(content.take());
  if (content.error().code() != Code::Exhausted) return content.take_error();
  return Error(Code::Precondition, content.error().message())
      .hint("no server writes so much there: look who made it, and restore from an older base (--snapshot)");
}

// The server takes a backslash away, and what stands behind it as it is.
std::string escaped_for_map(std::string_view path) {
  std::string escaped;
  for (const char c : path) {
    if (c == '\\' || c == '\n' || c == '\r') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// The server makes each link anew from tablespace_map.
Status place_tablespaces(env::FileSystem& files, const DatabaseRestoreOptions& options, DatabaseRestoreReport& report) {
  const auto place = options.claimed->open_directory(format::kTablespacesFolder);
  if (!place.ok() && place.error().code() == Code::NotFound) return {};
  if (!place.ok()) return place.error();
  const std::string absolute = env::join_path(TRY(files.canonical(options.target)), format::kTablespacesFolder);
  std::vector<std::string> oids;
  for (env::DirectoryEntry& entry : TRY(place.value()->entries())) oids.push_back(std::move(entry.name));
  std::sort(oids.begin(), oids.end());
  std::string map;
  for (const std::string& oid : oids) {
    if (!parse_u64(oid).ok()) {
      return Error(Code::Precondition, "'" + printable(env::join_path(format::kTablespacesFolder, oid)) +
                                           "' in the base is no tablespace: they have numbers")
          .hint("look who made it, and restore from an older base (--snapshot)");
    }
    report.tablespaces.push_back(env::join_path(absolute, oid));
    map += oid + " " + escaped_for_map(report.tablespaces.back()) + "\n";
  }
  return write_owned(options, kTablespaceMap, map);
}

Status make_signal(const DatabaseRestoreOptions& options) {
  TRY(write_owned(options, pg::kRecoverySignalFile, ""));
  return options.claimed->sync_all();
}

// No server runs as root.
std::string owner_in_words(const DatabaseRestoreOptions& options) {
  if (!options.owner.has_value() || options.owner->first == 0) return " that belongs to the server's user";
  const auto [user, group] = *options.owner;
  return " (chown " + std::to_string(user) + ":" + std::to_string(group) + ")";
}

}  // namespace

Result<DatabaseRestoreReport> prepare_recovery(env::FileSystem& files, const DatabaseRestoreOptions& options,
                                               const WalPlan& plan) {
  DatabaseRestoreReport report;
  env::Directory& target = *options.claimed;
  TRY(place_tablespaces(files, options, report));
  if (options.owner.has_value()) TRY(options.log->give_to(*options.owner));
  // A backup of a standby would go on following its primary.
  TRY(remove_if_there(target, "standby.signal"));
  TRY(remove_if_there(target, pg::kRecoverySignalFile));

  pg::RecoverySettings settings;
  // exec: a shell that cannot start a process says 2, which a server takes for the end of its log.
  settings.restore_command = "exec " + shell_word(options.program) + " wal fetch " +
                             shell_word(TRY(files.canonical(options.wal_directory))) + " %f %p";
  // The log ends there as well. But what the disk spoils of it meanwhile, a server takes for its end: this one refuses then.
  settings.target = pg::ToRecord{options.last_record};
  settings.timeline = plan.timeline();
  // hot_standby: nobody is let in before the end, and limits that home raised since the base do not stop it half-way.
  settings.further = {{"archive_mode", "off"}, {"synchronous_standby_names", ""}, {"hot_standby", "off"}};
  const auto present = TRY(read_own(options, pg::kAutoConfFile, report.notes));
  const std::string_view text = present.has_value() ? as_text(*present) : std::string_view();
  TRY(write_owned(options, pg::kAutoConfFile, TRY(pg::auto_conf_for_recovery(text, settings))));
  const auto conf = target.stat("postgresql.conf");
  if (!conf.ok() && conf.error().code() != Code::NotFound) return conf.error();
  if (!conf.ok()) {
    report.notes.push_back(
        "the data directory has no postgresql.conf: at home it lay elsewhere; start the server with --config-file, or "
        "bring one (the file tree of /etc/postgresql belongs into the registry too)");
  }
  TRY(target.sync_all());
  return report;
}

Status allow_recovery(const std::vector<DatabaseRestoreOptions>& databases) {
  std::optional<Code> first;
  std::string missing;
  std::string remedies;
  for (const DatabaseRestoreOptions& options : databases) {
    const Status made = make_signal(options);
    if (made.ok()) continue;
    if (!first.has_value()) first = made.error().code();
    const std::string path = "'" + printable(env::join_path(options.target, pg::kRecoverySignalFile)) + "'";
    append_item(missing, path + " could not be made: " + made.error().message(), "; ");
    append_item(remedies, path + owner_in_words(options));
  }
  if (!first.has_value()) return {};
  return of_targets_disk(
      Error(*first, missing).hint("all else is there: make an empty " + remedies + ", and start the server"));
}

}  // namespace exclave::engine
