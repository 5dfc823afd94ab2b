#include "pg/base_backup.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/crc32c.h"
#include "base/text.h"
#include "pg/control_file.h"
#include "pg/detail/connection.h"
#include "pg/detail/manifest_reader.h"
#include "pg/detail/names.h"
#include "pg/detail/tar_reader.h"

namespace exclave::pg {
namespace {

using detail::Answer;
using detail::cell;
using CopyPiece = detail::Connection::CopyPiece;

constexpr std::string_view kControlPath = "global/pg_control";
constexpr std::string_view kTablespaceFolder = "pg_tblspc";
constexpr std::string_view kBaseArchive = "base.tar";
constexpr std::size_t kMaximumLabelBytes = 1'024;
constexpr std::uint32_t kSlowestRate = 32;
constexpr std::uint32_t kFastestRate = 1'048'576;

Error bad_backup(std::string_view what) {
  return {Code::Corrupt, fmt::format("base backup: {}", what)};
}

std::string folder_of(TablespaceOid oid) {
  return fmt::format("{}/{}", kTablespaceFolder, oid.value());
}

Result<std::string> command_for(std::string_view label, const BackupOptions& options) {
  if (label.size() > kMaximumLabelBytes || !is_clean_utf8(label)) {
    return Error(Code::InvalidInput, fmt::format("a backup's label has at most {} visible bytes", kMaximumLabelBytes));
  }
  std::string rate;
  if (options.maximum_kilobytes_per_second) {
    const std::uint32_t wanted = *options.maximum_kilobytes_per_second;
    if (wanted < kSlowestRate || wanted > kFastestRate) {
      return Error(Code::InvalidInput, fmt::format("a backup's rate is {} to {} kB/s", kSlowestRate, kFastestRate));
    }
    rate = fmt::format(", MAX_RATE {}", wanted);
  }
  return fmt::format(
      "BASE_BACKUP (LABEL {}, CHECKPOINT '{}', WAIT false, TABLESPACE_MAP true, MANIFEST 'yes',"
      " MANIFEST_CHECKSUMS 'CRC32C', VERIFY_CHECKSUMS {}{})",
      detail::quoted_literal(label), options.checkpoint == Checkpoint::Fast ? "fast" : "spread",
      options.page_checks == PageChecks::On ? "true" : "false", rate);
}

// One "NUL-ended" text from the front.
std::optional<std::string> take_text(ByteView& bytes) {
  const auto end = std::find(bytes.begin(), bytes.end(), Byte{0});
  if (end == bytes.end()) return std::nullopt;
  std::string text(bytes.begin(), end);
  bytes = bytes.subspan(text.size() + 1);
  return text;
}

}  // namespace

// What came so far, and where in it we are.
struct BaseBackup::State {
  struct Received {
    std::uint64_t size = 0;
    std::uint32_t crc32c = 0;
    bool is_listed = false;  // in the manifest
  };
  enum class Phase { Archives, Manifest, Over };

  State(detail::Connection& channel, SystemIdentifier of) : connection(channel), system(of) {}

  detail::Connection& connection;
  SystemIdentifier system;
  Lsn start;
  Timeline timeline;
  std::vector<Tablespace> tablespaces;

  Phase phase = Phase::Archives;
  ByteView message;  // the rest of a CopyData message
  std::optional<detail::TarReader> archive;
  std::string folder;  // of the archive's tablespace; "" for the data directory
  std::unordered_set<std::string> archives;
  std::unordered_map<std::string, Received> files;
  std::unordered_set<std::string> directories;
  std::unordered_set<std::string> links;
  BackupEntry entry;  // the one being received
  std::uint32_t crc = 0;
  Bytes control;
  bool has_control = false;
  detail::ManifestReader manifest;
  std::uint64_t listed = 0;
  Finished result;

  Result<std::optional<BackupEvent>> take_message();
  Status take_new_archive();
  Result<std::optional<BackupEvent>> take_archive_bytes();
  Status begin_entry();
  Status check_link() const;
  Status end_entry();
  Status check_control();
  Status take_manifest_bytes(ByteView bytes);
  Status finish_archive();
  Status begin_manifest();
  Result<BackupEvent> finish(const Until& until);
};

BaseBackup::BaseBackup(std::unique_ptr<State> state) : state_(std::move(state)) {}
BaseBackup::BaseBackup(BaseBackup&&) noexcept = default;
BaseBackup& BaseBackup::operator=(BaseBackup&&) noexcept = default;
BaseBackup::~BaseBackup() = default;

Lsn BaseBackup::start_position() const {
  return state_->start;
}
Timeline BaseBackup::timeline() const {
  return state_->timeline;
}
const std::vector<Tablespace>& BaseBackup::tablespaces() const {
  return state_->tablespaces;
}

namespace {

Result<std::vector<Tablespace>> read_tablespaces(const Answer& answer) {
  std::vector<Tablespace> tablespaces;
  for (const Answer::Row& row : answer.rows) {
    if (row.size() < 2) return bad_backup("a malformed list of tablespaces");
    if (!row[0]) continue;  // the data directory
    const auto oid = parse_u32(*row[0]);
    if (!oid.ok() || oid.value() == 0 || !row[1] || !row[1]->starts_with('/')) {
      return bad_backup("a malformed list of tablespaces");
    }
    tablespaces.push_back({TablespaceOid(oid.value()), *row[1]});
  }
  return tablespaces;
}

}  // namespace

Result<BaseBackup> BaseBackup::start(ReplicationConnection& connection, std::string_view label,
                                     const BackupOptions& options, const Until& until) {
  CHECK(!connection.is_streaming());
  if (connection.version().major < ServerMajor(15)) {
    return Error(Code::Unsupported, "base backups of PostgreSQL before 15 speak another dialect");
  }
  const std::string command = TRY(command_for(label, options));
  const SystemIdentity identity = TRY(connection.identify_system(until));
  detail::Connection& channel = *connection.connection_;
  channel.take_notices();
  TRY(channel.send(command, until));
  auto position = channel.next_answer(until);
  if (!position.ok()) {
    ignore(channel.drain(until), "the refusal is what counts");
    return position.take_error();
  }
  auto state = std::make_unique<State>(channel, identity.system);
  state->start = TRY(parse_lsn(TRY(cell(position.value(), 0))));
  state->timeline = Timeline(TRY(parse_u32(TRY(cell(position.value(), 1)))));
  state->tablespaces = TRY(read_tablespaces(TRY(channel.next_answer(until))));
  if (TRY(channel.next_answer(until)).kind != Answer::Kind::CopyOut) return bad_backup("no archive");
  return BaseBackup(std::move(state));
}

Result<BackupEvent> BaseBackup::next(const Until& until) {
  State& state = *state_;
  CHECK(state.phase != State::Phase::Over);
  for (;;) {
    if (state.archive) {
      if (auto event = TRY(state.take_archive_bytes())) return std::move(*event);
    }
    const CopyPiece piece = TRY(state.connection.copy_data(detail::Wait::UntilDeadline, until));
    if (piece.kind == CopyPiece::Kind::Nothing)
      return Error(Code::Unavailable, "base backup: nothing came until the deadline");
    if (piece.kind == CopyPiece::Kind::End) return state.finish(until);
    state.message = piece.bytes;
    if (auto event = TRY(state.take_message())) return std::move(*event);
  }
}

Result<std::optional<BackupEvent>> BaseBackup::State::take_message() {
  if (message.empty()) return bad_backup("an empty message");
  const Byte kind = message[0];
  message = message.subspan(1);
  const bool is_in_manifest = phase == Phase::Manifest;
  if (kind == 'd' && is_in_manifest) {
    const ByteView bytes = std::exchange(message, {});
    TRY(take_manifest_bytes(bytes));
    return std::optional<BackupEvent>(ManifestBytes{bytes});
  }
  if (kind == 'd' && archive) return std::optional<BackupEvent>();  // take_archive_bytes reads it
  if (kind == 'n' && !is_in_manifest) {
    TRY(take_new_archive());
  } else if (kind == 'm' && !is_in_manifest) {
    TRY(begin_manifest());
  } else if (kind != 'p') {
    return bad_backup("a message of an unknown kind");
  }
  message = {};
  return std::optional<BackupEvent>();
}

// name NUL path NUL: "OID.tar" and the tablespace's place, or "base.tar" and nothing, which comes last.
Status BaseBackup::State::take_new_archive() {
  TRY(finish_archive());
  const auto name = take_text(message);
  const auto location = take_text(message);
  if (!name || !location || !message.empty()) return bad_backup("a malformed beginning of an archive");
  if (archives.contains(std::string(kBaseArchive)) || !archives.insert(*name).second) {
    return bad_backup("an archive that does not belong here");
  }
  archive.emplace();
  folder.clear();
  if (*name == kBaseArchive) return location->empty() ? Status() : bad_backup("a base archive with a place");
  const auto place = std::find_if(tablespaces.begin(), tablespaces.end(), [&](const Tablespace& t) {
    return *name == fmt::format("{}.tar", t.oid.value()) && *location == t.location;
  });
  if (place == tablespaces.end()) return bad_backup("an archive of no tablespace");
  folder = folder_of(place->oid) + "/";
  return {};
}

Status BaseBackup::State::finish_archive() {
  if (!archive) return {};
  TRY(archive->finish());
  archive.reset();
  return {};
}

Result<std::optional<BackupEvent>> BaseBackup::State::take_archive_bytes() {
  detail::TarEvent event = TRY(archive->next(message));
  if (auto* begins = std::get_if<detail::TarEntry>(&event)) {
    entry = std::move(begins->entry);
    TRY(begin_entry());
    return std::optional<BackupEvent>(FileBegins{entry});
  }
  if (const auto* data = std::get_if<detail::TarData>(&event)) {
    crc = crc32c(data->bytes, crc);
    if (entry.path == kControlPath) append(control, data->bytes);
    return std::optional<BackupEvent>(FileBytes{data->bytes});
  }
  if (std::holds_alternative<detail::TarEntryEnds>(event)) {
    TRY(end_entry());
    return std::optional<BackupEvent>(FileEnds{entry.type == EntryType::File ? crc : 0});
  }
  return std::optional<BackupEvent>();
}

// The path is well-formed; now it must also fit with what came before.
Status BaseBackup::State::begin_entry() {
  const bool is_base = folder.empty();
  const std::string inside = entry.path;
  entry.path = folder + entry.path;
  crc = 0;
  if (files.size() + directories.size() >= kMaximumBackupFiles) {
    return Error(Code::Exhausted, fmt::format("base backup: more than {} files", kMaximumBackupFiles));
  }
  if (files.contains(entry.path) || directories.contains(entry.path) || links.contains(entry.path)) {
    return bad_backup("it holds twice: " + printable(entry.path));
  }
  const std::size_t slash = inside.rfind('/');
  if (slash != std::string::npos && !directories.contains(folder + inside.substr(0, slash))) {
    return bad_backup("not in a directory of the backup: " + printable(entry.path));
  }
  switch (entry.type) {
    case EntryType::Symlink:
      TRY(check_link());
      links.insert(entry.path);
      break;
    case EntryType::Directory:
      if (is_base && slash != std::string::npos && inside.substr(0, slash) == kTablespaceFolder) {
        return bad_backup("a tablespace inside the data directory");
      }
      directories.insert(entry.path);
      break;
    case EntryType::File:
      files.emplace(entry.path, Received{entry.size, 0, false});
      if (entry.path == kControlPath && entry.size > kControlFileBytes) return bad_backup("pg_control is too long");
      break;
  }
  return {};
}

Status BaseBackup::State::check_link() const {
  for (const Tablespace& tablespace : tablespaces) {
    if (entry.path == folder_of(tablespace.oid) && entry.link_target == tablespace.location) return {};
  }
  return bad_backup("a link that is no tablespace: " + printable(entry.path));
}

Status BaseBackup::State::end_entry() {
  if (entry.type != EntryType::File) return {};
  files[entry.path].crc32c = crc;
  ++result.files;
  result.bytes += entry.size;
  return entry.path == kControlPath ? check_control() : Status();
}

Status BaseBackup::State::check_control() {
  const ControlFile parsed = TRY(parse_control_file(control).in([] { return std::string("base backup"); }));
  if (parsed.system != system) {
    return bad_backup(fmt::format("pg_control is of system {}, not {}", to_text(parsed.system), to_text(system)));
  }
  has_control = true;
  return {};
}

Status BaseBackup::State::begin_manifest() {
  TRY(finish_archive());
  if (archives.size() != tablespaces.size() + 1 || !archives.contains(std::string(kBaseArchive))) {
    return bad_backup("an archive is missing");
  }
  if (!has_control) return bad_backup("pg_control is missing");
  phase = Phase::Manifest;
  return {};
}

Status BaseBackup::State::take_manifest_bytes(ByteView bytes) {
  while (!bytes.empty()) {
    const auto file = TRY(manifest.next(bytes));
    if (!file) continue;
    const auto received = files.find(file->path);
    if (received == files.end()) return bad_backup("the manifest lists what did not come: " + printable(file->path));
    if (received->second.is_listed) return bad_backup("the manifest lists twice: " + printable(file->path));
    if (received->second.size != file->size || received->second.crc32c != file->crc32c) {
      return bad_backup("not as the manifest says: " + printable(file->path));
    }
    received->second.is_listed = true;
    ++listed;
  }
  return {};
}

// After the copy: where the backup ends, and, behind that, whether pages were bad.
Result<BackupEvent> BaseBackup::State::finish(const Until& until) {
  if (phase != Phase::Manifest) {
    const auto answer = connection.next_answer(until);
    return answer.ok() ? bad_backup("it ended before its manifest") : answer.error();
  }
  phase = Phase::Over;
  const detail::ManifestSummary summary = TRY(manifest.finish());
  if (listed != files.size()) return bad_backup("the manifest leaves out files that came");
  if (summary.system && *summary.system != system) return bad_backup("the manifest is of another system");
  const Answer end = TRY(connection.next_answer(until));
  result.start = start;
  result.end = TRY(parse_lsn(TRY(cell(end, 0))));
  result.timeline = Timeline(TRY(parse_u32(TRY(cell(end, 1)))));
  if (summary.start != result.start || summary.end != result.end || summary.timeline != result.timeline) {
    return bad_backup("the manifest is of another range of WAL");
  }
  result.manifest_bytes = summary.bytes;
  result.manifest_hashed_bytes = summary.hashed_bytes;
  result.manifest_sha256 = summary.sha256;
  const Status rest = connection.drain(until);
  std::vector<std::string> warnings = connection.take_notices();
  if (rest.ok()) {
    result.warnings = std::move(warnings);
  } else {
    if (rest.error().code() != Code::Corrupt) return rest.error();
    result.checksum_failures = std::move(warnings);
    result.checksum_failures.push_back(rest.error().message());
    TRY(connection.drain(until));
  }
  return BackupEvent(std::move(result));
}

}  // namespace exclave::pg
