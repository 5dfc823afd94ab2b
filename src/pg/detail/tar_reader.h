// TarReader: one archive as PostgreSQL's BASE_BACKUP writes it, from bytes cut anywhere.
// Hides: the ustar header, padding, and the end of the archive.
//
//   archive := (header 512 | data | zeros to 512)* zeros 1,024..
//   header  := name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link 100 | "ustar" 0 "00" ...
//
// I1  A path has 1..99 bytes, is relative, has no empty, "." or ".." component and no control character; a "/" at the
//     end only for directories and links, and it is taken off; so is one "./" at the beginning.
// I2  Only files, directories and links; no extensions (pax, GNU): PostgreSQL writes none.
// I3  Memory is one header.
// Threads: none of its own; one user at a time.
// Errors: Corrupt.
// Source: POSIX.1-2017 pax "ustar interchange format"; PostgreSQL 15, port/tar.c (facts).
#pragma once

#include <array>
#include <cstdint>
#include <variant>

#include "base/bytes.h"
#include "pg/base_backup.h"

namespace exclave::pg::detail {

struct TarNeedsMore {};
struct TarEntry {
  BackupEntry entry;
};
struct TarData {
  ByteView bytes;  // of what was given to next()
};
struct TarEntryEnds {};
using TarEvent = std::variant<TarNeedsMore, TarEntry, TarData, TarEntryEnds>;

class TarReader {
 public:
  // Takes from the front of `bytes` what the next event needs; TarNeedsMore only when all were taken.
  Result<TarEvent> next(ByteView& bytes);
  // The archive is over. Corrupt in the middle of something, or without its end marker.
  Status finish() const;

 private:
  static constexpr std::size_t kBlockBytes = 512;
  enum class State { Header, Data, EntryEnd, Padding, Trailer };

  Result<TarEvent> take_header();

  State state_ = State::Header;
  std::array<Byte, kBlockBytes> header_{};
  std::size_t header_have_ = 0;
  std::uint64_t data_left_ = 0;
  std::uint64_t padding_left_ = 0;
  std::uint64_t trailer_bytes_ = 0;
};

// Whether `path` is as I1 says, without the last slash.
bool is_backup_path(std::string_view path);

}  // namespace exclave::pg::detail
