// PackWriter: gathers compressed chunks, in order, into sealed packs and pushes them into the stream.
// Hides: pack layout, size classes, sealing, which packs wait for durability.
//
//   add add add ... finish        a full pack is class 24; what is left at the end is split into smaller classes
//
// Units/limits: a pack ends after kMaxPackChunks chunks, however small they are: its directory is one value of a table.
// I1  Nothing of a chunk leaves before it is sealed.
// I2  A pack's chunks become known to the dedup index only when the pack's entry is durable (k heads), together with
//     its directory, in one batch: a crash loses knowledge, never claims what is not held.
// I3  Plaintext is copied once, into its place in the object's buffer, and sealed there.
// Threads: one thread at a time; object_bytes() from any, meanwhile.
// Durability: none by itself; settle() waits for it.
// Errors: those of the sink, of the index, of the key source and of `before_known`.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "format/pack.h"
#include "repo/buffer_pool.h"
#include "repo/dedup_index.h"
#include "repo/sealer.h"
#include "store/stream_sink.h"

namespace exclave::repo {

// The sealing key of the running period; asked once per object. The key outlives the call to the next one.
using KeySource = std::function<Result<const format::SealingKey*>()>;

inline constexpr std::size_t kMaxPackChunks = 80'000;

struct PackStatistics {
  std::uint64_t packs = 0;
  std::uint64_t chunks = 0;
  std::uint64_t chunk_bytes = 0;         // as stored inside packs
  std::uint64_t object_bytes = 0;        // what vaults hold, padding included
  std::chrono::nanoseconds seal_time{};  // CPU
  std::chrono::nanoseconds push_time{};  // wall: waiting for the sink's queues and for buffers
};

class PackWriter {
 public:
  // `on_known` is told of every pack right after the dedup index knows it; `before_known`, how many entries of the
  // stream are durable, before packs among them become known. If it fails, they do not, and that is the error.
  using OnKnown = std::function<void(const PackRecord&)>;
  using BeforeKnown = std::function<Status(std::uint64_t durable)>;
  PackWriter(env::Threads& threads, env::Clock& clock, Sealer sealer, KeySource keys, store::StreamSink& sink,
             DedupIndex& index, OnKnown on_known, BeforeKnown before_known = {});

  struct Chunk {
    format::ChunkId id;
    format::ChunkKind kind = format::ChunkKind::Content;
    format::ChunkCodec codec = format::ChunkCodec::Raw;
    std::uint32_t plain_bytes = 0;
    ByteView stored;
  };
  Status add(const Chunk& chunk);
  // Seals what is left, waits until every pack is durable and known to the index.
  Status finish();
  // Seals and pushes one object that is no pack: an index or a snapshot. Waits for nothing.
  Result<format::ObjectReference> put_plaintext(format::PlaintextType type, ByteView payload, std::uint32_t entries,
                                                std::optional<format::PeriodNumber> snapshot_oldest);
  Status settle();  // all that was pushed is durable, and packs are known to the index

  const PackStatistics& statistics() const { return statistics_; }  // by the writing thread, or when it is done
  std::uint64_t object_bytes() const { return object_bytes_.load(std::memory_order_relaxed); }  // of the statistics

 private:
  struct Waiting {
    format::EntryIndex entry;
    PackRecord record;
  };
  bool fits(std::size_t stored, std::uint8_t size_class) const;
  void make_room(std::size_t stored);
  Status flush_pack(std::uint8_t size_class);
  Status flush_rest_in_smaller_classes();
  Status note_durable_packs();
  Status seal_and_push(std::uint8_t size_class, const crypto::Hash256& binding, std::shared_ptr<Bytes> buffer,
                       std::optional<format::PeriodNumber> snapshot_oldest, format::ObjectReference& reference,
                       format::EntryIndex& entry);

  env::Clock& clock_;
  Sealer sealer_;
  KeySource keys_;
  store::StreamSink& sink_;
  DedupIndex& index_;
  OnKnown on_known_;
  BeforeKnown before_known_;
  BufferPool buffers_;
  std::shared_ptr<Bytes> open_;  // the pack being filled
  std::vector<format::ChunkEntry> entries_;
  std::size_t used_ = 0;  // plaintext bytes of chunks in open_
  std::deque<Waiting> waiting_;
  std::uint64_t pushed_ = 0;
  PackStatistics statistics_;
  std::atomic<std::uint64_t> object_bytes_{0};
};

}  // namespace exclave::repo
