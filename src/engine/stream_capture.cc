#include "base/text.h"
#include "engine/capture.h"
#include "engine/dataset_kind.h"
#include "engine/detail/capture_session.h"
#include "engine/detail/slab_cutter.h"

namespace exclave::engine {

// A stream is stored as a listing with one regular file whose path is the dataset's name.
Result<CaptureReport> capture_stream(const CaptureContext& context, const ByteStreamOptions& options,
                                     const ReadStream& read, const EndedCleanly& producer_ended_cleanly,
                                     StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = context.env.clock.monotonic();
  CaptureSession::Facts facts;
  facts.kind = format::DatasetKind::ByteStream;
  facts.source = options.source;
  facts.started_ns = context.env.clock.now().nanoseconds;
  TRY(format::check_name("dataset", options.dataset));
  TRY(check_kind(TRY(repo::snapshots_in(context.table)), options.dataset, format::DatasetKind::ByteStream));
  const auto session = TRY(CaptureSession::begin(context, options.dataset, nullptr, options.behind, times));
  ContentPipeline& pipeline = session->pipeline();

  PendingEntry pending;
  pending.entry.path = options.dataset;
  pending.entry.mode = env::kPrivateFile;
  CaptureReport report;
  report.totals.files = 1;
  repo::BufferPool slabs(context.env.threads, kSlabs);
  SlabCutter cutter(pipeline, slabs, context.env.clock, times);
  std::uint64_t told_bytes = 0;
  while (true) {
    if (stop.stop_requested()) return Error(Code::Cancelled, "stream " + options.dataset + " was interrupted");
    const MutableByteView room = TRY(cutter.room());
    std::size_t got = 0;
    {
      const StageTimer timer(times, context.env.clock, Stage::Read);
      got = TRY(read(room));
    }
    if (got == 0) break;
    cutter.filled(got);
    if (on_progress && std::exchange(told_bytes, cutter.cut_bytes()) != cutter.cut_bytes())
      on_progress({0, cutter.cut_bytes(), session->object_bytes(), 0, 0});
  }
  TRY(cutter.finish());

  // A dump that died must not become a backup.
  TRY(producer_ended_cleanly().in([&] { return "stream " + options.dataset; }));
  pending.entry.size = cutter.cut_bytes();
  pending.content = cutter.take_content();
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
