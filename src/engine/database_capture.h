// Database capture: takes a base backup of a running PostgreSQL server into the vaults, as one snapshot.
// Hides: how files that come in the server's order become a listing in walk order, and how they are cut.
//
//   BASE_BACKUP -> files -> chunks of 64 KiB at page borders -> the pipeline of every capture -> snapshot of kind 3
//
// I1  All that capture.h promises. A base backup whose server reported bad pages is refused or kept, as the caller says,
//     never silently.
// I2  The snapshot says which part of the log makes it consistent (start..end). It is usable only together with the
//     journal of the same dataset up to `end`; whoever calls this has the log streaming already.
// I3  A chunk begins at every 64 KiB of each file, so that a page that changed costs the chunk it lies in, whatever moved
//     elsewhere.
// Memory: that of a capture, 250 bytes per file of the cluster, and 40 bytes per 64 KiB of it: 0.7 GB for 1 TB. Entries
//   are sorted at the end, because a listing is in walk order and the server's files are not.
// Errors: those of pg/base_backup.h and of a capture; Corrupt for bad pages that are refused (nothing becomes a snapshot).
// See: docs/formats/snapshot.md, ADR-0025.
#pragma once

#include "engine/capture.h"
#include "pg/base_backup.h"

namespace exclave::engine {

enum class BadPages { Refuse, KeepWithAlarm };

struct DatabaseCaptureOptions {
  std::string dataset;
  std::string source;  // for people: version and system identifier of the server
  BadPages bad_pages = BadPages::Refuse;
  pg::Checkpoint checkpoint = pg::Checkpoint::Fast;
  Behind behind = Behind::GracePeriod;
};

struct DatabaseCaptureReport {
  CaptureReport capture;
  format::BaseBackupFacts base;
  // What the server said of them, and of files that it left out, when they were kept.
  std::vector<std::string> bad_pages;
};

// `connection` is in command state, to the server that is copied; `facts` were read from the same server.
Result<DatabaseCaptureReport> capture_database(const CaptureContext& context, pg::ReplicationConnection& connection,
                                               const pg::ServerFacts& facts, const DatabaseCaptureOptions& options,
                                               StageTimes& times, const OnProgress& on_progress, std::stop_token stop);

}  // namespace exclave::engine
