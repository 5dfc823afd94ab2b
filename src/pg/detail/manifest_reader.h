// ManifestReader: a backup manifest as PostgreSQL 13 to 17 writes it, from bytes cut anywhere.
// Hides: its JSON, of which only the one spelling that the server uses is believed, a line at a time.
//
//   { "PostgreSQL-Backup-Manifest-Version": 1,
//   "Files": [
//   { "Path": "...", "Size": n, "Last-Modified": "... GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "hex" },
//   ],                                       version 2 (17) has "System-Identifier": n, as its second line;
//   "WAL-Ranges": [                          a path that is not UTF-8 is "Encoded-Path": "hex"
//   { "Timeline": n, "Start-LSN": "X/X", "End-LSN": "X/X" }
//   ],
//   "Manifest-Checksum": "SHA-256 of everything before this line, hex"}
//
// I1  Memory is one line, at most kMaximumLineBytes.
// Threads: none of its own; one user at a time.
// Errors: Corrupt, Unsupported (another version of the manifest, other checksums than CRC32C).
// Source: PostgreSQL 15 documentation, chapter 77 Backup Manifest Format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "pg/lsn.h"

namespace exclave::pg::detail {

struct ManifestFile {
  std::string path;
  std::uint64_t size = 0;
  std::uint32_t crc32c = 0;
};

struct ManifestSummary {
  std::optional<SystemIdentifier> system;  // version 2 only
  Timeline timeline;                       // of the first range: the server writes the newest one first
  Lsn start;                               // of the last range
  Lsn end;                                 // of the first range
  std::uint64_t bytes = 0;
  std::uint64_t hashed_bytes = 0;
  std::string sha256;  // lower-case hexadecimal
};

class ManifestReader {
 public:
  static constexpr std::size_t kMaximumLineBytes = std::size_t{64} << 10;

  // Takes from the front of `bytes` up to the end of the next file's line; nullopt: all were taken.
  Result<std::optional<ManifestFile>> next(ByteView& bytes);
  // Corrupt if the manifest is not whole.
  Result<ManifestSummary> finish() const;

 private:
  enum class State { Version, System, FilesBegin, Files, RangesBegin, Ranges, Checksum, Over };

  Result<std::optional<ManifestFile>> take_line(std::string_view line);
  Status take_version(std::string_view line);
  Status take_range(std::string_view line);
  Status take_checksum(std::string_view line);

  State state_ = State::Version;
  bool expects_more_ = false;  // the last line of a list ended in a comma
  bool is_first_range_ = true;
  std::string line_;
  ManifestSummary summary_;
};

}  // namespace exclave::pg::detail
