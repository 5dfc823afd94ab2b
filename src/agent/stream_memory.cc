#include "agent/stream_memory.h"

#include <algorithm>

#include "base/text.h"
#include "env/file_system.h"
#include "format/signed_text.h"

namespace exclave::agent {
namespace {

constexpr std::string_view kPositionDomain = "exclave/stream-position/v1";
constexpr std::string_view kSystemFile = "system";
constexpr std::string_view kPositionFile = "position";
constexpr std::string_view kJournalFile = "journal";
constexpr std::size_t kMostNumberBytes = 64;
constexpr std::size_t kMostPositionBytes = std::size_t{1} << 20;

Result<pg::TimelineHistory> parse_history(format::TextReader& reader) {
  pg::TimelineHistory history{pg::Timeline(TRY(parse_u32(TRY(reader.field("timeline"))))), {}};
  while (reader.next_is("switch")) {
    const std::string text = TRY(reader.field("switch"));
    const auto fields = split(text, ' ');
    if (fields.size() != 2) return reader.bad("is not 'TIMELINE POSITION'");
    const auto parent = TRY(parse_u32(fields[0]));
    const pg::Lsn switch_point = TRY(pg::parse_lsn(fields[1]));
    history.switches.push_back({pg::Timeline(parent), switch_point});
  }
  return history;
}

Result<std::vector<ExposedJournal>> parse_journals(format::TextReader& reader) {
  std::vector<ExposedJournal> journals;
  while (reader.next_is("exposed-in")) {
    const std::string text = TRY(reader.field("exposed-in"));
    const auto fields = split(text, ' ');
    if (fields.size() != 2) return reader.bad("is not 'START FRAMES'");
    const std::uint64_t start = TRY(parse_u64(fields[0]));
    const std::uint64_t frames = TRY(parse_u64(fields[1]));
    journals.push_back({start, frames});
  }
  return journals;
}

std::string system_line(pg::SystemIdentifier system) {
  return pg::to_text(system) + "\n";
}

}  // namespace

Result<StreamPosition> StreamPosition::parse(ByteView document, const std::string& source) {
  auto reader = TRY(format::TextReader::open(document, kPositionDomain, source));
  StreamPosition position;
  position.acknowledged = TRY(pg::parse_lsn(TRY(reader.field("acknowledged"))));
  position.commit = TRY(pg::parse_lsn(TRY(reader.field("commit"))));
  position.history = TRY(parse_history(reader));
  if (reader.next_is("exposed-from")) {
    Exposure& exposed = position.exposed.emplace();
    exposed.from = TRY(pg::parse_lsn(TRY(reader.field("exposed-from"))));
    exposed.to = TRY(pg::parse_lsn(TRY(reader.field("exposed-to"))));
    const std::int64_t since = TRY(reader.seconds("exposed-since"));
    exposed.since = env::Timestamp::from_seconds(since);
    if (exposed.since.seconds() != since) return reader.bad("the exposure began at no time there is");
    exposed.journals = TRY(parse_journals(reader));
  }
  if (reader.next_is("tail-from")) {
    LogStretch& tail = position.tail.emplace();
    tail.from = TRY(pg::parse_lsn(TRY(reader.field("tail-from"))));
    tail.to = TRY(pg::parse_lsn(TRY(reader.field("tail-to"))));
    tail.hash = TRY(crypto::Hash256::from_hex(TRY(reader.field("tail-hash"))));
    if (tail.from >= tail.to || tail.to > position.acknowledged)
      return reader.bad("the tail does not lie before what was acknowledged");
  }
  TRY(reader.end());
  return position;
}

std::string StreamPosition::text() const {
  format::TextWriter writer(kPositionDomain);
  writer.field("acknowledged", pg::to_text(acknowledged));
  writer.field("commit", pg::to_text(commit));
  writer.field("timeline", pg::to_text(history.timeline));
  for (const pg::TimelineSwitch& change : history.switches)
    writer.field("switch", pg::to_text(change.parent) + " " + pg::to_text(change.switch_point));
  if (exposed.has_value()) {
    writer.field("exposed-from", pg::to_text(exposed->from));
    writer.field("exposed-to", pg::to_text(exposed->to));
    writer.field("exposed-since", std::to_string(exposed->since.seconds()));
    for (const ExposedJournal& journal : exposed->journals)
      writer.field("exposed-in", std::to_string(journal.start) + " " + std::to_string(journal.frames));
  }
  if (tail.has_value()) {
    writer.field("tail-from", pg::to_text(tail->from));
    writer.field("tail-to", pg::to_text(tail->to));
    writer.field("tail-hash", tail->hash.hex());
  }
  return writer.text();
}

std::string StreamMemory::path_of(std::string_view file) const {
  return env::join_path(directory_, file);
}

Result<std::optional<std::string>> StreamMemory::read(std::string_view file, std::size_t most) const {
  const auto bytes = files_.read_file(path_of(file), most);
  if (bytes.ok()) return std::optional(std::string(as_text(bytes.value())));
  if (bytes.error().code() == Code::NotFound) return std::optional<std::string>();
  return bytes.error();
}

Status StreamMemory::check_system(pg::SystemIdentifier system) {
  if (TRY(knows_system())) return check_known_system(system);
  TRY(forget_position());
  return env::create_file_durably(files_, system_path(), as_bytes(system_line(system)), env::kPrivateFile);
}

Status StreamMemory::check_known_system(pg::SystemIdentifier system) const {
  const auto known = TRY(read(kSystemFile, kMostNumberBytes));
  if (!known.has_value() || *known == system_line(system)) return {};
  return Error(Code::Precondition, "the server is another one than before: its system identifier is " +
                                       pg::to_text(system) + ", and dataset " + dataset_ + " is of " +
                                       printable(known->substr(0, known->find('\n'))))
      .hint("name a new dataset for a new server; if this one replaces the old for good, remove '" +
            printable(system_path()) + "'");
}

std::string StreamMemory::system_path() const {
  return path_of(kSystemFile);
}

Result<bool> StreamMemory::knows_system() const {
  return TRY(read(kSystemFile, kMostNumberBytes)).has_value();
}

Result<std::optional<StreamPosition>> StreamMemory::position() const {
  const std::string path = path_of(kPositionFile);
  const auto text = TRY(read(kPositionFile, kMostPositionBytes));
  if (!text.has_value()) return std::optional<StreamPosition>();
  auto position = StreamPosition::parse(as_bytes(*text), path);
  if (position.ok()) return std::optional(position.take());
  return Error(Code::Corrupt, "'" + printable(path) + "' holds no position: " + position.error().message())
      .hint(
          "remove it: the slot knows as well where the log goes on; of commits that were acknowledged without the "
          "vaults it does not: take a new base backup");
}

Status StreamMemory::keep(const StreamPosition& position) {
  return env::replace_file_durably(files_, path_of(kPositionFile), as_bytes(position.text()), env::kPrivateFile);
}

Status StreamMemory::forget_position() {
  Status removed = files_.remove_file(path_of(kPositionFile));
  if (!removed.ok() && removed.error().code() != Code::NotFound) return removed;
  return files_.sync_directory(directory_);
}

Result<std::uint64_t> StreamMemory::next_journal_start(env::Timestamp now) {
  const auto text = TRY(read(kJournalFile, kMostNumberBytes));
  std::uint64_t start = now.nanoseconds > 0 ? static_cast<std::uint64_t>(now.nanoseconds) : 0;
  if (text.has_value()) {
    const auto last = parse_u64(*text);
    if (!last.ok()) {
      return Error(Code::Corrupt, "'" + printable(path_of(kJournalFile)) + "' holds no number")
          .hint("remove it, if this machine's clock is right and was never ahead");
    }
    start = std::max(start, last.value() + 1);
  }
  TRY(env::replace_file_durably(files_, path_of(kJournalFile), as_bytes(std::to_string(start)), env::kPrivateFile));
  return start;
}

}  // namespace exclave::agent
