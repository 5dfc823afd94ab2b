// SlabCutter: cuts what is too large to be grouped, a file or a stream, into chunks for the pipeline. Internal to engine.
// Hides: slabs, which several chunks share until the last of them has been compressed, and what of a full slab goes on in
// the next one: less than a chunk.
//
//   room() -> the caller reads into it -> filled(n) -> room() ... -> finish() -> take_content() -> the next content
//
//   slab  |== chunk ==|=== chunk ===|== chunk ==|= rest |        slab  |= rest | room ...
//                                                  '-------------------^
//
// Memory: kSlabs slabs of kSlabBytes per pool, whoever shares it.
// Threads: one.
// Errors: those of the pipeline.
#pragma once

#include <memory>
#include <utility>

#include "chunk/chunker.h"
#include "engine/detail/content_pipeline.h"
#include "repo/buffer_pool.h"

namespace exclave::engine {

inline constexpr std::size_t kSlabBytes = 8U << 20;
inline constexpr std::size_t kSlabs = 4;

// Where chunks end. InPages: every kPagesChunkBytes, for files that change in place, page by page.
enum class CutRule { ByContent, InPages };
inline constexpr std::size_t kPagesChunkBytes = 64U << 10;
static_assert(kSlabBytes % kPagesChunkBytes == 0);

class SlabCutter {
 public:
  // All outlive it.
  SlabCutter(ContentPipeline& pipeline, repo::BufferPool& slabs, env::Clock& clock, StageTimes& times,
             CutRule rule = CutRule::ByContent)
      : pipeline_(pipeline), slabs_(slabs), clock_(clock), times_(times), rule_(rule) {}

  // Where the next bytes go: never empty. A full slab is cut first.
  Result<MutableByteView> room();
  void filled(std::size_t bytes);  // of the room
  // Cuts the rest: the content ends here.
  Status finish();

  std::uint64_t cut_bytes() const { return cut_bytes_; }  // of all contents
  // Where the slices gather, for the entry. What is filled in from here on is another content.
  std::shared_ptr<CutContent> take_content() { return std::exchange(content_, std::make_shared<CutContent>()); }

 private:
  Status cut(chunk::After after);
  // Of the chunk at the front of `bytes`; 0 if it needs more of them.
  std::size_t next_length(ByteView bytes, chunk::After after) const;
  void carry_over();

  ContentPipeline& pipeline_;
  repo::BufferPool& slabs_;
  env::Clock& clock_;
  StageTimes& times_;
  const CutRule rule_;
  const chunk::Chunker chunker_;
  // shared_ptr: owned by this cutter and by the chunks that were cut from it.
  std::shared_ptr<Bytes> slab_;  // null before the first byte
  std::size_t filled_ = 0;
  std::size_t cut_ = 0;  // of the slab; what lies behind it needs more bytes
  std::uint64_t cut_bytes_ = 0;
  std::shared_ptr<CutContent> content_ = std::make_shared<CutContent>();  // shared_ptr: see PendingEntry
};

}  // namespace exclave::engine
