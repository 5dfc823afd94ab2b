// SlabCutter: cuts what is too large to be grouped, a file or a stream, into chunks for the pipeline. Internal to engine.
// Hides: slabs, which several chunks share until the last of them has been compressed, and what of a full slab goes on in
// the next one: less than a chunk.
//
//   room() -> the caller reads into it -> filled(n) -> room() ... -> finish()
//
//   slab  |== chunk ==|=== chunk ===|== chunk ==|= rest |        slab  |= rest | room ...
//                                                  '-------------------^
//
// Memory: kSlabs slabs of kSlabBytes per pool, whoever shares it.
// Threads: one.
// Errors: those of the pipeline.
#pragma once

#include <memory>

#include "chunk/chunker.h"
#include "engine/detail/content_pipeline.h"
#include "repo/buffer_pool.h"

namespace exclave::engine {

inline constexpr std::size_t kSlabBytes = 8U << 20;
inline constexpr std::size_t kSlabs = 4;

class SlabCutter {
 public:
  // All outlive it.
  SlabCutter(ContentPipeline& pipeline, repo::BufferPool& slabs, env::Clock& clock, StageTimes& times)
      : pipeline_(pipeline), slabs_(slabs), clock_(clock), times_(times) {}

  // Where the next bytes go: never empty. A full slab is cut first.
  Result<MutableByteView> room();
  void filled(std::size_t bytes);  // of the room
  // Cuts the rest: the content ends here. Once.
  Status finish();

  std::uint64_t cut_bytes() const { return cut_bytes_; }
  // Where the slices gather, for the entry.
  std::shared_ptr<CutContent> take_content() { return std::move(content_); }

 private:
  Status cut(chunk::After after);
  void carry_over();

  ContentPipeline& pipeline_;
  repo::BufferPool& slabs_;
  env::Clock& clock_;
  StageTimes& times_;
  const chunk::Chunker chunker_;
  // shared_ptr: owned by this cutter and by the chunks that were cut from it.
  std::shared_ptr<Bytes> slab_;  // null before the first byte
  std::size_t filled_ = 0;
  std::size_t cut_ = 0;  // of the slab; what lies behind it needs more bytes
  std::uint64_t cut_bytes_ = 0;
  std::shared_ptr<CutContent> content_ = std::make_shared<CutContent>();  // shared_ptr: see PendingEntry
};

}  // namespace exclave::engine
