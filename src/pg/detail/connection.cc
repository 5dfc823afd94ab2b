#include "pg/detail/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "pg/detail/complaints.h"

namespace exclave::pg::detail {
namespace {

constexpr std::chrono::milliseconds kSlice{50};  // how late a stop may be noticed
constexpr int kReadsOfPlain = 1;
constexpr int kReadsOfEncrypted = 2;  // one may leave the second half of a TLS record behind
constexpr std::uint32_t kOldestMajor = 13;
constexpr std::uint32_t kNewestMajor = 17;
constexpr std::size_t kMaximumApplicationName = 63;

using ResultPointer = std::unique_ptr<PGresult, decltype(&PQclear)>;

struct OptionsDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

std::string trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return std::string(text);
}

bool is_application_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaximumApplicationName &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}

Answer read_rows(const PGresult* result) {
  Answer answer;
  answer.kind = Answer::Kind::Rows;
  const int columns = PQnfields(result);
  for (int row = 0; row < PQntuples(result); ++row) {
    Answer::Row cells;
    for (int column = 0; column < columns; ++column) {
      if (PQgetisnull(result, row, column) != 0) {
        cells.emplace_back();
      } else {
        cells.emplace_back(std::in_place, PQgetvalue(result, row, column),
                           static_cast<std::size_t>(PQgetlength(result, row, column)));
      }
    }
    answer.rows.push_back(std::move(cells));
  }
  return answer;
}

bool is_part_of_keyword(char c) {
  return (c >= 'a' && c <= 'z') || c == '_';
}

// libpq names a keyword that it does not know in quotation marks. It may as well quote a password: of one with a space
// in it, it takes the rest for a keyword. So only what stands before any password is told. Empty: nothing can be.
std::string unknown_keyword(std::string_view conninfo, std::string_view complaint) {
  const std::size_t begin = complaint.find('"');
  if (begin == std::string_view::npos) return "";
  const std::string_view keyword = complaint.substr(begin + 1, complaint.find('"', begin + 1) - begin - 1);
  if (keyword.empty() || !std::all_of(keyword.begin(), keyword.end(), is_part_of_keyword)) return "";
  const std::size_t at = conninfo.find(keyword);
  if (at == std::string_view::npos || conninfo.find("://") != std::string_view::npos) return "";
  if (conninfo.substr(0, at).find("password") != std::string_view::npos) return "";
  const std::size_t behind = conninfo.find_first_not_of(' ', at + keyword.size());
  return behind != std::string_view::npos && conninfo[behind] == '=' ? std::string(keyword) : "";
}

Error malformed(std::string_view conninfo, std::string_view complaint) {
  const std::string unknown = unknown_keyword(conninfo, complaint);
  return Error(Code::InvalidInput, "the connection settings are malformed" +
                                       (unknown.empty() ? "" : ": there is no setting '" + unknown + "'"))
      .hint(
          "Look at `connection` in agent.toml. It is \"host=... port=... user=... passfile=...\", values with spaces "
          "in single quotes.");
}

// The caller's settings with ours over them, as libpq wants them: two arrays that end with null.
class Parameters {
 public:
  static Result<Parameters> parse(const Endpoint& endpoint, Purpose purpose) {
    char* complaint = nullptr;
    const std::unique_ptr<PQconninfoOption, OptionsDeleter> options(
        PQconninfoParse(endpoint.conninfo.c_str(), &complaint));
    const std::string complained = complaint == nullptr ? "" : complaint;
    PQfreemem(complaint);
    if (!options) return malformed(endpoint.conninfo, complained);
    Parameters parameters;
    bool has_database = false;
    for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
      if (option->val == nullptr) continue;
      const std::string_view name = option->keyword;
      has_database |= name == "dbname";
      parameters.set(name, option->val);
    }
    if (!has_database) parameters.set("dbname", "postgres");
    parameters.set("application_name", endpoint.application_name);
    parameters.set("client_encoding", "UTF8");
    // A peer that is gone without a word is noticed within half a minute, unless the caller said otherwise.
    parameters.set_if_missing("keepalives_idle", "10");
    parameters.set_if_missing("keepalives_interval", "5");
    parameters.set_if_missing("keepalives_count", "4");
    parameters.set("replication", purpose == Purpose::Replication ? "true" : "false");
    return parameters;
  }

  const std::string* find(std::string_view name) const {
    for (const auto& [key, value] : values_) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  std::vector<std::string> secrets() const {
    std::vector<std::string> found;
    for (const auto& [key, value] : values_) {
      if ((key == "password" || key == "sslpassword") && !value.empty()) found.push_back(value);
    }
    return found;
  }
  PGconn* start() const {
    std::vector<const char*> names;
    std::vector<const char*> values;
    for (const auto& [key, value] : values_) {
      names.push_back(key.c_str());
      values.push_back(value.c_str());
    }
    names.push_back(nullptr);
    values.push_back(nullptr);
    return PQconnectStartParams(names.data(), values.data(), 0);
  }

 private:
  void set(std::string_view name, std::string_view value) {
    for (auto& [key, present] : values_) {
      if (key == name) {
        present = value;
        return;
      }
    }
    values_.emplace_back(name, value);
  }
  void set_if_missing(std::string_view name, std::string_view value) {
    if (find(name) == nullptr) set(name, value);
  }

  std::vector<std::pair<std::string, std::string>> values_;
};

}  // namespace

Result<std::string> cell(const Answer& answer, std::size_t column) {
  if (answer.rows.size() != 1 || column >= answer.rows[0].size() || !answer.rows[0][column]) {
    return Error(Code::Corrupt, "the server's answer lacks a value");
  }
  return *answer.rows[0][column];
}

Result<std::unique_ptr<Connection>> Connection::open(env::Clock& clock, const Endpoint& endpoint, Purpose purpose,
                                                     const Until& until) {
  if (!is_application_name(endpoint.application_name)) {
    return Error(Code::InvalidInput, "an application name has 1 to 63 visible ASCII characters");
  }
  const Parameters parameters = TRY(Parameters::parse(endpoint, purpose));
  std::unique_ptr<Connection> self(new Connection(clock));
  self->secrets_ = parameters.secrets();
  const std::string* user = parameters.find("user");
  self->role_ = user == nullptr ? "ROLE" : printable(*user);
  self->connection_ = parameters.start();
  if (self->connection_ == nullptr) return Error(Code::Exhausted, "out of memory for a connection");
  PQsetErrorVerbosity(self->connection_, PQERRORS_VERBOSE);  // the only way to a SQLSTATE while connecting
  PQsetNoticeReceiver(self->connection_, &Connection::on_notice, self.get());
  TRY(self->connect(until).in([] { return std::string("connect to PostgreSQL"); }));
  TRY(self->check_version());
  return self;
}

Connection::~Connection() {
  if (copied_ != nullptr) PQfreemem(copied_);
  PQfinish(connection_);
}

Status Connection::connect(const Until& until) {
  if (PQstatus(connection_) == CONNECTION_BAD) return connect_error();
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING;;) {
    if (next == PGRES_POLLING_OK) break;
    if (next == PGRES_POLLING_FAILED) return connect_error();
    if (TRY(is_ready(next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until))) next = PQconnectPoll(connection_);
  }
  if (PQsetnonblocking(connection_, 1) != 0) return connection_lost();
  return {};
}

ServerVersion Connection::version() const {
  const auto number = static_cast<std::uint32_t>(std::max(PQserverVersion(connection_), 0));
  return {ServerMajor(number / 10'000), number % 10'000};
}

Status Connection::check_version() const {
  const ServerVersion server = version();
  if (server.major.value() >= kOldestMajor && server.major.value() <= kNewestMajor) return {};
  return Error(Code::Unsupported, fmt::format("PostgreSQL {}: this build knows {} to {}", server.major.value(),
                                              kOldestMajor, kNewestMajor));
}

std::string Connection::cleaned(std::string text) const {
  for (const std::string& secret : secrets_) {
    for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 3)) {
      text.replace(at, secret.size(), "***");
    }
  }
  return printable(text);
}

Error Connection::connect_error() {
  const Refusal refusal = parse_refusal(PQerrorMessage(connection_));
  last_state_ = refusal.state;
  if (refusal.state.empty() && PQconnectionNeedsPassword(connection_) != 0) {
    return Error(Code::Denied, cleaned(trimmed(refusal.text)))
        .hint("Name a passfile in the connection, passfile=FILE, with the line \"HOST:PORT:*:" + role_ +
              ":PASSWORD\". Its mode must be 0600: libpq passes over one that others may read.");
  }
  return error_for(refusal.state, cleaned(trimmed(refusal.text)), role_);
}

Error Connection::connection_lost() {
  const std::string_view text = PQerrorMessage(connection_);
  return {Code::Unavailable, text.empty() ? "connection lost" : cleaned(trimmed(text.substr(0, text.find('\n'))))};
}

Error Connection::server_error(const PGresult& result) {
  const char* state = PQresultErrorField(&result, PG_DIAG_SQLSTATE);
  const char* text = PQresultErrorField(&result, PG_DIAG_MESSAGE_PRIMARY);
  if (state == nullptr || text == nullptr) return connection_lost();  // libpq's own: no server spoke
  last_state_ = state;
  return error_for(last_state_, cleaned(text), role_);
}

void Connection::on_notice(void* self, const PGresult* result) {
  auto& connection = *static_cast<Connection*>(self);
  const char* severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  const char* text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (severity == nullptr || text == nullptr || std::string_view(severity) != "WARNING") return;
  if (connection.notices_.size() < kMaximumNotices) {
    connection.notices_.push_back(connection.cleaned(text));
  } else {
    ++connection.more_notices_;
  }
}

std::vector<std::string> Connection::take_notices() {
  if (more_notices_ > 0)
    notices_.push_back("and " + std::to_string(std::exchange(more_notices_, 0)) + " more warnings");
  return std::exchange(notices_, {});
}

// One slice, because a stop token wakes nobody who is in poll. NotYet is a reason to look again: with TLS, bytes may be
// in libpq's hands that poll knows nothing of.
Result<Connection::Ready> Connection::wait(short events, const Until& until, env::Waker* waker) {
  if (until.stop.stop_requested()) return Error(Code::Cancelled, "told to stop");
  const std::chrono::nanoseconds left = until.deadline - clock_.monotonic();
  if (left.count() <= 0) return Ready::DeadlinePassed;
  const auto slice = std::min(std::chrono::ceil<std::chrono::milliseconds>(left), kSlice);
  std::array<pollfd, 2> watched{pollfd{PQsocket(connection_), events, 0},
                                pollfd{waker == nullptr ? -1 : waker->descriptor(), POLLIN, 0}};
  if (watched[0].fd < 0) return connection_lost();
  const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(slice.count()));
  if (ready < 0 && errno != EINTR) return Error(Code::Exhausted, "cannot wait for a connection");
  if (ready > 0 && watched[0].revents != 0) return Ready::Yes;
  if (ready <= 0) return Ready::NotYet;
  waker->clear();
  return Ready::Woken;
}

Result<bool> Connection::is_ready(short events, const Until& until) {
  const Ready ready = TRY(wait(events, until));
  if (ready == Ready::DeadlinePassed) return Error(Code::Unavailable, "no answer until the deadline");
  return ready == Ready::Yes;
}

Status Connection::flush(const Until& until) {
  for (;;) {
    const int left = PQflush(connection_);
    if (left == 0) return {};
    if (left < 0) return connection_lost();
    TRY(is_ready(POLLIN | POLLOUT, until));
    // The server may wait for us to read before it reads on.
    if (PQconsumeInput(connection_) == 0) return connection_lost();
  }
}

Status Connection::send(const std::string& command, const Until& until) {
  if (until.stop.stop_requested()) return Error(Code::Cancelled, "told to stop");
  if (PQsendQuery(connection_, command.c_str()) == 0) return connection_lost();
  return flush(until);
}

Result<Answer> Connection::next_answer(const Until& until) {
  while (PQisBusy(connection_) != 0) {
    TRY(is_ready(POLLIN, until));
    if (PQconsumeInput(connection_) == 0 && PQisBusy(connection_) != 0) return connection_lost();
  }
  const ResultPointer result(PQgetResult(connection_), &PQclear);
  Answer answer;
  if (!result) return answer;
  switch (PQresultStatus(result.get())) {
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
      return read_rows(result.get());
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
      answer.kind = Answer::Kind::Done;
      return answer;
    case PGRES_COPY_OUT:
      answer.kind = Answer::Kind::CopyOut;
      return answer;
    case PGRES_COPY_IN:
      answer.kind = Answer::Kind::CopyIn;
      return answer;
    case PGRES_COPY_BOTH:
      answer.kind = Answer::Kind::CopyBoth;
      return answer;
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    case PGRES_PIPELINE_SYNC:
    case PGRES_PIPELINE_ABORTED:
      return server_error(*result);
  }
  return Error(Code::Unsupported, "an answer of libpq that this build does not know");
}

Status Connection::drain(const Until& until) {
  constexpr int kMaximumAnswers = 16;  // what any of our commands can answer, and some
  for (int i = 0; i < kMaximumAnswers; ++i) {
    if (TRY(next_answer(until)).kind == Answer::Kind::None) return {};
  }
  return Error(Code::Corrupt, "the server does not come to an end of its answer");
}

Result<Answer> Connection::run(const std::string& command, const Until& until) {
  TRY(send(command, until));
  auto first = next_answer(until);
  if (first.ok() && first.value().kind == Answer::Kind::None) return Error(Code::Corrupt, "the server did not answer");
  const Status rest = drain(until);
  if (first.ok() && !rest.ok()) return rest.error();
  return first;
}

Result<Connection::CopyPiece> Connection::copy_data(Wait wait_for, const Until& until, env::Waker* waker) {
  if (copied_ != nullptr) PQfreemem(std::exchange(copied_, nullptr));
  const bool is_encrypted = PQsslInUse(connection_) != 0 || PQgssEncInUse(connection_) != 0;
  const int reads_before_waiting = is_encrypted ? kReadsOfEncrypted : kReadsOfPlain;
  for (int reads = 0;; ++reads) {
    if (until.stop.stop_requested()) return Error(Code::Cancelled, "told to stop");
    const int size = PQgetCopyData(connection_, &copied_, 1);
    if (size > 0) {
      return CopyPiece{CopyPiece::Kind::Data, as_bytes(std::string_view(copied_, static_cast<std::size_t>(size)))};
    }
    if (size == -1) return CopyPiece{CopyPiece::Kind::End, {}};
    if (size < 0) return connection_lost();
    if (reads >= reads_before_waiting) {
      if (wait_for == Wait::No) return CopyPiece{};
      const Ready ready = TRY(wait(POLLIN, until, waker));
      if (ready == Ready::DeadlinePassed || ready == Ready::Woken) return CopyPiece{};
      if (ready == Ready::Yes) reads = 0;
    }
    if (PQconsumeInput(connection_) == 0) return connection_lost();
  }
}

Status Connection::put_copy_data(ByteView message, const Until& until) {
  const std::string_view text = as_text(message);
  for (;;) {
    const int queued = PQputCopyData(connection_, text.data(), static_cast<int>(text.size()));
    if (queued < 0) return connection_lost();
    if (queued > 0) return flush(until);
    TRY(flush(until));
  }
}

Status Connection::put_copy_end(const Until& until) {
  for (;;) {
    const int queued = PQputCopyEnd(connection_, nullptr);
    if (queued < 0) return connection_lost();
    if (queued > 0) return flush(until);
    TRY(flush(until));
  }
}

}  // namespace exclave::pg::detail
