// Connection: one libpq connection that never blocks beyond its deadline and says what an error means.
// Hides: PGconn, PGresult, poll, non-blocking libpq, SQLSTATEs. The only place that talks to libpq.
//
//   open -> (send -> next_answer* until None)*      an answer of Copy kind is followed by copy_data* and end_of_copy
//
// I1  No call outlives Until by more than 100 ms, but for the lookup of the host's name, which libpq does.
// I2  Text from libpq or the server loses the password and control characters before it becomes an error.
// I3  After Unavailable or Cancelled the connection is only good for being dropped.
// Threads: one at a time.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "env/waker.h"
#include "pg/server_facts.h"

struct pg_conn;
struct pg_result;

namespace exclave::pg::detail {

enum class Purpose { Queries, Replication };

struct Answer {
  enum class Kind { None, Done, Rows, CopyOut, CopyIn, CopyBoth };
  using Row = std::vector<std::optional<std::string>>;
  Kind kind = Kind::None;
  std::vector<Row> rows;  // each with the same number of columns
};

// A cell of a one-row answer. Corrupt if the server left it out.
Result<std::string> cell(const Answer& answer, std::size_t column);

enum class Wait { UntilDeadline, No };

class Connection {
 public:
  static constexpr std::size_t kMaximumNotices = 100;

  static Result<std::unique_ptr<Connection>> open(env::Clock& clock, const Endpoint& endpoint, Purpose purpose,
                                                  const Until& until);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  ServerVersion version() const;
  env::Clock& clock() { return clock_; }

  // Sends a command and returns its first rows (or Done); everything else it answers is read and dropped.
  Result<Answer> run(const std::string& command, const Until& until);

  Status send(const std::string& command, const Until& until);
  // None: the command is over. An error of the server is this call's error; go on until None to use the connection.
  Result<Answer> next_answer(const Until& until);
  Status drain(const Until& until);  // until None

  struct CopyPiece {
    enum class Kind { Nothing, Data, End };
    Kind kind = Kind::Nothing;
    ByteView bytes;  // valid until the next call
  };
  // Nothing: the deadline passed, `waker` woke, or with Wait::No nothing whole is there.
  Result<CopyPiece> copy_data(Wait wait, const Until& until, env::Waker* waker = nullptr);
  Status put_copy_data(ByteView message, const Until& until);
  Status put_copy_end(const Until& until);

  // Warnings of the server since the last call; at most kMaximumNotices.
  std::vector<std::string> take_notices();
  // The SQLSTATE of the last error that the server reported; "" if none did.
  const std::string& last_state() const { return last_state_; }

 private:
  explicit Connection(env::Clock& clock) : clock_(clock) {}
  Status connect(const Until& until);
  Status check_version() const;
  Error connect_error();
  Error connection_lost();
  Error server_error(const pg_result& result);
  std::string cleaned(std::string text) const;
  Status flush(const Until& until);
  enum class Ready { Yes, NotYet, DeadlinePassed, Woken };
  Result<Ready> wait(short events, const Until& until, env::Waker* waker = nullptr);
  Result<bool> is_ready(short events, const Until& until);  // the same, with the deadline an error
  static void on_notice(void* self, const pg_result* result);

  env::Clock& clock_;
  pg_conn* connection_ = nullptr;
  std::vector<std::string> secrets_;
  std::string role_;
  char* copied_ = nullptr;  // libpq's buffer behind the last CopyPiece
  std::vector<std::string> notices_;
  std::size_t more_notices_ = 0;  // that were not kept
  std::string last_state_;
};

}  // namespace exclave::pg::detail
