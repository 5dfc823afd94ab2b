#include "base/text.h"
#include "chunk/chunker.h"
#include "engine/capture.h"
#include "engine/detail/capture_session.h"

namespace exclave::engine {
namespace {

constexpr std::size_t kSlabBytes = 8U << 20;
constexpr std::size_t kSlabs = 4;

}  // namespace

// A stream is stored as a listing with one regular file whose path is the dataset's name.
Result<CaptureReport> capture_stream(const CaptureContext& context, const ByteStreamOptions& options,
                                     const ReadStream& read, const EndedCleanly& producer_ended_cleanly,
                                     StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = context.env.clock.monotonic();
  CaptureSession::Facts facts;
  facts.kind = format::DatasetKind::ByteStream;
  facts.source = options.source;
  facts.started_ns = context.env.clock.now().nanoseconds;
  facts.behind = options.behind;
  TRY(format::check_name("dataset", options.dataset));
  const auto session = TRY(CaptureSession::begin(context, options.dataset, nullptr, times));
  ContentPipeline& pipeline = session->pipeline();

  PendingEntry pending;
  pending.entry.path = options.dataset;
  pending.entry.mode = 0600;
  CaptureReport report;
  report.totals.files = 1;
  repo::BufferPool slabs(context.env.threads, kSlabs);
  const chunk::Chunker chunker;
  auto slab = slabs.acquire(kSlabBytes);
  std::size_t filled = 0;
  bool ended = false;
  while (!ended) {
    if (stop.stop_requested()) return Error(Code::Cancelled, "stream " + options.dataset + " was interrupted");
    while (filled < slab->size() && !ended) {
      const StageTimer timer(times, context.env.clock, Stage::Read);
      const std::size_t got = TRY(read(MutableByteView(*slab).subspan(filled)));
      ended = got == 0;
      filled += got;
    }
    std::size_t at = 0;
    while (at < filled) {
      std::size_t length = 0;
      {
        const StageTimer timer(times, context.env.clock, Stage::Cut);
        length = chunker.next_cut(ByteView(*slab).subspan(at, filled - at),
                                  ended ? chunk::After::EndOfFile : chunk::After::MoreBytes);
      }
      if (length == 0) break;
      const std::uint64_t sequence = pipeline.next_sequence();
      pending.sequence.push_back(sequence);
      pending.entry.slices.push_back({{}, 0, static_cast<std::uint32_t>(length)});
      TRY(pipeline.add_chunk({sequence, format::ChunkKind::Content, slab, at, length, {}, 1}));
      at += length;
    }
    pending.entry.size += at;
    if (on_progress) on_progress({0, pending.entry.size, session->object_bytes(), 0, 0});
    if (ended) break;
    auto next = slabs.acquire(kSlabBytes);
    std::copy(slab->begin() + static_cast<std::ptrdiff_t>(at), slab->begin() + static_cast<std::ptrdiff_t>(filled),
              next->begin());
    filled -= at;
    slab = std::move(next);
  }
  slab.reset();

  // A dump that died must not become a backup.
  TRY(producer_ended_cleanly().in([&] { return "stream " + options.dataset; }));
  pending.entry.modified_ns = context.env.clock.now().nanoseconds;
  report.totals.bytes = pending.entry.size;
  report.read_bytes = pending.entry.size;
  facts.totals = report.totals;
  TRY(pipeline.add_entry(std::move(pending)));
  TRY(session->finish(facts, report));
  report.duration = context.env.clock.monotonic() - start;
  return report;
}

}  // namespace exclave::engine
