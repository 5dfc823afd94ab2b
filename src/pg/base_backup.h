// BaseBackup: a copy of a running server's data directory, as a sequence of files, over the replication protocol.
// Hides: BASE_BACKUP, its messages, the tar archives inside them, and the manifest.
//
//   start -> (FileBegins FileBytes* FileEnds)* ManifestBytes* Finished
//            paths as below the data directory; files of a tablespace as "pg_tblspc/OID/..."
//            order: tablespaces first; then backup_label, tablespace_map, ..., last "global/pg_control"
//
// Whoever restores puts a tablespace's files at its location; the server makes the link "pg_tblspc/OID" itself when it
// starts, from tablespace_map (with which no link is in the stream), and there must be nothing else of that name.
//
// I1  Every path is relative, without "..", ".", empty components, NUL or control characters, and comes once; links are
//     only "pg_tblspc/OID". A stream that says otherwise is Corrupt, and nothing of that entry is handed out.
// I2  Finished is only returned if pg_control was among the files, its CRC is right and it names the server's own
//     system; and if the manifest lists exactly the regular files that came, with their sizes and CRC-32Cs.
//     The manifest's SHA-256 over itself is not checked here, because this module has no crypto: Finished carries what
//     it must be and over how many of its bytes.
// I3  Bad page checksums do not stop the copy: they are told in Finished, and the caller decides.
// I4  The backup is of no use without the WAL from `start` to Finished::end: have the stream running first.
// I5  Memory: what is in flight, and about 150 bytes per file; at most kMaximumBackupFiles.
// Threads: one at a time; the connection is the backup's until Finished. Blocks up to `until`.
// Errors: those of replication.h; Corrupt (I1, I2), Unsupported (servers before 15: another dialect), Exhausted (I5).
// Source: PostgreSQL 15 documentation, 55.4 BASE_BACKUP; docs/adr/0023-libpq-behind-pg.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pg/replication.h"

namespace exclave::pg {

inline constexpr std::size_t kMaximumBackupFiles = 8'000'000;

using TablespaceOid = Tagged<std::uint32_t, struct TablespaceOidTag>;

struct Tablespace {
  TablespaceOid oid;
  std::string location;  // absolute, at the server
};

enum class EntryType { File, Directory, Symlink };

struct BackupEntry {
  std::string path;
  EntryType type = EntryType::File;
  std::uint32_t mode = 0;  // permission bits
  std::uint64_t size = 0;  // of a file
  env::Timestamp modified;
  std::string link_target;  // of a link
};

struct FileBegins {
  BackupEntry entry;
};
struct FileBytes {
  ByteView bytes;  // valid until the next call
};
struct FileEnds {
  std::uint32_t crc32c = 0;
};
struct ManifestBytes {
  ByteView bytes;  // valid until the next call
};
struct Finished {
  Lsn start;
  Lsn end;  // WAL up to here must be durable before the backup is usable
  Timeline timeline;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t manifest_bytes = 0;
  std::uint64_t manifest_hashed_bytes = 0;  // the SHA-256 below is over this many first bytes of the manifest
  std::string manifest_sha256;              // lower-case hexadecimal
  // What the server said about pages whose checksum is wrong; empty = all good (or the server has no checksums).
  std::vector<std::string> checksum_failures;
  // What else it warned of while it copied, such as a file that it passed over: that is in neither files nor manifest.
  std::vector<std::string> warnings;
};

using BackupEvent = std::variant<FileBegins, FileBytes, FileEnds, ManifestBytes, Finished>;

enum class Checkpoint { Fast, Spread };
enum class PageChecks { On, Off };

struct BackupOptions {
  Checkpoint checkpoint = Checkpoint::Fast;
  PageChecks page_checks = PageChecks::On;
  std::optional<std::uint32_t> maximum_kilobytes_per_second{};  // 32 .. 1,048,576
};

class BaseBackup {
 public:
  // Waits for the checkpoint. Preconditions: `connection` outlives this, and is in command state. Label: at most 1,024
  // bytes without control characters.
  static Result<BaseBackup> start(ReplicationConnection& connection, std::string_view label,
                                  const BackupOptions& options, const Until& until);
  BaseBackup(BaseBackup&&) noexcept;
  BaseBackup& operator=(BaseBackup&&) noexcept;
  ~BaseBackup();

  Lsn start_position() const;
  Timeline timeline() const;
  const std::vector<Tablespace>& tablespaces() const;  // without the data directory itself

  // The next event; after Finished there is none (CHECK). After an error only dropping backup and connection is left.
  Result<BackupEvent> next(const Until& until);

 private:
  struct State;
  explicit BaseBackup(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace exclave::pg
