#include "engine/detail/slab_cutter.h"

#include <algorithm>

namespace exclave::engine {

Result<MutableByteView> SlabCutter::room() {
  if (slab_ == nullptr) slab_ = slabs_.acquire(kSlabBytes);
  if (filled_ == slab_->size()) {
    TRY(cut(chunk::After::MoreBytes));
    carry_over();
  }
  return MutableByteView(*slab_).subspan(filled_);
}

void SlabCutter::filled(std::size_t bytes) {
  filled_ += bytes;
  CHECK(filled_ <= slab_->size());
}

Status SlabCutter::finish() {
  if (slab_ == nullptr) return {};
  TRY(cut(chunk::After::EndOfFile));
  CHECK(cut_ == filled_);
  return {};
}

std::size_t SlabCutter::next_length(ByteView bytes, chunk::After after) const {
  if (rule_ == CutRule::ByContent) return chunker_.next_cut(bytes, after);
  if (bytes.size() >= kPagesChunkBytes) return kPagesChunkBytes;
  return after == chunk::After::EndOfFile ? bytes.size() : 0;
}

Status SlabCutter::cut(chunk::After after) {
  while (cut_ < filled_) {
    std::size_t length = 0;
    {
      const StageTimer timer(times_, clock_, Stage::Cut);
      length = next_length(ByteView(*slab_).subspan(cut_, filled_ - cut_), after);
    }
    if (length == 0) break;
    ContentPipeline::Chunk chunk;
    chunk.buffer = slab_;
    chunk.begin = cut_;
    chunk.size = length;
    chunk.content = content_;
    TRY(pipeline_.add_chunk(std::move(chunk)));
    cut_ += length;
    cut_bytes_ += length;
  }
  return {};
}

void SlabCutter::carry_over() {
  auto next = slabs_.acquire(kSlabBytes);
  const ByteView rest = ByteView(*slab_).subspan(cut_, filled_ - cut_);
  CHECK(rest.size() < next->size());
  std::copy(rest.begin(), rest.end(), next->begin());
  filled_ = rest.size();
  cut_ = 0;
  slab_ = std::move(next);
}

}  // namespace exclave::engine
