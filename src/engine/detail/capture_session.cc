#include "engine/detail/capture_session.h"

#include <algorithm>

#include "engine/detail/stream_order.h"
#include "engine/period_keeper.h"
#include "repo/relied_entries.h"

namespace exclave::engine {
namespace {

constexpr std::string_view kProgram = "exclave 0.1.0";
// How long a capture that is durable waits for vaults that are still receiving.
constexpr std::chrono::seconds kGraceForSlowVaults(30);

// What was counted when it was read, and is not in the listing.
void count_left_out(const ContentPipeline::Outcome& outcome, format::SnapshotTotals& totals, CaptureReport& report) {
  const format::SnapshotTotals& left_out = outcome.left_out_totals;
  totals.files -= left_out.files;
  totals.directories -= left_out.directories;
  totals.others -= left_out.others;
  totals.bytes -= left_out.bytes;
  totals.unreadable += left_out.unreadable;
  report.totals = totals;
  for (const CaptureProblem& problem : outcome.left_out) {
    if (report.problems.size() < kMaxListedProblems) report.problems.push_back(problem);
  }
}

}  // namespace

std::vector<std::string> CaptureReport::vaults_behind() const {
  std::vector<std::string> behind;
  for (const spread::VaultProgress& vault : vaults) {
    if (vault.head < entries) behind.push_back(vault.vault);
  }
  return behind;
}

format::PeriodNumber current_period(const CaptureContext& context,
                                    const std::map<std::string, std::int64_t>& vault_times) {
  std::int64_t now = context.env.clock.now().seconds();
  std::vector<std::int64_t> times;
  for (const auto& [vault, time] : vault_times) times.push_back(time);
  now = std::min(now, policy::reached_by(context.policy.quorum.k, std::move(times)).value_or(now));
  const format::PeriodNumber period = context.era.period_at(now);
  // Keys of earlier periods have been erased: what is left starts at the oldest one held.
  if (!context.keys.periods.empty()) return std::max(period, context.keys.periods.front().id.period);
  return period;
}

Result<std::unique_ptr<CaptureSession>> CaptureSession::begin(const CaptureContext& context, std::string_view dataset,
                                                              repo::CatalogueWriter* catalogue, Behind behind,
                                                              StageTimes& times) {
  std::unique_ptr<CaptureSession> session(new CaptureSession(context, dataset, behind, times));
  session->catalogue_ = catalogue;
  session->index_ = TRY(repo::DedupIndex::open(context.table));
  const VaultSurvey survey = survey_vaults(context.env.threads, context.vaults);
  TRY(session->find_period(survey));
  if (context.keys.key_for(session->period_) == nullptr) {
    return Error(Code::Precondition, "registry " + context.registry.name + ": the agent has no key for period " +
                                         std::to_string(session->period_.value()) + " of era " +
                                         std::to_string(context.era.number.value()))
        .hint("open the next era: exclave agent recover");
  }

  format::StreamDescriptor descriptor;
  descriptor.realm = context.policy.realm;
  descriptor.writer = context.writer.public_key();
  descriptor.registry = context.registry.id;
  descriptor.era = context.era.number;
  descriptor.start = TRY(next_stream_start(context, *session->index_, survey.away));
  session->stream_ = TRY(spread::StreamWriter::open(
      context.env.threads, context.env.clock, context.vaults, context.policy.quorum.k,
      format::SignedStream::sign(descriptor, context.writer), context.writer, behind, survey.away));
  CaptureSession* raw = session.get();
  session->packs_ = std::make_unique<repo::PackWriter>(
      context.env.threads, context.env.clock, repo::Sealer(context.policy.realm, context.env.random),
      [raw]() -> Result<const format::SealingKey*> { return raw->context_.keys.key_for(raw->period_); },
      *session->stream_, *session->index_, [raw](const repo::PackRecord& pack) { raw->pipeline_->forget_claims(pack); },
      [raw](std::uint64_t durable) { return raw->rely_on(durable); });
  session->pipeline_ = std::make_unique<ContentPipeline>(context, *session->index_, *session->packs_, catalogue,
                                                         session->period_, times);
  return session;
}

Status CaptureSession::find_period(const VaultSurvey& survey) {
  VaultTimes times = TRY(newest_vault_times(*index_));
  if (survey.times.size() >= context_.policy.quorum.k) {
    for (const auto& [vault, now] : survey.times) {
      const auto [kept, inserted] = times.emplace(vault, now);
      if (!inserted) kept->second = std::max(kept->second, now);
    }
  } else {
    notes_.push_back("only " + std::to_string(survey.times.size()) +
                     " vaults said what time it is: the period follows from the receipts of the last capture");
  }
  period_ = current_period(context_, times);
  const format::PeriodNumber here = context_.era.period_at(context_.env.clock.now().seconds());
  if (period_ != here) {
    notes_.push_back("sealed under period " + std::to_string(period_.value()) +
                     ", but by this machine's clock period " + std::to_string(here.value()) +
                     " runs: see to the clocks, here and at the vaults");
  }
  return {};
}

// Packs that no index object names yet, those of interrupted captures included, split over as many objects as needed.
Result<std::vector<format::ObjectReference>> CaptureSession::write_index_objects() {
  const std::size_t limit = format::plain_capacity(format::kLargestClass) - format::kFooterBytes;
  std::vector<format::ObjectReference> written;
  std::uint64_t from = 0;
  while (true) {
    const repo::DedupIndex::UnindexedPacks some = TRY(index_->unindexed_packs(from, limit));
    if (some.packs.empty()) break;
    Bytes payload;
    for (const repo::PackRecord& pack : some.packs)
      format::append_index_section(payload, pack.name, pack.size_class, pack.period, pack.directory);
    const auto sections = static_cast<std::uint32_t>(some.packs.size());
    written.push_back(TRY(packs_->put_plaintext(format::PlaintextType::Index, payload, sections, std::nullopt)));
    from = some.next;
  }
  return written;
}

Status CaptureSession::keep_receipts() {
  for (const spread::VaultProgress& vault : stream_->progress()) {
    if (vault.receipt.has_value()) TRY(index_->keep_receipt(vault.vault, *vault.receipt));
  }
  return {};
}

// Receipts first: a row without them would take a vault that is silent later for one that never had anything.
Status CaptureSession::rely_on(std::uint64_t durable) {
  TRY(keep_receipts());
  return repo::rely_on(context_.table, stream_->stream(), durable);
}

Result<format::Snapshot> CaptureSession::describe(const Facts& facts, ContentPipeline::Outcome outcome,
                                                  const std::vector<format::ObjectReference>& new_indexes) const {
  format::Snapshot snapshot;
  snapshot.kind = facts.kind;
  snapshot.dataset = dataset_;
  snapshot.number = TRY(index_->last_number_of(dataset_)) + 1;
  snapshot.started_ns = facts.started_ns;
  snapshot.finished_ns = context_.env.clock.now().nanoseconds;
  snapshot.host = context_.host;
  snapshot.source = facts.source.substr(0, 4000);
  snapshot.program = kProgram;
  snapshot.totals = facts.totals;
  snapshot.oldest_period = outcome.oldest_period;
  if (facts.reused_oldest.has_value()) snapshot.oldest_period = std::min(snapshot.oldest_period, *facts.reused_oldest);
  snapshot.previous = facts.previous;
  snapshot.base = facts.base;
  snapshot.dedup_key = context_.keys.dedup.clone();
  snapshot.listing = std::move(outcome.listing);
  snapshot.indexes = TRY(index_->index_objects());
  snapshot.indexes.insert(snapshot.indexes.end(), new_indexes.begin(), new_indexes.end());
  for (const format::ObjectReference& reference : snapshot.indexes) {
    snapshot.oldest_period = std::min(snapshot.oldest_period, reference.period);
  }
  return snapshot;
}

repo::SnapshotSummary CaptureSession::summary_of(const format::Snapshot& snapshot,
                                                 const format::ObjectReference& written) const {
  repo::SnapshotSummary summary;
  summary.name = written.name;
  summary.dataset = snapshot.dataset;
  summary.kind = snapshot.kind;
  summary.number = snapshot.number;
  summary.started_ns = snapshot.started_ns;
  summary.finished_ns = snapshot.finished_ns;
  summary.source = snapshot.source;
  summary.totals = snapshot.totals;
  summary.stored_bytes = packs_->statistics().object_bytes;
  summary.oldest_period = snapshot.oldest_period;
  summary.period = written.period;
  return summary;
}

Status CaptureSession::finish(Facts facts, CaptureReport& report) {
  // 1. Everything cut has been identified, compressed and packed; every pack is durable and known.
  ContentPipeline::Outcome outcome = TRY(pipeline_->finish());
  TRY(packs_->finish());
  count_left_out(outcome, facts.totals, report);

  // 2. Index objects, then the snapshot that names them.
  const std::vector<format::ObjectReference> new_indexes = TRY(write_index_objects());
  const format::Snapshot snapshot = TRY(describe(facts, std::move(outcome), new_indexes));
  const crypto::SecretBytes record(format::encode_snapshot(snapshot));
  const format::ObjectReference written =
      TRY(packs_->put_plaintext(format::PlaintextType::Snapshot, record.view(), 1, snapshot.oldest_period));
  TRY(packs_->settle());

  // 3. The agent's own memory of it, and of whose word it stands on.
  TRY(rely_on(stream_->durable_count()));
  TRY(index_->finish_snapshot(summary_of(snapshot, written), new_indexes));

  // 4. Vaults that are still receiving.
  const bool for_all = behind_ == Behind::WaitForAll;
  stream_->finish(for_all ? std::nullopt : std::optional(context_.env.clock.monotonic() + kGraceForSlowVaults));

  // 5. What makes the next capture cheaper. It is done without, and says so: the snapshot is durable whatever happens.
  const auto note = [&](Status done, std::string_view what) {
    if (!done.ok()) report.not_kept.push_back(std::string(what) + ": " + done.error().message());
  };
  if (catalogue_ != nullptr) {
    note(std::move(*catalogue_)
             .commit({context_.policy.realm, context_.registry.id, context_.era.number, dataset_, written.name,
                      snapshot.oldest_period, facts.source, facts.totals}),
         "the next capture reads again what changed since the catalogue before, or the whole tree if there is none");
  }
  note(keep_receipts(), "what slower vaults confirmed is not remembered");
  report.notes = notes_;
  report.snapshot = written.name;
  report.number = snapshot.number;
  report.packs = packs_->statistics();
  report.vaults = stream_->progress();
  for (const spread::VaultProgress& vault : report.vaults) report.entries = std::max(report.entries, vault.head);
  times_.add(Stage::Seal, report.packs.seal_time);
  times_.add(Stage::Wait, report.packs.push_time);
  for (const spread::VaultProgress& vault : report.vaults) times_.add(Stage::Send, vault.send_time);
  return {};
}

}  // namespace exclave::engine
