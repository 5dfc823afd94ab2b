#include "agent/cut_service.h"

#include "base/text.h"

namespace exclave::agent {
namespace {

constexpr std::chrono::seconds kKeepTime(5);
constexpr std::chrono::seconds kConnectTime(2);
constexpr std::size_t kMaxRecordBytes = 64U << 10;
constexpr std::size_t kMaxAnswerBytes = 256;
constexpr std::string_view kPrefix = "/v1/cuts/";
constexpr std::string_view kDatasetField = "dataset=";

std::string position_text(const HeldPosition& held) {
  return pg::to_text(held.timeline) + " " + pg::to_text(held.position);
}

Result<HeldPosition> parse_position(std::string_view text) {
  const auto fields = split(text, ' ');
  if (fields.size() != 2) return Error(Code::Corrupt, "answers no position");
  const auto timeline = TRY(parse_u32(fields[0]));
  const pg::Lsn position = TRY(pg::parse_lsn(fields[1]));
  return HeldPosition{pg::Timeline(timeline), position};
}

}  // namespace

http::Limits cut_limits() {
  http::Limits limits;
  limits.answer = kKeepTime + std::chrono::seconds(1);
  return limits;
}

Result<http::Response> CutService::answer(const wire::Caller&, const http::RequestHead& request,
                                          http::BodyReader& body) {
  const std::string_view path = request.path();
  if (request.method != "POST" || !path.starts_with(kPrefix))
    return Error(Code::NotFound, "there is no " + request.target);
  const auto parts = split(path.substr(kPrefix.size()), '/');
  if (parts.size() != 2 || !request.query().starts_with(kDatasetField))
    return Error(Code::NotFound, "there is no " + request.target);
  const auto cut = TRY(format::CutId::from_hex(parts[0]));
  DatabaseStream* const stream = find_(request.query().substr(kDatasetField.size()));
  if (stream == nullptr) return Error(Code::NotFound, "no such dataset is protected here");
  if (parts[1] == "hold") return http::text_response(200, position_text(TRY(stream->gate().hold(cut))));
  if (parts[1] == "release")
    return http::text_response(200, stream->gate().release(cut) == HoldEnd::Held ? "held" : "expired");
  if (parts[1] == "confirm") {
    TRY(stream->server().confirm(cut));
    return http::text_response(200, "confirmed");
  }
  if (parts[1] != "keep") return Error(Code::NotFound, "there is no " + request.target);
  const Bytes record = TRY(body.read_all(kMaxRecordBytes));
  const format::JournalRecord decoded = TRY(format::decode_record(record));
  const auto* const kept = std::get_if<format::Cut>(&decoded);
  if (kept == nullptr || kept->id != cut) return Error(Code::InvalidInput, "the body is not this cut's record");
  TRY(stream->keep(*kept, clock_.monotonic() + kKeepTime));
  return http::text_response(200, "kept");
}

Status LocalMember::keep(const format::Cut& cut) {
  return stream_.keep(cut, clock_.monotonic() + kKeepTime);
}

Result<std::string> RemoteMember::ask(const format::CutId& cut, std::string_view verb, ByteView body) {
  auto lease = TRY(pool_.take(clock_.monotonic() + kKeepTime, [&] { return clock_.monotonic() + kConnectTime; }));
  const std::string target =
      std::string(kPrefix) + cut.hex() + "/" + std::string(verb) + "?" + std::string(kDatasetField) + dataset_;
  const http::ResponseHead head = TRY(lease.client().request("POST", target, {}, body));
  if (!head.is_success()) return lease.client().read_error(head);
  const Bytes answer = TRY(lease.client().body().read_all(kMaxAnswerBytes));
  return std::string(as_text(answer));
}

Result<HeldPosition> RemoteMember::hold(const format::CutId& cut) {
  const std::string answer = TRY(ask(cut, "hold", {}));
  return parse_position(answer);
}

Result<HoldEnd> RemoteMember::release(const format::CutId& cut) {
  return TRY(ask(cut, "release", {})) == "held" ? HoldEnd::Held : HoldEnd::Expired;
}

Status RemoteMember::confirm(const format::CutId& cut) {
  TRY(ask(cut, "confirm", {}));
  return {};
}

Status RemoteMember::keep(const format::Cut& cut) {
  TRY(ask(cut.id, "keep", format::encode_record(cut)));
  return {};
}

}  // namespace exclave::agent
