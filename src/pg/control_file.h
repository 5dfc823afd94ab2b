// pg_control: what a PostgreSQL data directory says about itself ("global/pg_control").
// Hides: its layout, which is one for 13 to 17 (pg_control version 1300), little-endian, CRC-32C at byte 288.
//
// I1  Nothing of a file whose CRC is wrong is handed out.
// Threads: a value, a pure function.
// Errors: Corrupt (short, wrong CRC, impossible values), Unsupported (another version, a big-endian server).
// Source: PostgreSQL 15, catalog/pg_control.h (facts, not code); verified against pg_controldata.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "env/time.h"
#include "pg/lsn.h"
#include "pg/wal_checker.h"

namespace exclave::pg {

inline constexpr std::size_t kControlFileBytes = 8'192;  // as PostgreSQL writes it; 292 of them are used

enum class ClusterState : std::uint32_t {
  StartingUp = 0,
  ShutDown = 1,
  ShutDownInRecovery = 2,
  ShuttingDown = 3,
  InCrashRecovery = 4,
  InArchiveRecovery = 5,
  InProduction = 6,
};

struct ControlFile {
  SystemIdentifier system;
  ServerMajor major;  // from the catalogue version
  ClusterState state = ClusterState::StartingUp;
  env::Timestamp written;
  Lsn checkpoint;       // where the last checkpoint record is
  Lsn checkpoint_redo;  // where replay from it begins
  Timeline checkpoint_timeline;
  Lsn minimum_recovery;  // 0 = none
  Timeline minimum_recovery_timeline;
  Lsn backup_start;  // 0 = not restored from a backup, or past its end
  SegmentSize segment_size;
  std::uint32_t data_checksum_version = 0;  // 0 = no page checksums
};

Result<ControlFile> parse_control_file(ByteView bytes);

}  // namespace exclave::pg
