#include "pg/replication.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/checked.h"
#include "base/text.h"
#include "pg/detail/connection.h"
#include "pg/detail/names.h"
#include "pg/detail/times.h"

namespace exclave::pg {
namespace {

using detail::Answer;
using detail::cell;
using detail::Connection;
using CopyPiece = Connection::CopyPiece;

constexpr std::size_t kDataHeaderBytes = 25;  // 'w', start, end, clock
constexpr std::size_t kKeepaliveBytes = 18;   // 'k', end, clock, reply
constexpr std::size_t kStatusBytes = 34;      // 'r', write, flush, apply, clock, reply

Error unexpected_answer(std::string_view what) {
  return {Code::Corrupt, fmt::format("the server sent {}", what)};
}

}  // namespace

struct ReplicationConnection::Stream {
  bool is_streaming = false;
  Timeline timeline;
  Lsn received;
  Lsn reported;
  bool has_ended = false;                // the copy is over; what comes after it is to be read
  std::optional<TimelineEnded> pending;  // the timeline had ended where we asked to begin
};

ReplicationConnection::ReplicationConnection(std::unique_ptr<detail::Connection> connection)
    : connection_(std::move(connection)), stream_(std::make_unique<Stream>()) {}
ReplicationConnection::ReplicationConnection(ReplicationConnection&&) noexcept = default;
ReplicationConnection& ReplicationConnection::operator=(ReplicationConnection&&) noexcept = default;
ReplicationConnection::~ReplicationConnection() = default;

Result<ReplicationConnection> ReplicationConnection::open(env::Clock& clock, const Endpoint& endpoint,
                                                          const Until& until) {
  return ReplicationConnection(TRY(Connection::open(clock, endpoint, detail::Purpose::Replication, until)));
}

ServerVersion ReplicationConnection::version() const {
  return connection_->version();
}
Lsn ReplicationConnection::received() const {
  return stream_->received;
}
Lsn ReplicationConnection::reported() const {
  return stream_->reported;
}
bool ReplicationConnection::is_streaming() const {
  return stream_->is_streaming;
}

// --- command state -------------------------------------------------------------------------------------------------

Result<SystemIdentity> ReplicationConnection::identify_system(const Until& until) {
  CHECK(!stream_->is_streaming);
  const Answer answer = TRY(connection_->run("IDENTIFY_SYSTEM", until));
  SystemIdentity identity;
  identity.system = SystemIdentifier(TRY(parse_u64(TRY(cell(answer, 0)))));
  identity.timeline = Timeline(TRY(parse_u32(TRY(cell(answer, 1)))));
  if (identity.timeline < Timeline(1)) return unexpected_answer("timeline 0");
  identity.flushed = TRY(parse_lsn(TRY(cell(answer, 2))));
  return identity;
}

Result<std::string> ReplicationConnection::show(std::string_view setting, const Until& until) {
  CHECK(!stream_->is_streaming);
  TRY(detail::check_slot_name(setting));  // settings' names have the same characters
  return cell(TRY(connection_->run(fmt::format("SHOW {}", setting), until)), 0);
}

Result<SegmentSize> ReplicationConnection::segment_size(const Until& until) {
  const std::string text = TRY(show("wal_segment_size", until));  // "16MB", "1GB"
  const std::string_view unit =
      std::string_view(text).substr(std::min(text.find_first_not_of("0123456789"), text.size()));
  const std::uint32_t number = TRY(parse_u32(std::string_view(text).substr(0, text.size() - unit.size())));
  if (unit == "MB") return SegmentSize::of(std::uint64_t{number} << 20);
  if (unit == "GB") return SegmentSize::of(std::uint64_t{number} << 30);
  return unexpected_answer("a WAL segment size without a known unit");
}

Status ReplicationConnection::create_physical_slot(std::string_view name, SlotReserve reserve, const Until& until) {
  CHECK(!stream_->is_streaming);
  TRY(detail::check_slot_name(name));
  const std::string_view option = reserve == SlotReserve::Now ? " RESERVE_WAL" : "";
  const auto made = connection_->run(fmt::format("CREATE_REPLICATION_SLOT \"{}\" PHYSICAL{}", name, option), until);
  if (made.ok()) return {};
  if (made.error().code() != Code::AlreadyExists) return made.error();
  if (version().major < ServerMajor(15)) return {};
  const auto present = read_slot(name, until);  // refuses a logical one
  return present.ok() ? Status() : Status(present.error());
}

Result<SlotPosition> ReplicationConnection::read_slot(std::string_view name, const Until& until) {
  CHECK(!stream_->is_streaming);
  TRY(detail::check_slot_name(name));
  if (version().major < ServerMajor(15)) {
    return Error(Code::Unsupported, "servers before 15 do not tell about a slot over a replication connection");
  }
  auto answer = connection_->run(fmt::format("READ_REPLICATION_SLOT \"{}\"", name), until);
  if (!answer.ok() && answer.error().code() == Code::Unsupported) {
    return Error(Code::Precondition, fmt::format("slot {} is not a physical one", name))
        .hint("Choose another slot name.");
  }
  const Answer row = TRY(std::move(answer));
  if (row.rows.size() != 1 || row.rows[0].size() != 3) return unexpected_answer("no row about a slot");
  if (!row.rows[0][0]) return Error(Code::NotFound, fmt::format("there is no slot {}", name));
  SlotPosition position;
  if (row.rows[0][1]) position.restart = TRY(parse_lsn(*row.rows[0][1]));
  if (position.restart == Lsn()) return unexpected_answer("a slot that keeps log from 0/0 on");
  if (row.rows[0][2]) position.timeline = Timeline(TRY(parse_u32(*row.rows[0][2])));
  return position;
}

Status ReplicationConnection::drop_slot(std::string_view name, const Until& until) {
  CHECK(!stream_->is_streaming);
  TRY(detail::check_slot_name(name));
  const auto dropped = connection_->run(fmt::format("DROP_REPLICATION_SLOT \"{}\"", name), until);
  if (dropped.ok() || dropped.error().code() == Code::NotFound) return {};
  return dropped.error();
}

Result<ReplicationConnection::RawHistory> ReplicationConnection::timeline_history(Timeline timeline,
                                                                                  const Until& until) {
  CHECK(!stream_->is_streaming && timeline > Timeline(1));
  const Answer answer = TRY(connection_->run(fmt::format("TIMELINE_HISTORY {}", timeline.value()), until));
  if (TRY(cell(answer, 0)) != history_file_name(timeline))
    return unexpected_answer("another history than was asked for");
  RawHistory raw;
  raw.text = to_bytes(TRY(cell(answer, 1)));
  raw.history = TRY(parse_timeline_history(timeline, raw.text));
  return raw;
}

namespace {

// `timeline`: the one that ends.
Result<TimelineEnded> read_timeline_end(const Answer& answer, Timeline timeline) {
  TimelineEnded ended;
  ended.next = Timeline(TRY(parse_u32(TRY(cell(answer, 0)))));
  ended.switch_point = TRY(parse_lsn(TRY(cell(answer, 1))));
  if (ended.next <= timeline) return unexpected_answer("a timeline that is not newer as the next one");
  if (ended.switch_point == Lsn()) return unexpected_answer("a timeline that ends at 0/0");
  return ended;
}

constexpr std::string_view kUndefinedFile = "(58P01)";

// A server says of a position that it cannot serve either "no such file" or nothing in particular.
Error position_error(Error error) {
  const bool is_gone = error.code() == Code::NotFound || error.code() == Code::Precondition;
  if (!is_gone || error.message().find(kUndefinedFile) == std::string::npos) return error;
  return Error(Code::Precondition, error.message()).hint("The server has removed this WAL: take a new base backup.");
}

}  // namespace

bool is_log_removed(const Error& error) {
  return error.code() == Code::Precondition && error.message().find(kUndefinedFile) != std::string::npos;
}

Status ReplicationConnection::start_replication(std::string_view slot, Lsn position, Timeline timeline,
                                                const Until& until) {
  CHECK(!stream_->is_streaming && position != Lsn());
  std::string with_slot;
  if (!slot.empty()) {
    TRY(detail::check_slot_name(slot));
    with_slot = fmt::format("SLOT \"{}\" ", slot);
  }
  TRY(connection_->send(
      fmt::format("START_REPLICATION {}PHYSICAL {} TIMELINE {}", with_slot, to_text(position), timeline.value()),
      until));
  auto answer = connection_->next_answer(until);
  if (!answer.ok()) {
    ignore(connection_->drain(until), "the refusal is what counts");
    return position_error(answer.take_error());
  }
  Stream stream;
  stream.is_streaming = true;
  stream.timeline = timeline;
  stream.received = position;
  if (answer.value().kind == Answer::Kind::Rows) {
    stream.pending = TRY(read_timeline_end(answer.value(), timeline));
    TRY(connection_->drain(until));
  } else if (answer.value().kind != Answer::Kind::CopyBoth) {
    return unexpected_answer("no stream");
  }
  *stream_ = stream;
  return {};
}

// --- streaming state -----------------------------------------------------------------------------------------------

Result<WalEvent> ReplicationConnection::next(const Until& until, env::Waker* waker) {
  CHECK(stream_->is_streaming);
  if (stream_->pending) {
    stream_->is_streaming = false;
    return WalEvent(*std::exchange(stream_->pending, std::nullopt));
  }
  if (stream_->has_ended) return end_of_copy(until);
  const CopyPiece piece = TRY(connection_->copy_data(detail::Wait::UntilDeadline, until, waker));
  if (piece.kind == CopyPiece::Kind::Nothing) return WalEvent(Nothing{});
  if (piece.kind == CopyPiece::Kind::End) return end_of_copy(until);
  return decode(piece.bytes);
}

Result<WalEvent> ReplicationConnection::next_now() {
  CHECK(stream_->is_streaming);
  if (stream_->pending || stream_->has_ended) return WalEvent(Nothing{});
  const CopyPiece piece = TRY(connection_->copy_data(detail::Wait::No, Until{}));
  if (piece.kind == CopyPiece::Kind::Data) return decode(piece.bytes);
  stream_->has_ended = piece.kind == CopyPiece::Kind::End;
  return WalEvent(Nothing{});
}

Result<WalEvent> ReplicationConnection::decode(ByteView message) {
  if (message.size() == kKeepaliveBytes && message[0] == 'k') {
    return WalEvent(Keepalive{Lsn(load_u64(message.subspan(1))), message[17] != 0});
  }
  if (message.size() < kDataHeaderBytes || message[0] != 'w') return unexpected_answer("a message of an unknown kind");
  WalData data;
  data.start = Lsn(load_u64(message.subspan(1)));
  data.server_end = Lsn(load_u64(message.subspan(9)));
  data.bytes = message.subspan(kDataHeaderBytes);
  if (data.start != stream_->received) {
    return unexpected_answer(fmt::format("WAL from {}, not from {}", to_text(data.start), to_text(stream_->received)));
  }
  const std::uint64_t end = TRY(checked_add(data.start.value(), std::uint64_t{data.bytes.size()}));
  stream_->received = Lsn(end);
  return WalEvent(data);
}

// After the copy: a row with the next timeline if this one ended, nothing if the server shuts down, or an error.
Result<WalEvent> ReplicationConnection::end_of_copy(const Until& until) {
  stream_->has_ended = true;
  auto answer = connection_->next_answer(until);
  if (answer.ok() && answer.value().kind == Answer::Kind::CopyIn) {
    TRY(connection_->put_copy_end(until));
    answer = connection_->next_answer(until);
  }
  if (!answer.ok()) return position_error(answer.take_error());
  stream_->is_streaming = false;
  if (answer.value().kind != Answer::Kind::Rows) return WalEvent(ServerClosed{});
  const TimelineEnded ended = TRY(read_timeline_end(answer.value(), stream_->timeline));
  TRY(connection_->drain(until));
  return WalEvent(ended);
}

Status ReplicationConnection::send_status(Lsn flushed, Reply reply, const Until& until) {
  CHECK(stream_->is_streaming);
  CHECK(flushed <= stream_->received);
  if (stream_->pending || stream_->has_ended) return {};  // nobody listens any more
  const Lsn said = std::max(flushed, stream_->reported);
  std::array<Byte, kStatusBytes> message{};
  const MutableByteView view(message);
  view[0] = 'r';
  store_u64(view.subspan(1), said.value());
  store_u64(view.subspan(9), said.value());
  const std::int64_t now = detail::to_microseconds_since_2000(connection_->clock().now());
  store_u64(view.subspan(25), static_cast<std::uint64_t>(now));
  view[33] = reply == Reply::Wanted ? 1 : 0;
  TRY(connection_->put_copy_data(message, until));
  stream_->reported = said;
  return {};
}

}  // namespace exclave::pg
