#include "engine/detail/content_pipeline.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::engine {
namespace {

constexpr std::size_t kEntriesPerListingBatch = 256;
// Chunks in flight: enough to keep the workers busy while one result is being packed.
constexpr std::size_t kPipelineDepth = 12;

}  // namespace

void add_to(format::SnapshotTotals& totals, const format::ListingEntry& entry) {
  switch (entry.type) {
    case format::EntryType::Regular:
      ++totals.files;
      totals.bytes += entry.size;
      break;
    case format::EntryType::Directory:
      ++totals.directories;
      break;
    default:
      ++totals.others;
      break;
  }
}

struct ContentPipeline::Tools {
  explicit Tools(const crypto::Secret<32>& dedup) : identifier(dedup) {}
  format::ChunkIdentifier identifier;
  compress::Compressor compressor;
  Bytes scratch;

  // Compresses into an exact copy, or leaves it raw.
  Result<format::ChunkCodec> compress_chunk(ByteView plain, Bytes& out) {
    if (scratch.size() < plain.size()) scratch.resize(plain.size());
    const compress::Compressed compressed = TRY(compressor.compress(plain, scratch));
    if (compressed.form == compress::Form::Raw) return format::ChunkCodec::Raw;
    out = to_bytes(ByteView(scratch).first(compressed.size));
    return format::ChunkCodec::Zstd;
  }
};

ContentPipeline::ContentPipeline(const CaptureContext& context, repo::DedupIndex& index, repo::PackWriter& packs,
                                 repo::CatalogueWriter* catalogue, format::PeriodNumber period, StageTimes& times)
    : context_(context), index_(index), packs_(packs), catalogue_(catalogue), times_(times) {
  outcome_.oldest_period = period;
  listing_tools_ = std::make_unique<Tools>(context.keys.dedup);
  const std::size_t workers = context.env.threads.cores();
  for (std::size_t i = 0; i < workers; ++i) tools_.push_back(std::make_unique<Tools>(context.keys.dedup));
  pipeline_ = std::make_unique<env::OrderedPipeline<Work, Done>>(
      context.env.threads, workers, kPipelineDepth,
      [this](Work item, std::size_t worker) { return work(std::move(item), worker); },
      [this](Done done) { return sink(std::move(done)); });
}

ContentPipeline::~ContentPipeline() = default;

Status ContentPipeline::add_chunk(Chunk chunk) {
  Work item;
  item.chunk = std::move(chunk);
  item.entries = std::exchange(batch_, {});
  return pipeline_->submit(std::move(item));
}

Status ContentPipeline::add_entry(PendingEntry entry) {
  batch_.push_back(std::move(entry));
  if (batch_.size() >= kEntriesPerListingBatch) return flush_entries();
  return {};
}

Status ContentPipeline::add_block(PendingBlock block) {
  batch_.push_back(std::move(block));
  return flush_entries();
}

Status ContentPipeline::flush_entries() {
  if (batch_.empty()) return {};
  Work item;
  item.entries = std::exchange(batch_, {});
  return pipeline_->submit(std::move(item));
}

Result<bool> ContentPipeline::claim(const format::ChunkId& id, std::optional<format::PeriodNumber>& known) {
  known = TRY(index_.find(id));
  if (known.has_value()) return false;
  const MutexLock lock(claims_mutex_);
  return claims_.insert(id).second;
}

void ContentPipeline::forget_claims(const repo::PackRecord& pack) {
  const MutexLock lock(claims_mutex_);
  for (std::size_t at = 0; at + format::kDirectoryEntryBytes <= pack.directory.size();
       at += format::kDirectoryEntryBytes) {
    claims_.erase(format::ChunkId::from_view(ByteView(pack.directory).subspan(at, format::ChunkId::kSize)));
  }
}

// On a worker: pure work on one chunk.
Result<ContentPipeline::Done> ContentPipeline::work(Work item, std::size_t worker) {
  Done done;
  done.entries = std::move(item.entries);
  if (!item.chunk.has_value()) return done;
  Tools& tools = *tools_[worker];
  const ByteView plain = ByteView(*item.chunk->buffer).subspan(item.chunk->begin, item.chunk->size);
  {
    const StageTimer timer(times_, context_.env.clock, Stage::Hash);
    if (item.chunk->kind == format::ChunkKind::Group) {
      std::vector<format::ChunkIdentifier::GroupMember> members;
      std::size_t at = 0;
      for (const std::uint32_t length : item.chunk->member_lengths) {
        members.push_back({tools.identifier.file_hash(plain.subspan(at, length)), length});
        done.members.push_back(format::content_id_of(members.back().hash));
        at += length;
      }
      done.id = tools.identifier.of_group(members);
    } else {
      done.id = tools.identifier.of_bytes(item.chunk->kind, plain);
    }
    done.is_new = TRY(claim(done.id, done.known_period));
  }
  if (done.is_new) {
    const StageTimer timer(times_, context_.env.clock, Stage::Compress);
    done.codec = TRY(tools.compress_chunk(plain, done.compressed));
  }
  done.chunk = std::move(item.chunk);
  if (!done.is_new || done.codec == format::ChunkCodec::Zstd) done.chunk->buffer.reset();
  return done;
}

// In order, one thread at a time.
Status ContentPipeline::sink(Done done) {
  const StageTimer timer(times_, context_.env.clock, Stage::Pack);
  if (done.chunk.has_value()) {
    const Chunk& chunk = *done.chunk;
    if (done.known_period.has_value()) outcome_.oldest_period = std::min(outcome_.oldest_period, *done.known_period);
    if (done.is_new) {
      const ByteView stored = done.codec == format::ChunkCodec::Zstd
                                  ? ByteView(done.compressed)
                                  : ByteView(*chunk.buffer).subspan(chunk.begin, chunk.size);
      TRY(packs_.add({done.id, chunk.kind, done.codec, static_cast<std::uint32_t>(chunk.size), stored}));
    }
    if (chunk.kind == format::ChunkKind::Group) {
      resolved_.emplace(chunk.group, ResolvedGroup{done.id, std::move(done.members), chunk.member_lengths.size()});
    } else {
      chunk.content->push_back({done.id, 0, static_cast<std::uint32_t>(chunk.size)});
    }
  }
  for (Pending& pending : done.entries) waiting_.push_back(std::move(pending));
  while (!waiting_.empty() && is_ready(waiting_.front())) {
    TRY(std::visit([&](auto& pending) { return emit(std::move(pending)); }, waiting_.front()));
    waiting_.pop_front();
  }
  return {};
}

bool ContentPipeline::is_ready(const Pending& pending) const {
  const auto* entry = std::get_if<PendingEntry>(&pending);
  if (entry == nullptr || !entry->place.has_value()) return true;
  return resolved_.contains(entry->place->group);
}

std::optional<std::string_view> ContentPipeline::misplaced(std::string_view path) const {
  if (last_path_.has_value() && format::compare_in_walk_order(*last_path_, path) >= 0)
    return "it came twice, or out of order";
  if (left_out_directory_.has_value() && path.size() > left_out_directory_->size() &&
      path.starts_with(*left_out_directory_) && path[left_out_directory_->size()] == '/') {
    return "its directory was left out";
  }
  return std::nullopt;
}

void ContentPipeline::leave_out(const format::ListingEntry& entry, std::string_view why) {
  add_to(outcome_.left_out_totals, entry);
  if (entry.problem == format::EntryProblem::None) ++outcome_.left_out_totals.unreadable;
  if (entry.type == format::EntryType::Directory) left_out_directory_ = entry.path;
  if (outcome_.left_out.size() < kMaxListedProblems)
    outcome_.left_out.push_back({entry.path, "was left out: " + std::string(why)});
}

Status ContentPipeline::emit(PendingEntry pending) {
  format::ListingEntry& entry = pending.entry;
  if (pending.place.has_value()) {
    const auto found = resolved_.find(pending.place->group);
    ResolvedGroup& group = found->second;
    entry.slices.front().chunk = group.id;
    entry.content = group.members[pending.place->member];
    if (--group.uses_left == 0) resolved_.erase(found);
  } else if (pending.content != nullptr) {
    // Its chunks came before it. Moved piece by piece, so that the slices of a huge file are there once.
    entry.slices.reserve(pending.content->size());
    for (; !pending.content->empty(); pending.content->pop_front()) entry.slices.push_back(pending.content->front());
  }
  auto refused = misplaced(entry.path);
  if (!refused.has_value()) refused = format::entry_flaw(entry);
  if (refused.has_value()) {
    leave_out(entry, *refused);
    return {};
  }
  last_path_ = entry.path;
  if (catalogue_ != nullptr) catalogue_->begin_entry(pending.facts);
  Status cut_status;
  encoder_.append(entry, listing_bytes_, [&](ByteView record) {
    if (!cutter_.ends_after(record)) return false;
    if (cut_status.ok()) cut_status = end_listing_chunk(repo::ChunkEnd::ByRule);
    return true;
  });
  return cut_status;
}

Status ContentPipeline::emit(const PendingBlock& pending) {
  const repo::CatalogueBlock& block = pending.block;
  // Only a chunk that the era holds can be named again, and only where a chunk begins.
  std::optional<format::PeriodNumber> known;
  if (listing_bytes_.size() == 0 && !misplaced(pending.first).has_value()) known = TRY(index_.find(block.listing.id));
  if (!known.has_value()) {
    for (repo::CatalogueEntry& reused : TRY(block.decode())) {
      TRY(emit(PendingEntry{std::move(reused.entry), reused.facts, {}, {}}));
    }
    return {};
  }
  last_path_ = pending.last;
  outcome_.oldest_period = std::min(outcome_.oldest_period, *known);
  outcome_.listing.push_back(block.listing);
  catalogue_->keep(block);
  return {};
}

Status ContentPipeline::end_listing_chunk(repo::ChunkEnd end) {
  cutter_.reset();
  if (listing_bytes_.size() == 0) return {};
  const ByteView plain = listing_bytes_.view();
  const format::ChunkId id = listing_tools_->identifier.of_bytes(format::ChunkKind::Listing, plain);
  std::optional<format::PeriodNumber> known;
  if (TRY(claim(id, known))) {
    Bytes compressed;
    const format::ChunkCodec codec = TRY(listing_tools_->compress_chunk(plain, compressed));
    TRY(packs_.add({id, format::ChunkKind::Listing, codec, static_cast<std::uint32_t>(plain.size()),
                    codec == format::ChunkCodec::Zstd ? ByteView(compressed) : plain}));
  }
  if (known.has_value()) outcome_.oldest_period = std::min(outcome_.oldest_period, *known);
  outcome_.listing.push_back({id, static_cast<std::uint32_t>(plain.size())});
  if (catalogue_ != nullptr) catalogue_->end_chunk(id, plain, end);
  listing_bytes_.clear();
  return {};
}

Result<ContentPipeline::Outcome> ContentPipeline::finish() {
  TRY(flush_entries());
  TRY(pipeline_->finish());
  if (!waiting_.empty()) {
    const auto& entry = std::get<PendingEntry>(waiting_.front()).entry;
    return Error(Code::Bug, "entry '" + printable(entry.path) + "' waits for a chunk that never came");
  }
  TRY(end_listing_chunk(repo::ChunkEnd::WithListing));
  return std::move(outcome_);
}

}  // namespace exclave::engine
