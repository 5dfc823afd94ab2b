#include "engine/database_capture.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>

#include "base/text.h"
#include "engine/dataset_kind.h"
#include "engine/detail/capture_session.h"
#include "engine/detail/slab_cutter.h"

namespace exclave::engine {
namespace {

constexpr std::chrono::hours kLongestBackup(24 * 7);
constexpr std::string_view kLinks = "pg_tblspc";
constexpr std::string_view kManifestPath = "backup_manifest";

// Turns the events of a base backup into chunks at once, and into entries at the end.
class BackupReceiver {
 public:
  BackupReceiver(const CaptureContext& context, CaptureSession& session, StageTimes& times)
      : context_(context),
        session_(session),
        slabs_(context.env.threads, kSlabs),
        cutter_(session.pipeline(), slabs_, context.env.clock, times, CutRule::InPages) {
    add_directory("", context.env.clock.now().nanoseconds);
  }

  Status take(const pg::FileBegins& begins) {
    TRY(end_content());
    const pg::BackupEntry& entry = begins.entry;
    switch (entry.type) {
      case pg::EntryType::Directory:
      case pg::EntryType::Symlink:  // of a tablespace: its files come below this path
        add_tablespace_folder(entry);
        add_directory_once(listed_path(entry.path), entry.modified.nanoseconds);
        return {};
      case pg::EntryType::File:
        add_tablespace_folder(entry);
        begin_file(listed_path(entry.path), entry.mode, entry.modified.nanoseconds);
        return {};
    }
    return {};
  }
  Status take(const pg::FileBytes& bytes) { return add_bytes(bytes.bytes); }
  Status take(const pg::FileEnds&) { return end_content(); }
  Status take(const pg::ManifestBytes& bytes) {
    if (!has_manifest_) begin_file(std::string(kManifestPath), env::kPrivateFile, context_.env.clock.now().nanoseconds);
    has_manifest_ = true;
    return add_bytes(bytes.bytes);
  }

  // Every entry, in walk order, into the listing.
  Status finish() {
    TRY(end_content());
    std::sort(entries_.begin(), entries_.end(), [](const PendingEntry& a, const PendingEntry& b) {
      return format::compare_in_walk_order(a.entry.path, b.entry.path) < 0;
    });
    for (PendingEntry& entry : entries_) TRY(session_.pipeline().add_entry(std::move(entry)));
    entries_.clear();
    return {};
  }

  const format::SnapshotTotals& totals() const { return totals_; }

 private:
  // Where an entry of a tablespace stands in the listing (format/snapshot.h); others stand where they are.
  static bool is_in_tablespace(const std::string& path) { return path.starts_with(std::string(kLinks) + "/"); }
  static std::string listed_path(const std::string& path) {
    if (!is_in_tablespace(path)) return path;
    return std::string(format::kTablespacesFolder) + path.substr(kLinks.size());
  }
  // Nothing in the stream names these two.
  void add_tablespace_folder(const pg::BackupEntry& entry) {
    if (!is_in_tablespace(entry.path)) return;
    const std::string path = listed_path(entry.path);
    add_directory_once(std::string(format::kTablespacesFolder), entry.modified.nanoseconds);
    add_directory_once(path.substr(0, path.find('/', format::kTablespacesFolder.size() + 1)),
                       entry.modified.nanoseconds);
  }
  // A tablespace's root comes as a link and as a directory.
  void add_directory_once(const std::string& path, std::int64_t modified_ns) {
    if (directories_.insert(path).second) add_directory(path, modified_ns);
  }
  void add_directory(std::string path, std::int64_t modified_ns) {
    PendingEntry pending;
    pending.entry.path = std::move(path);
    pending.entry.type = format::EntryType::Directory;
    pending.entry.mode = env::kPrivateDirectory;
    pending.entry.modified_ns = modified_ns;
    entries_.push_back(std::move(pending));
    ++totals_.directories;
  }
  void begin_file(std::string path, std::uint32_t mode, std::int64_t modified_ns) {
    PendingEntry pending;
    pending.entry.path = std::move(path);
    pending.entry.mode = mode & 07777U;
    pending.entry.modified_ns = modified_ns;
    entries_.push_back(std::move(pending));
    in_file_ = true;
    ++totals_.files;
  }
  Status add_bytes(ByteView bytes) {
    CHECK(in_file_);
    entries_.back().entry.size += bytes.size();
    totals_.bytes += bytes.size();
    while (!bytes.empty()) {
      const MutableByteView room = TRY(cutter_.room());
      const std::size_t some = std::min(room.size(), bytes.size());
      std::copy_n(bytes.begin(), some, room.begin());
      cutter_.filled(some);
      bytes = bytes.subspan(some);
    }
    return {};
  }
  Status end_content() {
    if (!std::exchange(in_file_, false)) return {};
    TRY(cutter_.finish());
    auto content = cutter_.take_content();
    if (entries_.back().entry.size > 0) entries_.back().content = std::move(content);
    return {};
  }

  const CaptureContext& context_;
  CaptureSession& session_;
  repo::BufferPool slabs_;
  SlabCutter cutter_;
  std::vector<PendingEntry> entries_;
  std::set<std::string> directories_;
  format::SnapshotTotals totals_;
  bool in_file_ = false;
  bool has_manifest_ = false;
};

// Whether a warning is of the database's own files, in whatever language it is: of one that the server passed over, or could not
// check. Neither its stream nor its manifest has such a file.
bool is_of_content(std::string_view warning) {
  constexpr std::array<std::string_view, 3> kPlaces = {"./base/", "./global/", "./pg_"};
  return std::ranges::any_of(kPlaces, [&](std::string_view place) { return warning.find(place) != warning.npos; });
}

Error bad_pages_refused(const std::vector<std::string>& failures) {
  std::string message =
      "the server's pages do not bear their checksums, or it left files out: this backup is not kept:";
  for (const std::string& failure : failures) message += "\n  " + printable(failure);
  return Error(Code::Corrupt, std::move(message))
      .hint("look at the server's disk; to keep it all the same, with an alarm, say --keep-bad-pages");
}

Result<pg::Finished> receive(pg::BaseBackup& backup, BackupReceiver& receiver, const CaptureSession& session,
                             const OnProgress& on_progress, const pg::Until& until) {
  std::uint64_t told = 0;
  while (true) {
    const pg::BackupEvent event = TRY(backup.next(until));
    if (const auto* finished = std::get_if<pg::Finished>(&event)) return *finished;
    TRY(std::visit(
        [&](const auto& each) -> Status {
          if constexpr (std::is_same_v<std::decay_t<decltype(each)>, pg::Finished>) {
            return {};
          } else {
            return receiver.take(each);
          }
        },
        event));
    constexpr std::uint64_t kTellEvery = 4U << 20;
    if (on_progress && receiver.totals().bytes >= told + kTellEvery) {
      told = receiver.totals().bytes;
      on_progress({receiver.totals().files, told, session.object_bytes(), 0, 0});
    }
  }
}

}  // namespace

Result<DatabaseCaptureReport> capture_database(const CaptureContext& context, pg::ReplicationConnection& connection,
                                               const pg::ServerFacts& facts, const DatabaseCaptureOptions& options,
                                               StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = context.env.clock.monotonic();
  TRY(format::check_name("dataset", options.dataset));
  TRY(check_kind(TRY(repo::snapshots_in(context.table)), options.dataset, format::DatasetKind::Database));
  CaptureSession::Facts snapshot;
  snapshot.kind = format::DatasetKind::Database;
  snapshot.source = options.source;
  snapshot.started_ns = context.env.clock.now().nanoseconds;

  // 1. The stream to the vaults first: a checkpoint that nobody can take in is work for the server in vain.
  const auto session = TRY(CaptureSession::begin(context, options.dataset, nullptr, options.behind, times));
  const pg::Until until{start + kLongestBackup, stop};
  pg::BackupOptions backup_options;
  backup_options.checkpoint = options.checkpoint;
  pg::BaseBackup backup = TRY(pg::BaseBackup::start(connection, "exclave " + options.dataset, backup_options, until));

  // 2. Files as they come.
  DatabaseCaptureReport report;
  BackupReceiver receiver(context, *session, times);
  const pg::Finished finished = TRY(receive(backup, receiver, *session, on_progress, until));
  report.bad_pages = finished.checksum_failures;
  std::ranges::copy_if(finished.warnings, std::back_inserter(report.bad_pages), is_of_content);
  if (!report.bad_pages.empty() && options.bad_pages == BadPages::Refuse) return bad_pages_refused(report.bad_pages);
  TRY(receiver.finish());

  // 3. Make it a snapshot.
  report.base.source = {facts.system.value(), facts.version.major.value(), facts.segment_size.bytes()};
  report.base.timeline = format::LogTimeline(finished.timeline.value());
  report.base.start = format::LogPosition(finished.start.value());
  report.base.end = format::LogPosition(finished.end.value());
  snapshot.base = report.base;
  snapshot.totals = receiver.totals();
  report.capture.totals = receiver.totals();
  report.capture.read_bytes = receiver.totals().bytes;
  TRY(session->finish(snapshot, report.capture));
  for (const std::string& warning : finished.warnings) {
    if (!is_of_content(warning)) report.capture.notes.push_back("the server warned: " + printable(warning));
  }
  report.capture.duration = context.env.clock.monotonic() - start;
  return report;
}

}  // namespace exclave::engine
