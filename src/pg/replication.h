// ReplicationConnection: one walsender of a PostgreSQL server, as its client. Commands, and the WAL stream.
// Hides: libpq, its sockets and result objects, and the replication protocol's messages.
//
//   open -> identify_system, show, slots, history ...   (command state)
//        -> start_replication -> next*, send_status*    (streaming state)
//        -> TimelineEnded or ServerClosed               (command state again, or over)
//
// I1  Data comes without a gap and without an overlap: the first byte is the position asked for, each message begins
//     where the one before ended. Anything else is Corrupt.
// I2  What is reported as flushed only grows while a stream lasts, and is never more than was received. Reporting is the
//     caller's promise that these bytes survive: it releases commits at the server, lets it remove WAL, and lets it shut
//     down; and the server believes everything. write = flush always; apply = 0 (nobody here applies).
// I3  Server calls for an answer (Keepalive::reply_now) are the caller's to answer at once, with what is durable by then.
// I4  A server that shuts down waits, without end, for a receiver that stays connected and does not report all it was
//     sent as flushed: after a stop is wanted, either flush everything or drop the connection.
// I5  No message of an error holds the password.
// Threads: one at a time. Blocks up to `until`; a lookup of the host's name is not interruptible.
// Durability: none here; see I2.
// Errors: Unavailable (server down or restarted, connection lost, deadline passed, too many walsenders, slot in use: try
//         again), Denied (role, password, pg_hba), NotFound (slot, history), Precondition (WAL already removed: a new
//         base backup; slot of another kind), Corrupt (I1, a malformed message), Unsupported (version), Cancelled.
//         After an error from next, send_status or a passed deadline in a command, only dropping it is left.
// Source: PostgreSQL 15 documentation, chapter 55.4 Streaming Replication Protocol; docs/adr/0023-libpq-behind-pg.md.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "env/waker.h"
#include "pg/server_facts.h"
#include "pg/timeline_history.h"

namespace exclave::pg {

namespace detail {
class Connection;
}

struct SystemIdentity {
  SystemIdentifier system;
  Timeline timeline;
  Lsn flushed;  // the end of the server's durable WAL
};

enum class SlotReserve { Now, AtFirstUse };  // from when on the server keeps WAL for it

struct SlotPosition {
  std::optional<Lsn> restart;
  std::optional<Timeline> timeline;
};

// Nothing came until the deadline (or, without waiting, is there).
struct Nothing {};
struct WalData {
  Lsn start;
  Lsn server_end;  // how far the server's durable WAL reached when it sent this
  ByteView bytes;  // valid until the next call on the connection; at most 128 KiB
};
struct Keepalive {
  Lsn server_end;
  bool reply_now = false;
};
// The server left the timeline that was streamed. `switch_point` may lie before what was received: bytes from it on
// belong to a dead branch. Get the history of `next` and start there, at a segment's start or at the switch point.
struct TimelineEnded {
  Timeline next;
  Lsn switch_point;
};
// The server ended the stream in order (it shuts down). The connection is over.
struct ServerClosed {};

using WalEvent = std::variant<Nothing, WalData, Keepalive, TimelineEnded, ServerClosed>;

enum class Reply { NotNeeded, Wanted };

// Of an error of next: the server had the log that was asked for, and has removed it.
bool is_log_removed(const Error& error);

class ReplicationConnection {
 public:
  static Result<ReplicationConnection> open(env::Clock& clock, const Endpoint& endpoint, const Until& until);
  ReplicationConnection(ReplicationConnection&&) noexcept;
  ReplicationConnection& operator=(ReplicationConnection&&) noexcept;
  ~ReplicationConnection();  // closes the socket, whatever is going on

  ServerVersion version() const;

  // --- command state ---
  Result<SystemIdentity> identify_system(const Until& until);
  Result<std::string> show(std::string_view setting, const Until& until);
  Result<SegmentSize> segment_size(const Until& until);  // SHOW wal_segment_size
  // Names: a-z, 0-9 and _, at most 63 (InvalidInput). Idempotent: an existing physical slot is fine.
  Status create_physical_slot(std::string_view name, SlotReserve reserve, const Until& until);
  // NotFound: no such slot; Unsupported: servers before 15 do not know the command (read_server_facts tells it).
  Result<SlotPosition> read_slot(std::string_view name, const Until& until);
  // Idempotent: a missing slot is fine. Unavailable while it is in use.
  Status drop_slot(std::string_view name, const Until& until);
  // The raw text (keep it: a restore needs it) and what it says. Precondition: timeline > 1 (timeline 1 has none).
  struct RawHistory {
    Bytes text;
    TimelineHistory history;
  };
  Result<RawHistory> timeline_history(Timeline timeline, const Until& until);

  // Begins streaming at `position`, any byte of the log. `slot` may be "" (then nothing is kept for us). If the
  // timeline ended exactly at `position`, the event that says so is returned by the first next. A position that the
  // server does not have (yet, or any more) is reported by next: Precondition.
  Status start_replication(std::string_view slot, Lsn position, Timeline timeline, const Until& until);

  // --- streaming state ---
  // Waits for one event. Nothing: the deadline passed, or `waker` woke; the stream is whole.
  Result<WalEvent> next(const Until& until, env::Waker* waker = nullptr);
  // The same without waiting: drain everything readable, make it durable once, report once.
  Result<WalEvent> next_now();
  // Preconditions: streaming; flushed <= received() (CHECK). A smaller value than before is reported as the one before.
  // Once the server has ended the stream nothing is sent any more: the next event says what became of it.
  Status send_status(Lsn flushed, Reply reply, const Until& until);

  Lsn received() const;  // one past the last byte received in this stream
  Lsn reported() const;  // the last flush position sent in this stream; 0 = none
  bool is_streaming() const;

 private:
  friend class BaseBackup;
  struct Stream;
  explicit ReplicationConnection(std::unique_ptr<detail::Connection> connection);
  Result<WalEvent> decode(ByteView message);
  Result<WalEvent> end_of_copy(const Until& until);

  std::unique_ptr<detail::Connection> connection_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace exclave::pg
