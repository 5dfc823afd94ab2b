// Capture: takes one dataset of a registry into the vaults as one snapshot. Journey 1 of docs/architecture.md.
// Hides: the pipeline between the file system and the vaults.
//
//   walk or stream -> cut -> identify -> skip what the era holds -> compress -> pack -> seal -> send
//     -> receipts (durable) -> index objects -> snapshot record -> catalogue
//
// I1  A capture that returned ok is durable: its snapshot and everything it needs have k receipts. A failure after that
//     is no error of the capture: it is in the report.
// I2  Nothing is skipped silently: entries that could not be read whole are in the report and marked in the listing. What
//     no listing can hold, as a name of more than 255 bytes, is in the report and not in the listing, nor is what lies
//     in it: everything else can be restored.
// I3  An interrupted capture leaves no snapshot; what got receipts is not sent again by the next one. If it was
//     interrupted while the vaults took the snapshot itself, they may hold one that home does not know, as after a crash.
// I4  Unchanged files (same size, mtime, ctime, inode as in the catalogue) are not opened, unless asked to. What changed
//     less than 3 seconds before it was looked at is not taken for unchanged next time. One change goes unseen: a write
//     through a shared mapping moves no time while its page is dirty already, as the kernel stamps only the first write
//     to a clean page. A file that is mapped and written to all the time is caught up with by the first capture after
//     the kernel has written the page back and the file was written to once more; or by rereading everything.
// Memory: about 150 MB, whatever the number of files; and 40 bytes for each chunk (1 MiB or so) of the largest file or
//     stream, which are the slices of its entry: 0.4 GB for 10 TB.
// Errors: NotFound (source), InvalidInput (the dataset holds another root), Unavailable, Exhausted, Denied (vaults),
//     Precondition (keys), Cancelled, Corrupt (agent state).
// See: docs/formats/{pack,listing,snapshot,catalogue}.md.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "custody/key_files.h"
#include "engine/exclude.h"
#include "engine/stage_times.h"
#include "env/env.h"
#include "format/snapshot.h"
#include "policy/era.h"
#include "repo/pack_writer.h"
#include "spread/stream_writer.h"
#include "table/table.h"

namespace exclave::engine {

// Who captures, for whom, with which keys. Everything outlives the capture.
struct CaptureContext {
  env::Env& env;
  const policy::Policy& policy;
  const policy::Registry& registry;
  const policy::Era& era;
  const custody::AgentKeys& keys;
  const crypto::Ed25519SigningKey& writer;
  std::vector<store::VaultApi*> vaults;  // the placement: all vaults of the policy
  table::Table& table;                   // of this registry and era
  std::string state_directory;           // catalogues lie here
  std::string host;
};

struct CaptureProgress {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;           // looked at: read, or known to be unchanged
  std::uint64_t new_bytes = 0;       // of object files made so far
  std::uint64_t expected_files = 0;  // 0 while unknown
  std::uint64_t expected_bytes = 0;
};
// Called now and then from the capturing thread; cheap.
using OnProgress = std::function<void(const CaptureProgress&)>;

using spread::Behind;
enum class Rereading { ChangedOnly, Everything };
enum class CaptureMode { Real, DryRun };
// What to do where the dataset's last capture was of another directory. "The latest" of a dataset is one tree: of two
// that take turns in it, each hides the other.
enum class OtherRoot { Refuse, Accept };

struct TreeCaptureOptions {
  std::string dataset = "files";
  std::string source;  // directory
  std::vector<std::string> excludes;
  FileSystemBorder border = FileSystemBorder::Cross;
  Rereading rereading = Rereading::ChangedOnly;
  Behind behind = Behind::GracePeriod;
  CaptureMode mode = CaptureMode::Real;
  OtherRoot other_root = OtherRoot::Refuse;
  std::uint64_t expected_files = 0;  // for progress, if the caller knows
  std::uint64_t expected_bytes = 0;
};

struct CaptureProblem {
  std::string path;
  std::string why;
};
inline constexpr std::size_t kMaxListedProblems = 1000;

struct CaptureReport {
  format::ObjectName snapshot;  // zero for a dry run
  std::uint64_t number = 0;
  format::SnapshotTotals totals;
  std::uint64_t unchanged_files = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t excluded = 0;
  repo::PackStatistics packs;
  std::vector<spread::VaultProgress> vaults;
  std::uint64_t entries = 0;             // of the stream; a vault whose head is lower is behind
  std::vector<CaptureProblem> problems;  // the first kMaxListedProblems; totals.unreadable counts all
  std::vector<std::string> not_kept;  // what the agent could not write down for itself; the snapshot does not need it
  std::vector<std::string> notes;     // what somebody should know, though it made nothing worse
  std::chrono::nanoseconds duration{};

  bool is_partial() const { return totals.unreadable > 0 || !not_kept.empty(); }
  std::vector<std::string> vaults_behind() const;
};

// Totals of the dataset's last capture, if there is one to go on from: what progress may be measured against.
std::optional<format::SnapshotTotals> last_totals(const CaptureContext& context, std::string_view dataset);

Result<CaptureReport> capture_tree(const CaptureContext& context, const TreeCaptureOptions& options, StageTimes& times,
                                   const OnProgress& on_progress, std::stop_token stop);

// A stream: `read` returns 0 at its end; `producer_ended_cleanly` is asked then. Only a clean end becomes a snapshot
// (Cancelled otherwise: nothing is kept but deduplicated chunks).
struct ByteStreamOptions {
  std::string dataset;
  std::string source;  // the command, or "standard input"
  Behind behind = Behind::GracePeriod;
};
using ReadStream = std::function<Result<std::size_t>(MutableByteView)>;
using EndedCleanly = std::function<Status()>;
Result<CaptureReport> capture_stream(const CaptureContext& context, const ByteStreamOptions& options,
                                     const ReadStream& read, const EndedCleanly& producer_ended_cleanly,
                                     StageTimes& times, const OnProgress& on_progress, std::stop_token stop);

// The period to seal under: that of the earlier of the agent's clock and the k-th newest of the vaults' times, so that
// neither a fast clock here nor a lying vault moves it ahead. Without k vaults' times the agent's clock alone counts.
// A capture takes of each vault the later of what it says now and what it has signed: receipts alone are as old as the
// last capture, and a release of that one's period would open this one.
format::PeriodNumber current_period(const CaptureContext& context,
                                    const std::map<std::string, std::int64_t>& vault_times);

}  // namespace exclave::engine
