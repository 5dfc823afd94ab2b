// ChunkWriter: fetches chunks and writes them into the files that need them, on a worker for each core.
// Hides: how many chunks are read at once, what is done about damaged ones, when a file is finished.
//
//   submit(run of chunks in one pack) -> fetch in one read -> decode and check each -> write where it belongs
//                                        damaged: by halves, down to the chunks that are
//
// I1  No byte is written before its segment's tag and its chunk's id were checked.
// I2  A file's attributes are set when its last byte was written: its time tells that it is finished.
// I3  A file that needs a chunk which no vault gives whole is left out: it loses its name, everything else goes on.
// Threads: submit and finish by one thread.
// Errors: of the target's file system; Unavailable if no vault answers; Corrupt only for slices outside their chunks.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/detail/attribute_setter.h"
#include "engine/detail/linked_names.h"
#include "engine/snapshot_content.h"
#include "engine/stage_times.h"
#include "env/env.h"
#include "env/workers.h"

namespace exclave::engine {

// A regular file on its way to disk. shared_ptr: owned by every piece of work that still writes to it.
struct FileTarget {
  std::shared_ptr<env::Directory> parent;
  std::string path;
  std::uint64_t size = 0;
  env::FileAttributes attributes;
  std::optional<LinkedFile> linked;          // if it has several names
  bool created = false;                      // by the planner; else by the only worker
  std::atomic<std::uint64_t> bytes_left{0};  // neither written nor given up
  std::atomic<bool> is_left_out{false};

  std::string_view name() const { return env::base_name(path); }
};

// Part of a chunk that belongs at one place of one file.
struct Placement {
  std::shared_ptr<FileTarget> file;
  std::uint64_t file_offset = 0;
  std::uint32_t chunk_offset = 0;
  std::uint32_t length = 0;
};

struct ChunkTask {
  format::ChunkId id;
  repo::ChunkPlace place;
  std::vector<Placement> placements;
};

// Chunks that lie close together in one pack, in order of their offsets.
struct ChunkRun {
  std::vector<ChunkTask> chunks;
};

class ChunkWriter {
 public:
  static constexpr std::size_t kPipelineDepth = 6;  // runs under way

  // Called before each run; an error ends the restore.
  using GoOn = std::function<Status(std::uint64_t written_bytes)>;

  ChunkWriter(env::Env& env, const SnapshotContent& content, AttributeSetter& attributes, RestoreFindings& findings,
              LinkedNames& links, StageTimes& times, GoOn go_on);

  Status submit(ChunkRun run) {
    Status submitted = submit_or_end(std::move(run));
    has_ended_ = has_ended_ || !submitted.ok();
    return submitted;
  }
  Status finish() { return pipeline_->finish(); }

  // Null if the name is taken, or refused by the target's file system: then the file is reported, not restored.
  Result<std::unique_ptr<env::WritableFile>> create(const FileTarget& file);
  Status finish_file(FileTarget& file, env::WritableFile& handle);
  // The file needs bytes that no vault gives whole. It loses its name when the last piece of work on it has ended.
  void leave_out(FileTarget& file, const Error& error);
  // The target's file system takes no file of this size: a problem of the file, which loses its name likewise.
  Status refuse(FileTarget& file, std::uint64_t length, const Error& error);
  // `length` bytes of a file were given up: those of a file that is left out.
  Status give_up(FileTarget& file, std::uint64_t length);

  // An error of submit was the end: it came from a worker, or from `go_on`.
  bool has_ended() const { return has_ended_; }
  std::uint64_t written_bytes() const { return written_.load(std::memory_order_relaxed); }

 private:
  struct Nothing {};

  Status submit_or_end(ChunkRun run) {
    TRY(go_on_(written_bytes()));
    return pipeline_->submit(std::move(run));
  }
  bool costs_its_files_only(const Error& error) const;
  Status write_out(std::span<ChunkTask> chunks, repo::ChunkDecoder& decoder);
  Status leave_out_or_halve(std::span<ChunkTask> chunks, const Error& error, repo::ChunkDecoder& decoder);
  Result<ByteView> fetch(std::span<const ChunkTask> chunks, repo::ChunkDecoder& decoder);
  Result<ByteView> decode(const ChunkTask& chunk, ByteView stored, repo::ChunkDecoder& decoder);
  Status leave_out(ChunkTask& chunk, const Error& error);
  Status discard(FileTarget& file);
  Status place(Placement& placement, ByteView plain);

  env::Env& env_;
  const SnapshotContent& content_;
  AttributeSetter& attributes_;
  RestoreFindings& findings_;
  LinkedNames& links_;
  StageTimes& times_;
  GoOn go_on_;
  bool has_ended_ = false;
  std::atomic<std::uint64_t> written_{0};
  std::vector<std::unique_ptr<repo::ChunkDecoder>> decoders_;          // one for each worker
  std::unique_ptr<env::OrderedPipeline<ChunkRun, Nothing>> pipeline_;  // last: its threads use the rest
};

}  // namespace exclave::engine
