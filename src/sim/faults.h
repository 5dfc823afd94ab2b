// Faults: what a test may ask a simulated machine or network to suffer, in words a test can write down.
// Hides: nothing; plain values, used by Universe, Machine and NetworkControl.
//
//   FileFault    one scripted failure: "the 2nd sync of a path with 'packs/' in it fails"
//   FaultRates   a seeded rain of failures, per million calls
//   Survival     what a power loss spares of the unsynced
//
// Units/limits: rates in calls per million; durations in std::chrono.
// Threads: values.
// See: docs/testing.md (fault model).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "env/time.h"

namespace exclave::sim {

// The kinds of file calls a fault can be aimed at. A compound call of env::FileSystem (a draft's publish, open_log,
// make_directories) is made of several of these, and power can fail between any two.
enum class FileCall : std::uint8_t {
  Open,           // of a file or a directory
  Look,           // stat, entries, list, read_link, xattrs, canonical, next_data, free_bytes
  Read,           // read_at, and read_file's reading
  Write,          // write_at, append, resize
  Sync,           // WritableFile::sync, sync_all
  SyncDirectory,  // sync_directory
  Name,           // a name appears, moves or vanishes: create_*, publish, remove
  Attributes,     // set_attributes
};
std::string_view name_of(FileCall call);

// From the `nth` matching call on, `times` calls fail with `code`; they have no other effect, except that a failed
// sync loses a seeded part of the unsynced data for good (as kernels do) and makes each later sync of that handle fail.
struct FileFault {
  FileCall call = FileCall::Sync;
  std::string path_part = {};  // matches each path that contains it; "" matches all
  std::uint64_t nth = 1;       // counted from the moment of injection; >= 1
  std::uint64_t times = 1;     // >= 1
  Code code = Code::Unavailable;
};
inline constexpr std::uint64_t kForEver = ~std::uint64_t{0};

struct FaultRates {
  std::uint32_t reads_per_million = 0;   // Read fails with Corrupt (EIO)
  std::uint32_t writes_per_million = 0;  // Write fails with Unavailable (EIO)
  std::uint32_t syncs_per_million = 0;   // Sync and SyncDirectory fail with Unavailable (EIO)
};

enum class Survival : std::uint8_t {
  Seeded,      // each unsynced sector, name and attribute change survives or not, by the seed
  Nothing,     // only what was synced survives
  Everything,  // all of it survives, as if the power had failed a minute later
};

struct NetworkOptions {
  std::chrono::nanoseconds min_delay = std::chrono::microseconds(100);  // one way
  std::chrono::nanoseconds max_delay = std::chrono::milliseconds(5);
  std::uint32_t short_transfer_percent = 25;  // of reads and writes that move fewer bytes than they could
  std::uint32_t cuts_per_million = 0;         // of writes at which the connection breaks
  std::size_t pipe_bytes = 256 * 1024;        // in flight or unread, per direction
};

struct Options {
  NetworkOptions network;
  // Civil time at the start on machines without clock offset: 2027-01-01T00:00:00Z.
  env::Timestamp start = env::Timestamp::from_seconds(1'798'761'600);
  // How often an actor goes on although others could run, 0..99. Unset: the seed draws 0, 50 or 90, because some
  // bugs need many switches and some need one at the right place.
  std::optional<std::uint32_t> stay_percent;
  // Of Monitor::wait calls that return at once. Correct code waits in a loop.
  std::uint32_t spurious_wakeup_percent = 5;
  // More env calls than this in one run mean that something spins: abort with a dump.
  std::uint64_t max_calls = 100'000'000;
  // Receives every env call as one line: for comparing two runs that should be equal.
  std::function<void(std::string_view line)> trace;
};

}  // namespace exclave::sim
