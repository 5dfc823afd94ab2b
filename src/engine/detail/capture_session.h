// CaptureSession: what every capture has in common, whatever its source: a stream to the vaults, packs, the pipeline,
// and the end of a snapshot (index objects, snapshot record, agent state, catalogue), in the order that makes each step
// crash-safe. Internal to engine.
//
// I1  Order at the end: packs durable -> index objects -> snapshot durable -> agent state (synced) -> catalogue.
//     A crash between any two leaves either no snapshot, or a durable one that the next capture builds on or repeats.
// I2  Before anything may build on entries of the stream (chunks that become known, the snapshot in the agent's state),
//     the agent's table has the receipts of k vaults for them, and that they are relied on. So what an interrupted
//     capture leaves behind can be held against what the vaults show later (engine/stored_check.h).
// Threads: one caller, that of the pipeline. Workers behind it write packs meanwhile; object_bytes() may be asked then.
#pragma once

#include <memory>
#include <optional>

#include "engine/capture.h"
#include "engine/detail/content_pipeline.h"
#include "engine/detail/vault_survey.h"

namespace exclave::engine {

class CaptureSession {
 public:
  // `catalogue` (or null) takes the listing's entries until finish() commits it; it outlives the session.
  static Result<std::unique_ptr<CaptureSession>> begin(const CaptureContext& context, std::string_view dataset,
                                                       repo::CatalogueWriter* catalogue, Behind behind,
                                                       StageTimes& times);

  ContentPipeline& pipeline() { return *pipeline_; }
  std::uint64_t object_bytes() const { return packs_->object_bytes(); }  // so far; while workers make more

  struct Facts {
    format::DatasetKind kind = format::DatasetKind::Tree;
    std::string source;
    format::SnapshotTotals totals;
    std::int64_t started_ns = 0;
    std::optional<format::ObjectName> previous;
    std::optional<format::PeriodNumber> reused_oldest;  // of a catalogue whose slices were reused
    std::optional<format::BaseBackupFacts> base;        // of a database
  };
  // Fills report.snapshot, number, packs, vaults, entries, notes, not_kept, and totals and problems with what the
  // pipeline left out.
  Status finish(Facts facts, CaptureReport& report);

 private:
  CaptureSession(const CaptureContext& context, std::string_view dataset, Behind behind, StageTimes& times)
      : context_(context), dataset_(dataset), behind_(behind), times_(times) {}
  // The running period, as the vaults and this machine's clock tell it.
  Status find_period(const VaultSurvey& survey);
  Result<std::vector<format::ObjectReference>> write_index_objects();
  Result<format::Snapshot> describe(const Facts& facts, ContentPipeline::Outcome outcome,
                                    const std::vector<format::ObjectReference>& new_indexes) const;
  repo::SnapshotSummary summary_of(const format::Snapshot& snapshot, const format::ObjectReference& written) const;
  Status keep_receipts();
  Status rely_on(std::uint64_t durable);  // the first so many entries (I2)

  const CaptureContext& context_;
  std::string dataset_;
  const Behind behind_;
  StageTimes& times_;
  repo::CatalogueWriter* catalogue_ = nullptr;
  format::PeriodNumber period_;
  std::vector<std::string> notes_;
  std::optional<repo::DedupIndex> index_;
  std::unique_ptr<spread::StreamWriter> stream_;
  std::unique_ptr<repo::PackWriter> packs_;
  std::unique_ptr<ContentPipeline> pipeline_;
};

}  // namespace exclave::engine
