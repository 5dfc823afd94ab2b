#include "pg/detail/manifest_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "pg/detail/little_endian.h"

namespace exclave::pg::detail {
namespace {

constexpr std::size_t kSha256Digits = 64;

Error bad_manifest(std::string_view what) {
  return {Code::Corrupt, fmt::format("backup manifest: {}", what)};
}

// What is left of a line, taken piece by piece; the first piece that does not fit makes the rest fail.
class Scanner {
 public:
  explicit Scanner(std::string_view rest) : rest_(rest) {}

  bool take(std::string_view literal) {
    if (!rest_.starts_with(literal)) return false;
    rest_.remove_prefix(literal.size());
    return true;
  }
  std::optional<std::uint64_t> number() {
    const std::size_t size = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    const auto value = parse_u64(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value.ok() ? std::optional(value.value()) : std::nullopt;
  }
  // A JSON string with the escapes that the server writes.
  std::optional<std::string> quoted() {
    if (!take("\"")) return std::nullopt;
    std::string value;
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return value;
      if (static_cast<unsigned char>(c) < 0x20) return std::nullopt;
      if (c != '\\') {
        value += c;
        continue;
      }
      const auto escaped = escape();
      if (!escaped) return std::nullopt;
      value += *escaped;
    }
    return std::nullopt;
  }
  bool is_done() const { return rest_.empty(); }

 private:
  std::optional<char> escape() {
    if (rest_.empty()) return std::nullopt;
    const char kind = rest_.front();
    rest_.remove_prefix(1);
    constexpr std::string_view kKinds = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (const std::size_t at = kKinds.find(kind); at != std::string_view::npos) return kMeant[at];
    if (kind != 'u' || rest_.size() < 4 || !rest_.starts_with("00")) return std::nullopt;
    const auto byte = from_hex(rest_.substr(2, 2));
    rest_.remove_prefix(4);
    if (!byte.ok() || byte.value()[0] >= 0x20) return std::nullopt;  // only control characters are written so
    return static_cast<char>(byte.value()[0]);
  }

  std::string_view rest_;
};

Result<ManifestFile> parse_file(std::string_view line) {
  Scanner scan(line);
  ManifestFile file;
  const bool is_encoded = scan.take("{ \"Encoded-Path\": ");
  if (!is_encoded && !scan.take("{ \"Path\": ")) return bad_manifest("a file without a path");
  auto path = scan.quoted();
  if (!path) return bad_manifest("a file with a malformed path");
  file.path = std::move(*path);
  if (is_encoded) {
    const auto bytes = from_hex(file.path);
    if (!bytes.ok()) return bad_manifest("a file with a malformed path");
    file.path = as_text(bytes.value());
  }
  if (!scan.take(", \"Size\": ")) return bad_manifest("a file without a size");
  const auto size = scan.number();
  if (!size || !scan.take(", \"Last-Modified\": ") || !scan.quoted())
    return bad_manifest("a file with a malformed size or time");
  file.size = *size;
  if (!scan.take(", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": ")) {
    return Error(Code::Unsupported, "backup manifest: its checksums are not CRC32C");
  }
  const auto checksum = scan.quoted();
  Bytes bytes(sizeof(std::uint32_t));
  if (!checksum || !from_hex_into(*checksum, bytes).ok()) return bad_manifest("a file with a malformed checksum");
  file.crc32c = little_u32(bytes);  // the number as it lies in the server's memory
  if (!scan.take(" }") || !scan.is_done()) return bad_manifest("something after a file");
  return file;
}

}  // namespace

Result<std::optional<ManifestFile>> ManifestReader::next(ByteView& bytes) {
  while (!bytes.empty()) {
    const auto end = std::find(bytes.begin(), bytes.end(), Byte{'\n'});
    const auto size = static_cast<std::size_t>(end - bytes.begin());
    if (line_.size() + size > kMaximumLineBytes) return bad_manifest("a line that is too long");
    line_ += as_text(bytes.first(size));
    const bool is_whole = end != bytes.end();
    summary_.bytes += size + (is_whole ? 1 : 0);
    bytes = bytes.subspan(size + (is_whole ? 1 : 0));
    if (!is_whole) return std::optional<ManifestFile>();
    auto file = TRY(take_line(line_));
    line_.clear();
    if (file) return file;
  }
  return std::optional<ManifestFile>();
}

Result<std::optional<ManifestFile>> ManifestReader::take_line(std::string_view line) {
  const std::optional<ManifestFile> nothing;
  const bool is_list_end = line == "],";
  switch (state_) {
    case State::Version:
      TRY(take_version(line));
      return nothing;
    case State::System: {
      Scanner scan(line);
      const auto system = scan.take("\"System-Identifier\": ") ? scan.number() : std::nullopt;
      if (!system || !scan.take(",") || !scan.is_done()) return bad_manifest("no system identifier");
      summary_.system = SystemIdentifier(*system);
      state_ = State::FilesBegin;
      return nothing;
    }
    case State::FilesBegin:
    case State::RangesBegin: {
      const bool is_files = state_ == State::FilesBegin;
      if (line != (is_files ? "\"Files\": [" : "\"WAL-Ranges\": [")) return bad_manifest("a list is missing");
      state_ = is_files ? State::Files : State::Ranges;
      expects_more_ = true;
      return nothing;
    }
    case State::Files:
    case State::Ranges: {
      const bool is_files = state_ == State::Files;
      if (is_list_end && !expects_more_) {
        state_ = is_files ? State::RangesBegin : State::Checksum;
        return nothing;
      }
      if (!expects_more_) return bad_manifest("an entry after the last one");
      expects_more_ = line.ends_with(',');
      if (expects_more_) line.remove_suffix(1);
      if (is_files) return std::optional<ManifestFile>(TRY(parse_file(line)));
      TRY(take_range(line));
      return nothing;
    }
    case State::Checksum:
      TRY(take_checksum(line));
      return nothing;
    case State::Over:
      break;
  }
  return bad_manifest("something after its end");
}

Status ManifestReader::take_version(std::string_view line) {
  Scanner scan(line);
  if (!scan.take("{ \"PostgreSQL-Backup-Manifest-Version\": ")) return bad_manifest("no version");
  const auto version = scan.number();
  if (!version || !scan.take(",") || !scan.is_done()) return bad_manifest("no version");
  if (*version != 1 && *version != 2) {
    return Error(Code::Unsupported, fmt::format("backup manifest: version {}", *version));
  }
  state_ = *version == 1 ? State::FilesBegin : State::System;
  return {};
}

Status ManifestReader::take_range(std::string_view line) {
  Scanner scan(line);
  const auto timeline = scan.take("{ \"Timeline\": ") ? scan.number() : std::nullopt;
  if (!timeline || *timeline == 0 || *timeline > 0xffffffff) return bad_manifest("a range of WAL without a timeline");
  const auto start = scan.take(", \"Start-LSN\": ") ? scan.quoted() : std::nullopt;
  const auto end = scan.take(", \"End-LSN\": ") ? scan.quoted() : std::nullopt;
  if (!start || !end || !scan.take(" }") || !scan.is_done()) return bad_manifest("a malformed range of WAL");
  const auto start_position = parse_lsn(*start);
  const auto end_position = parse_lsn(*end);
  if (!start_position.ok() || !end_position.ok() || start_position.value() > end_position.value()) {
    return bad_manifest("an impossible range of WAL");
  }
  // The server writes the newest timeline first.
  if (is_first_range_) {
    summary_.timeline = Timeline(static_cast<std::uint32_t>(*timeline));
    summary_.end = end_position.value();
  }
  summary_.start = start_position.value();
  is_first_range_ = false;
  return {};
}

Status ManifestReader::take_checksum(std::string_view line) {
  Scanner scan(line);
  const auto checksum = scan.take("\"Manifest-Checksum\": ") ? scan.quoted() : std::nullopt;
  if (!checksum || checksum->size() != kSha256Digits || !from_hex(*checksum).ok() || !scan.take("}") ||
      !scan.is_done()) {
    return bad_manifest("no checksum of its own");
  }
  summary_.sha256 = *checksum;
  summary_.hashed_bytes = summary_.bytes - line.size() - 1;
  state_ = State::Over;
  return {};
}

Result<ManifestSummary> ManifestReader::finish() const {
  if (state_ != State::Over || !line_.empty()) return bad_manifest("it is not whole");
  return summary_;
}

}  // namespace exclave::pg::detail
