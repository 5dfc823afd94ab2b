#include <algorithm>

#include "base/text.h"
#include "engine/capture.h"
#include "engine/dataset_kind.h"
#include "engine/detail/capture_session.h"
#include "engine/detail/progress_pace.h"
#include "engine/detail/tree_reader.h"

namespace exclave::engine {
namespace {

bool is_of_this_era(const CaptureContext& context, const repo::CatalogueHeader& header) {
  return header.realm == context.policy.realm && header.registry == context.registry.id &&
         header.era == context.era.number;
}

// Whether the table knows the snapshot. It did before the catalogue was there: where the row is missing, the table is
// an older one or a new one, and does not know the chunks that the catalogue's entries are made of.
Result<bool> is_listed(const CaptureContext& context, const format::ObjectName& snapshot) {
  const repo::DedupIndex index = TRY(repo::DedupIndex::open(context.table));
  const auto listed = TRY(index.snapshots());
  return std::any_of(listed.begin(), listed.end(), [&](const auto& each) { return each.name == snapshot; });
}

// The catalogue to merge with: of this realm, registry and era, and no newer than the table; or none.
Result<std::optional<repo::CatalogueReader>> usable_catalogue(const CaptureContext& context,
                                                              const TreeCaptureOptions& options) {
  auto opened = repo::CatalogueReader::open(context.env.files, context.state_directory, options.dataset);
  if (!opened.ok()) {
    if (opened.error().code() != Code::NotFound) {
      context.env.log.write(env::LogLevel::Warning, opened.error().message() + "; the whole tree is read");
    }
    return std::optional<repo::CatalogueReader>();
  }
  if (!is_of_this_era(context, opened.value().header())) {
    context.env.log.write(env::LogLevel::Warning,
                          "catalogue of dataset " + options.dataset + " is another era's; the whole tree is read");
    return std::optional<repo::CatalogueReader>();
  }
  if (!TRY(is_listed(context, opened.value().header().snapshot))) {
    context.env.log.write(env::LogLevel::Warning,
                          "catalogue of dataset " + options.dataset +
                              " is not of the same moment as the agent's table; the whole tree is "
                              "read");
    return std::optional<repo::CatalogueReader>();
  }
  return std::optional(opened.take());
}

// By the last catalogue, of whatever era: without one there is nothing to compare with.
Status check_root(const CaptureContext& context, const TreeCaptureOptions& options, const std::string& source) {
  if (options.other_root == OtherRoot::Accept) return {};
  const auto last = repo::CatalogueReader::open(context.env.files, context.state_directory, options.dataset);
  if (!last.ok()) return {};
  const repo::CatalogueHeader& header = last.value().header();
  const bool is_ours = header.realm == context.policy.realm && header.registry == context.registry.id;
  if (!is_ours || header.root == source) return {};
  return Error(Code::InvalidInput, "dataset '" + options.dataset + "' holds '" + printable(header.root) + "', not '" +
                                       printable(source) + "'")
      .hint("give this tree a dataset of its own: --dataset NAME; or if it has moved, say --moved");
}

Error interrupted(const std::string& source) {
  return {Code::Cancelled, "capture of " + printable(source) + " was interrupted"};
}

// A dry run walks and merges, and reads nothing.
Result<CaptureReport> count_tree(TreeScanner& scanner, const std::string& source, const OnProgress& on_progress,
                                 const std::stop_token& stop) {
  CaptureReport report;
  CaptureProgress progress;
  ProgressPace pace;
  while (auto scanned = TRY(scanner.next())) {
    if (stop.stop_requested()) return interrupted(source);
    if (const auto* block = std::get_if<ScannedBlock>(&*scanned)) {
      count_block(*block, report);
    } else {
      count_entry(std::get<ScannedEntry>(*scanned), report);
    }
    if (!on_progress || !pace.is_due(report.totals.files, report.totals.bytes)) continue;
    progress.files = report.totals.files;
    progress.bytes = report.totals.bytes;
    on_progress(progress);
  }
  report.excluded = scanner.excluded();
  return report;
}

}  // namespace

std::optional<format::SnapshotTotals> last_totals(const CaptureContext& context, std::string_view dataset) {
  const auto last = repo::CatalogueReader::open(context.env.files, context.state_directory, dataset);
  if (!last.ok() || !is_of_this_era(context, last.value().header())) return std::nullopt;
  return last.value().header().totals;
}

Result<CaptureReport> capture_tree(const CaptureContext& context, const TreeCaptureOptions& options, StageTimes& times,
                                   const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = context.env.clock.monotonic();
  const std::int64_t started_ns = context.env.clock.now().nanoseconds;

  // 1. Open the source, the last listing, and the stream to the vaults.
  TRY(format::check_name("dataset", options.dataset));
  TRY(check_kind(TRY(repo::snapshots_in(context.table)), options.dataset, format::DatasetKind::Tree));
  const std::string source = TRY(context.env.files.canonical(options.source).in([] { return "source"; }));
  TRY(check_root(context, options, source));
  TreeWalker walker =
      TRY(TreeWalker::open(context.env.files, source, TRY(ExcludeList::parse(options.excludes)), options.border));
  std::optional<repo::CatalogueReader> previous = TRY(usable_catalogue(context, options));
  CaptureSession::Facts facts;
  facts.source = source;
  facts.started_ns = started_ns;
  format::PeriodNumber previous_oldest;
  if (previous.has_value()) {
    facts.previous = previous->header().snapshot;
    previous_oldest = previous->header().oldest_period;
  }
  if (options.mode == CaptureMode::DryRun) {
    TreeScanner scanner(context.env, std::move(walker), std::move(previous), options.rereading, times);
    return count_tree(scanner, source, on_progress, stop);
  }
  repo::CatalogueWriter catalogue = repo::CatalogueWriter::create(context.env.files, context.state_directory);
  const auto session = TRY(CaptureSession::begin(context, options.dataset, &catalogue, options.behind, times));

  // 2. Walk, read and cut; the pipeline does the rest behind.
  CaptureReport report;
  TreeScanner scanner(context.env, std::move(walker), std::move(previous), options.rereading, times);
  CaptureProgress progress;
  progress.expected_files = options.expected_files;
  progress.expected_bytes = options.expected_bytes;
  ProgressPace pace;
  const auto go_on = [&](std::uint64_t unread_bytes) -> Status {
    if (stop.stop_requested()) return interrupted(source);
    progress.files = report.totals.files;
    progress.bytes = report.totals.bytes - unread_bytes;
    if (!on_progress || !pace.is_due(progress.files, progress.bytes)) return {};
    progress.new_bytes = session->object_bytes();
    on_progress(progress);
    return {};
  };
  TreeReader reader(context, session->pipeline(), report, times, go_on);
  while (auto scanned = TRY(scanner.next())) {
    TRY(std::visit([&](auto& item) { return reader.add(std::move(item)); }, *scanned));
    TRY(go_on(0));
  }
  TRY(reader.finish());
  report.excluded = scanner.excluded();

  // 3. Make it a snapshot.
  facts.totals = report.totals;
  if (reader.reused_any()) facts.reused_oldest = previous_oldest;
  TRY(session->finish(facts, report));
  report.duration = context.env.clock.monotonic() - start;
  return report;
}

}  // namespace exclave::engine
