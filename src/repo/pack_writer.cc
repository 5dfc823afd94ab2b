#include "repo/pack_writer.h"

#include <algorithm>
#include <array>

#include "table/table.h"

namespace exclave::repo {
namespace {

// One being filled, one in the hands of the senders, one spare: two stall on incompressible data (measured).
constexpr std::size_t kPackBuffers = 3;

// A pack's row in the agent's table holds its directory whole, behind a few fields (DedupIndex).
constexpr std::size_t kPackRowFields = 64;
static_assert(kMaxPackChunks * format::kDirectoryEntryBytes + kPackRowFields <= table::kMaxValueBytes);

// Plaintext bytes that `entries` chunks of `stored` bytes together need.
std::size_t pack_plain_bytes(std::size_t stored, std::size_t entries) {
  return stored + entries * format::kDirectoryEntryBytes + format::kFooterBytes;
}

Bytes directory_of(const std::vector<format::ChunkEntry>& entries) {
  Bytes directory;
  directory.reserve(entries.size() * format::kDirectoryEntryBytes);
  for (const format::ChunkEntry& entry : entries) format::append_entry(directory, entry);
  return directory;
}

// Zeros, directory and footer behind `used` bytes of chunks.
void close_pack(MutableByteView buffer, std::uint8_t size_class, std::size_t used, ByteView directory,
                std::size_t entries) {
  const std::size_t capacity = format::plain_capacity(size_class);
  const std::size_t directory_at = capacity - format::kFooterBytes - directory.size();
  scatter_zeros(buffer, used, directory_at);
  scatter(buffer, directory_at, directory);
  std::array<Byte, format::kFooterBytes> footer{};
  format::write_footer(footer, {format::PlaintextType::Pack, static_cast<std::uint32_t>(directory.size()),
                                static_cast<std::uint32_t>(entries)});
  scatter(buffer, capacity - format::kFooterBytes, footer);
}

}  // namespace

PackWriter::PackWriter(env::Threads& threads, env::Clock& clock, Sealer sealer, KeySource keys, store::StreamSink& sink,
                       DedupIndex& index, OnKnown on_known, BeforeKnown before_known)
    : clock_(clock),
      sealer_(sealer),
      keys_(std::move(keys)),
      sink_(sink),
      index_(index),
      on_known_(std::move(on_known)),
      before_known_(std::move(before_known)),
      buffers_(threads, kPackBuffers) {}

bool PackWriter::fits(std::size_t stored, std::uint8_t size_class) const {
  return entries_.size() < kMaxPackChunks &&
         pack_plain_bytes(used_ + stored, entries_.size() + 1) <= format::plain_capacity(size_class);
}

// Packs of small captures stay small in memory too: the layout is the same in every class.
void PackWriter::make_room(std::size_t stored) {
  const std::size_t bytes =
      format::object_bytes(format::smallest_class_for(pack_plain_bytes(used_ + stored, entries_.size() + 1)));
  if (open_->size() < bytes) open_->resize(bytes);
}

Status PackWriter::add(const Chunk& chunk) {
  CHECK(!chunk.stored.empty() && chunk.stored.size() <= format::kMaxChunkPlainBytes);
  // The largest class, as a rule; a pack of very many tiny chunks is full before.
  if (open_ != nullptr && !fits(chunk.stored.size(), format::kLargestClass))
    TRY(flush_pack(format::smallest_class_for(pack_plain_bytes(used_, entries_.size()))));
  if (open_ == nullptr) {
    const env::Instant start = clock_.monotonic();
    open_ = buffers_.acquire(0);
    statistics_.push_time += clock_.monotonic() - start;
  }
  make_room(chunk.stored.size());
  entries_.push_back({chunk.id, static_cast<std::uint32_t>(used_), static_cast<std::uint32_t>(chunk.stored.size()),
                      chunk.plain_bytes, chunk.kind, chunk.codec});
  scatter(*open_, used_, chunk.stored);
  used_ += chunk.stored.size();
  ++statistics_.chunks;
  statistics_.chunk_bytes += chunk.stored.size();
  return {};
}

Status PackWriter::seal_and_push(std::uint8_t size_class, const crypto::Hash256& binding, std::shared_ptr<Bytes> buffer,
                                 std::optional<format::PeriodNumber> snapshot_oldest,
                                 format::ObjectReference& reference, format::EntryIndex& entry) {
  const format::SealingKey* key = TRY(keys_());
  const auto sealing = clock_.thread_cpu_time();
  const auto view = MutableByteView(*buffer).first(format::object_bytes(size_class));
  reference.name = TRY(sealer_.seal(*key, size_class, binding, view));
  reference.size_class = size_class;
  reference.period = key->id.period;
  statistics_.seal_time += clock_.thread_cpu_time() - sealing;
  statistics_.object_bytes += view.size();
  object_bytes_.store(statistics_.object_bytes, std::memory_order_relaxed);
  const env::Instant start = clock_.monotonic();
  entry = TRY(sink_.push({reference.name, size_class, std::move(buffer)}, snapshot_oldest));
  pushed_ = entry.value() + 1;
  statistics_.push_time += clock_.monotonic() - start;
  return note_durable_packs();
}

Status PackWriter::flush_pack(std::uint8_t size_class) {
  Waiting waiting;
  waiting.record.directory = directory_of(entries_);
  close_pack(*open_, size_class, used_, waiting.record.directory, entries_.size());
  format::ObjectReference reference;
  const crypto::Hash256 binding = crypto::sha256(waiting.record.directory);
  TRY(seal_and_push(size_class, binding, std::move(open_), std::nullopt, reference, waiting.entry));
  waiting.record.name = reference.name;
  waiting.record.size_class = reference.size_class;
  waiting.record.period = reference.period;
  waiting_.push_back(std::move(waiting));
  open_.reset();
  entries_.clear();
  used_ = 0;
  ++statistics_.packs;
  return {};
}

Status PackWriter::flush_rest_in_smaller_classes() {
  const std::shared_ptr<Bytes> rest = std::move(open_);
  const std::vector<format::ChunkEntry> chunks = std::move(entries_);
  open_.reset();
  entries_.clear();
  used_ = 0;
  std::size_t left = 0;
  for (const format::ChunkEntry& chunk : chunks) left += chunk.stored_bytes;
  std::size_t next = 0;
  Bytes stored;
  while (next < chunks.size()) {
    // All that is left, if padding wastes less than a quarter; else the largest class it fills.
    const std::size_t wanted = pack_plain_bytes(left, chunks.size() - next);
    std::uint8_t size_class =
        format::smallest_class_for(std::min(wanted, format::plain_capacity(format::kLargestClass)));
    const bool wasteful = wanted < format::plain_capacity(size_class) / 4 * 3;
    if (wasteful && size_class > format::kSizeClasses.front()) size_class = static_cast<std::uint8_t>(size_class - 2);
    const std::size_t first = pack_plain_bytes(chunks[next].stored_bytes, 1);
    size_class = std::max(size_class, format::smallest_class_for(first));
    open_ = buffers_.acquire(format::object_bytes(size_class));
    while (next < chunks.size() && fits(chunks[next].stored_bytes, size_class)) {
      format::ChunkEntry entry = chunks[next];
      stored.resize(entry.stored_bytes);
      gather(*rest, entry.offset, stored);
      entry.offset = static_cast<std::uint32_t>(used_);
      scatter(*open_, used_, stored);
      used_ += stored.size();
      left -= stored.size();
      entries_.push_back(entry);
      ++next;
    }
    TRY(flush_pack(size_class));
  }
  return {};
}

Result<format::ObjectReference> PackWriter::put_plaintext(format::PlaintextType type, ByteView payload,
                                                          std::uint32_t entries,
                                                          std::optional<format::PeriodNumber> snapshot_oldest) {
  CHECK(type != format::PlaintextType::Pack);
  if (payload.size() + format::kFooterBytes > format::plain_capacity(format::kLargestClass)) {
    return Error(Code::Exhausted, "snapshot record or index is larger than the largest object");
  }
  const std::uint8_t size_class = format::smallest_class_for(payload.size() + format::kFooterBytes);
  const std::size_t capacity = format::plain_capacity(size_class);
  auto buffer = buffers_.acquire(format::object_bytes(size_class));
  scatter(*buffer, 0, payload);
  scatter_zeros(*buffer, payload.size(), capacity - format::kFooterBytes);
  std::array<Byte, format::kFooterBytes> footer{};
  format::write_footer(footer, {type, static_cast<std::uint32_t>(payload.size()), entries});
  scatter(*buffer, capacity - format::kFooterBytes, footer);
  // In two steps: a snapshot's payload holds the dedup key, and a copy of it would stay behind in freed memory.
  crypto::Sha256Hasher binding;
  binding.update(payload);
  binding.update(footer);
  format::ObjectReference reference;
  format::EntryIndex entry;
  TRY(seal_and_push(size_class, binding.finish(), std::move(buffer), snapshot_oldest, reference, entry));
  return reference;
}

Status PackWriter::note_durable_packs() {
  const std::uint64_t durable = sink_.durable_count();
  const auto some_are_durable = [&] { return !waiting_.empty() && waiting_.front().entry.value() < durable; };
  if (before_known_ && some_are_durable()) TRY(before_known_(durable));
  while (some_are_durable()) {
    TRY(index_.add_durable_pack(waiting_.front().record));
    if (on_known_) on_known_(waiting_.front().record);
    waiting_.pop_front();
  }
  return {};
}

Status PackWriter::finish() {
  if (open_ != nullptr) TRY(flush_rest_in_smaller_classes());
  return settle();
}

Status PackWriter::settle() {
  TRY(sink_.wait_durable(pushed_));
  return note_durable_packs();
}

}  // namespace exclave::repo
