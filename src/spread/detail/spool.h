// Spool: what one journal stream has sealed, on this machine's disk, until every vault has it.
// Hides: file names, preallocation, which names are synced.
//
//   DIRECTORY/<stream>/stream  <index>.segment  <index>.entry          (spread/journal_writer.h)
//
//   DIRECTORY/<stream>.ended/                                           every vault has it, or nobody has a frame: to be removed
//
// A segment's file has the segment's full size from the start, with zeros where no frame is yet.
//
// I1  An entry's file is durable only after its segment's bytes are.
// I2  The descriptor comes before everything else of its stream. All of it ends in one step, its new name, so that what a
//     crash leaves of it is not taken for a stream that lost the rest.
// Threads: calls from any thread, as FileSystem; a segment's file by one thread at a time.
// Errors: those of the disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/file_system.h"
#include "format/journal.h"
#include "format/stream.h"

namespace exclave::spread::detail {

class Spool {
 public:
  // `files` outlives it.
  Spool(env::FileSystem& files, std::string directory, const format::StreamId& stream);

  // The streams that have something in `directory`; none if there is no such directory.
  static Result<std::vector<format::StreamId>> streams(env::FileSystem& files, const std::string& directory);

  Status create(const format::SignedStream& stream);  // DURABLE
  Result<format::SignedStream> stream() const;
  // Segments, by index. The same of entries: they outlive their segments, the last one that went always does.
  Result<std::vector<std::uint64_t>> segments() const;
  Result<std::vector<std::uint64_t>> entries() const;

  // DURABLE: the file, its size and `front`. After an error nothing of it stays; without a first segment, nothing of the
  // stream.
  Result<std::unique_ptr<env::WritableFile>> create_segment(std::uint64_t index, std::uint8_t size_class,
                                                            ByteView front);
  // DURABLE: whatever was written to it, through any handle, if no sync of it has failed: that is reported once, and what is in
  // memory alone is not written any more.
  Status sync_segment(std::uint64_t index);
  // DURABLE: what it holds, as far as anybody can read it; of an earlier process nobody knows whether a sync had failed.
  Status write_again(std::uint64_t index, ByteView bytes);
  Result<Bytes> read_segment(std::uint64_t index) const;
  Status remove_segment(std::uint64_t index);

  Status put_entry(const format::SignedEntry& entry);  // DURABLE
  Result<std::optional<format::SignedEntry>> entry(std::uint64_t index) const;
  Status remove_entry(std::uint64_t index);
  // Everything of the stream. After an error, or a kill, remove_ended goes on.
  Status remove_all();
  static Status remove_ended(env::FileSystem& files, const std::string& directory);

 private:
  Result<std::unique_ptr<env::WritableFile>> write_front(std::uint64_t index, std::uint8_t size_class, ByteView front);
  Result<std::vector<std::uint64_t>> all_of(std::string_view kind) const;
  std::string file_of(std::uint64_t index, std::string_view kind) const;

  env::FileSystem& files_;
  const std::string root_;
  const std::string name_;
  const std::string directory_;
};

}  // namespace exclave::spread::detail
