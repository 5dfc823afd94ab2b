// What a PostgreSQL server is and how it is set up, read once over an ordinary connection; and whether that is enough
// for us. Hides: the queries, and which settings matter.
//
// Needs: a role with LOGIN and REPLICATION, no superuser; pg_hba lines for a database and for "replication".
// Threads: one per call. Blocks up to `until`.
// Errors: Unavailable (server down, starting, too many connections: again later), Denied (password, role, pg_hba),
//         Unsupported (a version outside 13 .. 17), InvalidInput (conninfo), Precondition (settings), Cancelled. What a
//         user can mend has a hint. No message holds the password.
// See: docs/adr/0023-libpq-behind-pg.md.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "env/time.h"
#include "pg/lsn.h"
#include "pg/wal_checker.h"

namespace exclave::pg {

// Where a server is. `conninfo` is libpq's: "host=... port=... user=... dbname=... password=..." or a URI; settings
// of ours (application_name, replication) override what stands in it. dbname: "postgres" if none is given.
struct Endpoint {
  std::string conninfo;
  std::string application_name;  // at most 63 bytes; what synchronous_standby_names compares, in any case of letters
};

// How long a call may take: up to a point on the clock's monotonic scale, and not after a stop (noticed in 100 ms).
struct Until {
  env::Instant deadline;
  std::stop_token stop;
};

struct ServerVersion {
  ServerMajor major;
  std::uint32_t minor = 0;
  friend auto operator<=>(const ServerVersion&, const ServerVersion&) = default;
};

enum class SlotWal { Reserved, Extended, Unreserved, Lost, None };  // pg_replication_slots.wal_status

struct SlotFacts {
  bool is_active = false;
  // Beside its receiver another one streams under the same application_name: a server that waits for that name waits for
  // either. As far as the role may see others (its own, and with pg_read_all_stats all).
  bool has_namesake = false;
  std::optional<Lsn> restart;              // what is kept from; none before the slot was first used
  SlotWal wal = SlotWal::None;             // Lost: only a new base backup helps
  std::optional<std::int64_t> safe_bytes;  // what may be written before WAL is removed; none = no limit
};

struct ServerFacts {
  ServerVersion version;
  SystemIdentifier system;
  SegmentSize segment_size;
  std::string wal_level;
  std::string synchronous_standby_names;  // as set; "" = nobody is waited for
  std::string synchronous_commit;         // of a new session of this role
  std::string settings_loaded;            // when; the same again: no setting has changed in between
  std::optional<std::chrono::seconds>
      since_reload;                              // that the running server loaded them anew; none: not since its start
  std::optional<std::uint64_t> slot_keep_bytes;  // max_slot_wal_keep_size; none = no limit: a lag can fill its disk
  bool has_data_checksums = false;
  bool has_full_page_writes = false;
  bool is_in_recovery = false;
  Lsn flushed;  // the end of its durable log at that moment; of a standby, of what it received
  bool role_may_replicate = false;
  std::optional<SlotFacts> slot;  // of the slot asked for, if it exists
};

// `slot`: the name of a slot to look at, or "".
Result<ServerFacts> read_server_facts(env::Clock& clock, const Endpoint& endpoint, std::string_view slot,
                                      const Until& until);

// Precondition, with a hint, for the first thing that is not as a protected server needs it: wal_level below replica,
// full_page_writes off, a role without REPLICATION, another system identifier than `expected`, a lost slot, or a slot
// that another receiver uses.
Status check_server_facts(const ServerFacts& facts, std::optional<SystemIdentifier> expected);

// Whether commits can be made to wait for a receiver. Precondition: before 13.21, 14.18, 15.13, 16.9 and 17.5 a server
// may skip the wait right after its start.
Status check_waits(const ServerVersion& version);

// Warning text for an operator, one sentence each, for what works and is not wise: no data checksums, no limit to what a
// slot keeps, a slot about to lose log, a receiver's namesake, a minor version with known faults.
std::vector<std::string> cautions(const ServerFacts& facts);

}  // namespace exclave::pg
