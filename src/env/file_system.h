// FileSystem: files and directories of one machine, with durability stated openly.
// Hides: system calls, PATH_MAX, descriptor limits; in sim, the whole disk and its faults.
//
// Two uses share it:
//   state files   (vault store, agent state): named by path; durable only through the three calls marked DURABLE.
//   user trees    (capture, restore): an open Directory and names in it, never following symbolic links.
//
// Paths are byte strings, not text; '/'-separated; absolute or relative to the working directory.
// posix serves paths longer than PATH_MAX by walking down in steps.
// I1  Names given to a Directory hold no '/', no NUL, and are not "", "." or "..": InvalidInput otherwise.
// I2  A call marked DURABLE that returned ok survives power loss; one that failed left the old state or, for create,
//     possibly a temporary file whose name starts with ".tmp-" (remove_temporaries cleans up at start).
// I3  sync() that failed once fails for ever on that file (the kernel forgets dirty pages after an error).
// Threads: FileSystem and Directory may be used from several threads; a file handle by one thread at a time,
//          except read_at, which is thread-safe.
// Errors: NotFound, AlreadyExists, Denied, Exhausted (ENOSPC, EDQUOT, EMFILE), Corrupt (EIO on read),
//         InvalidInput (name too long, not a directory), Unavailable (machine is down, in sim; EIO on write).
// See: docs/testing.md (fault model), tests/crash.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "env/time.h"

namespace exclave::env {

// Modes of what only its owner may read: all that a program here makes for itself.
inline constexpr std::uint32_t kPrivateFile = 0600;
inline constexpr std::uint32_t kPrivateDirectory = 0700;
// Of a directory through which others come, by names that they know.
inline constexpr std::uint32_t kPassableDirectory = 0711;

enum class FileType : std::uint8_t { Regular, Directory, Symlink, Fifo, Socket, CharDevice, BlockDevice };

struct FileInfo {
  FileType type = FileType::Regular;
  std::uint32_t mode = 0;  // permission bits with setuid, setgid, sticky: 0..07777
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint64_t size = 0;  // bytes; of the target's text for a symlink
  Timestamp modified;
  Timestamp changed;  // ctime: set by the kernel, cannot be forged without root
  std::uint64_t inode = 0;
  std::uint64_t device = 0;  // of the file system
  std::uint64_t link_count = 1;
  std::uint32_t device_major = 0;  // of a device node
  std::uint32_t device_minor = 0;
  std::uint64_t allocated_bytes = 0;
};
// Whether both were told of one file or directory.
bool is_same_file(const FileInfo& one, const FileInfo& other);

struct Xattr {
  std::string name;
  Bytes value;
  friend bool operator==(const Xattr&, const Xattr&) = default;
};

// [begin, end) holds data; what lies between extents reads as zeros and takes no space.
struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // Reads up to out.size() bytes at `offset`; fewer only at the end of the file; 0 = at or past the end.
  virtual Result<std::size_t> read_at(std::uint64_t offset, MutableByteView out) = 0;
  virtual Result<FileInfo> info() = 0;
  virtual Result<std::vector<Xattr>> xattrs() = 0;  // sorted by name; includes POSIX ACLs (system.posix_acl_*)
  // First data extent at or after `offset`; nullopt if only a hole follows.
  virtual Result<std::optional<Extent>> next_data(std::uint64_t offset) = 0;
  // Hint: the whole file will be read soon (no error if it cannot be followed).
  virtual void will_need() = 0;
  // Hint: the file will be read once, front to back.
  virtual void sequential() = 0;
};

using FileOwner = std::pair<std::uint32_t, std::uint32_t>;  // user, group

// Everything about a file that a restore sets. Order of setting is the implementation's business (owner, mode,
// xattrs, then time). Without the right to change the owner, an `owner` that is not the present one fails with Denied.
struct FileAttributes {
  std::optional<std::uint32_t> mode;
  std::optional<FileOwner> owner;
  std::optional<Timestamp> modified;
  std::vector<Xattr> xattrs;
};

class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status write_at(std::uint64_t offset, ByteView data) = 0;  // all of it, or an error
  // write_at, and durable: `data` alone. Made for small appends to a file that has its size already; without a detour
  // through memory where offset and size are multiples of kBlockBytes. After an error the place may hold anything.
  virtual Status write_at_durably(std::uint64_t offset, ByteView data) {
    TRY(write_at(offset, data));
    return sync();
  }
  static constexpr std::size_t kBlockBytes = 4096;
  virtual Status append(ByteView data) = 0;
  virtual Status resize(std::uint64_t size) = 0;  // a grown part is a hole
  // Of the open file, whatever its name is by now. A later write undoes time and set-id bits: it comes last.
  virtual Status set_attributes(const FileAttributes& attributes) = 0;
  // Data and size are durable after ok; the *name* only after Directory/FileSystem::sync_directory.
  virtual Status sync() = 0;
};

// Whatever has a name in a directory, of any type: held without being opened, and without following a link, so that what
// was looked at is what is changed, whoever gives the name to something else meanwhile. No right to read it is needed.
class PinnedEntry {
 public:
  virtual ~PinnedEntry() = default;
  virtual Result<FileInfo> info() = 0;
  virtual Status set_attributes(const FileAttributes& attributes) = 0;
};

struct DirectoryEntry {
  std::string name;
  std::optional<FileType> type;  // when the file system tells without a stat
};

// An open directory. Dropping it closes it.
class Directory {
 public:
  virtual ~Directory() = default;
  virtual Result<FileInfo> info() = 0;
  // When it was made. It never changes, and nobody sets it: with the inode's number it tells this directory from every
  // other one, also from one that gets the number later. nullopt where the file system does not tell.
  virtual Result<std::optional<Timestamp>> created() { return std::optional<Timestamp>(); }
  virtual Result<std::vector<Xattr>> own_xattrs() = 0;
  // All entries but "." and "..", in no particular order.
  virtual Result<std::vector<DirectoryEntry>> entries() = 0;

  virtual Result<FileInfo> stat(std::string_view name) = 0;                              // of a symlink itself
  virtual Result<std::unique_ptr<Directory>> open_directory(std::string_view name) = 0;  // InvalidInput for a symlink
  // Opens a regular file; never blocks on a FIFO; InvalidInput if it is not (any more) a regular file.
  virtual Result<std::unique_ptr<ReadableFile>> open_file(std::string_view name) = 0;
  virtual Result<std::unique_ptr<PinnedEntry>> pin(std::string_view name) {
    return Error(Code::Unsupported, "'" + std::string(name) + "' cannot be pinned here");
  }
  virtual Result<std::string> read_link(std::string_view name) = 0;
  virtual Result<std::vector<Xattr>> xattrs(std::string_view name) = 0;  // of any type, no following

  virtual Status create_directory(std::string_view name, std::uint32_t mode) = 0;
  virtual Result<std::unique_ptr<WritableFile>> create_file(std::string_view name, std::uint32_t mode) = 0;  // new only
  virtual Result<std::unique_ptr<WritableFile>> open_for_write(std::string_view name) = 0;  // existing regular file
  virtual Status create_symlink(std::string_view name, std::string_view target) = 0;
  // A second name, in this directory, for the file `source_name` in `source`.
  virtual Status create_link(std::string_view name, Directory& source, std::string_view source_name) = 0;
  virtual Status create_node(std::string_view name, FileType type, std::uint32_t mode, std::uint32_t major,
                             std::uint32_t minor) = 0;
  virtual Status set_attributes(std::string_view name, const FileAttributes& attributes) = 0;
  virtual Status set_own_attributes(const FileAttributes& attributes) = 0;
  virtual Status remove(std::string_view name) = 0;  // file or empty directory
  // In one step, replacing a file that had the name.
  virtual Status rename(std::string_view from, std::string_view to) = 0;
  // Its own ACL, and the default one, which everything made in it would inherit; fine if it has none. The mode stays.
  virtual Status drop_acls() = 0;

  // DURABLE: everything on the file system that holds it. Fails also if something was lost since this was opened, be it
  // that nobody waited for it: who opens it before writing learns of every failure (syncfs).
  virtual Status sync_all() = 0;
  // Exclusive, until this is dropped. Conflict if another open Directory holds it; Unsupported on some network file
  // systems.
  virtual Status lock() = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // --- user trees ---
  virtual Result<std::unique_ptr<Directory>> open_directory(std::string_view path) = 0;  // follows a final symlink
  virtual Result<FileInfo> stat(std::string_view path) = 0;                              // of a symlink itself
  virtual Result<std::string> canonical(std::string_view path) = 0;                      // absolute, no symlinks
  virtual Result<std::uint64_t> free_bytes(std::string_view path) = 0;
  // How many files and directories this process may have open at once, whoever in it opens them.
  virtual std::size_t open_limit() = 0;
  // Who this process is to it: the user whom what it makes belongs to.
  virtual std::uint32_t own_user() = 0;

  // --- state files ---
  virtual Result<std::unique_ptr<ReadableFile>> open_file(std::string_view path) = 0;
  // Whole file; Exhausted if it is larger than `limit`.
  virtual Result<Bytes> read_file(std::string_view path, std::uint64_t limit) = 0;
  virtual Status make_directories(std::string_view path, std::uint32_t mode) = 0;  // DURABLE; existing ones are fine
  virtual Result<std::vector<std::string>> list(std::string_view path) = 0;        // names, sorted
  virtual Status remove_file(std::string_view path) = 0;                           // not found is an error
  virtual Status sync_directory(std::string_view path) = 0;

  // A file being built under a temporary name in `directory`; nothing is visible until one of the calls below.
  class Draft {
   public:
    virtual ~Draft() = default;  // an unpublished draft is removed
    virtual WritableFile& file() = 0;
    // DURABLE. Syncs, then gives the file its name; AlreadyExists (and the draft stays) if the name is taken.
    virtual Status publish_new(std::string_view name) = 0;
    // DURABLE. Syncs, then replaces whatever had the name.
    virtual Status publish_replacing(std::string_view name) = 0;
  };
  virtual Result<std::unique_ptr<Draft>> draft(std::string_view directory, std::uint32_t mode) = 0;
  virtual Status remove_temporaries(std::string_view directory) = 0;
  // Opens for appending, creating it if missing (name durable). Used by logs that find their own end.
  virtual Result<std::unique_ptr<WritableFile>> open_log(std::string_view path) = 0;

  // Holds an exclusive lock on `path` (created if missing) until dropped. Conflict if another process holds it.
  class Lock {
   public:
    virtual ~Lock() = default;
  };
  virtual Result<std::unique_ptr<Lock>> lock(std::string_view path) = 0;
};

// The whole content of an open file, be it one of /proc that tells no size; Exhausted if it is larger than `limit` bytes.
// `name` is what an error calls it.
Result<Bytes> read_whole(ReadableFile& file, std::string_view name, std::uint64_t limit);

// DURABLE helpers over Draft, split at the last '/'.
Status create_file_durably(FileSystem& files, std::string_view path, ByteView content, std::uint32_t mode);
Status replace_file_durably(FileSystem& files, std::string_view path, ByteView content, std::uint32_t mode);
// Idempotent: an existing file with the same bytes is fine, with others AlreadyExists.
Status create_same_durably(FileSystem& files, std::string_view path, ByteView content, std::uint32_t mode);

// "a" + "b" = "a/b"; "" + "b" = "b".
std::string join_path(std::string_view directory, std::string_view name);
std::string_view parent_path(std::string_view path);  // "." for a bare name
std::string_view base_name(std::string_view path);
std::string_view without_slashes(std::string_view path);  // at its end, which name nothing; "/" stays

}  // namespace exclave::env
