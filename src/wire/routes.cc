#include "wire/routes.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/text.h"
#include "wire/documents.h"

namespace exclave::wire {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr std::uint64_t kMaxStreamBytes = 16 * 1024;
constexpr std::uint64_t kMaxMarkBytes = 16 * 1024;
constexpr std::uint64_t kMaxReadingBytes = 4 * 1024;

using Segments = std::vector<std::string_view>;

struct Request {
  Handler& handler;
  const Caller& caller;
  const http::RequestHead& head;
  http::BodyReader& body;
  const Segments& path;  // behind "/v1/"
};

http::Response empty_response(int status) {
  http::Response response;
  response.status = status;
  return response;
}

http::Response document_response(const std::string& document) {
  return http::text_response(200, document);
}

http::Response refusal(int status, const Error& error) {
  http::Response response = http::error_response(error);
  response.status = status;
  return response;
}

Error bad_request(std::string why) {
  return {Code::InvalidInput, std::move(why)};
}

class BodyAsObject final : public ObjectSource {
 public:
  explicit BodyAsObject(http::BodyReader& body) : body_(body) {}
  std::uint64_t size() const override { return body_.length(); }
  Status read_exactly(MutableByteView out) override { return body_.read_exactly(out); }

 private:
  http::BodyReader& body_;
};

// A range of an object or a segment, read from the vault piece by piece.
class RangeAsBody final : public http::BodySource {
 public:
  using Read = std::function<Status(std::uint64_t offset, MutableByteView out)>;
  RangeAsBody(Read read, std::uint64_t offset, std::uint64_t size)
      : read_(std::move(read)), offset_(offset), size_(size), unread_(size) {}

  // Fetches the next piece; called once before the answer's head goes out, so that a bad object is an error and not a
  // cut connection.
  Status fetch() {
    piece_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, unread_)));
    TRY(read_(offset_, piece_));
    offset_ += piece_.size();
    unread_ -= piece_.size();
    given_ = 0;
    return {};
  }

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> read(MutableByteView out) override {
    if (given_ == piece_.size() && unread_ > 0) TRY(fetch());
    const std::size_t take = std::min(out.size(), piece_.size() - given_);
    std::copy_n(piece_.begin() + static_cast<std::ptrdiff_t>(given_), take, out.begin());
    given_ += take;
    return take;
  }

 private:
  const Read read_;
  std::uint64_t offset_;
  const std::uint64_t size_;
  std::uint64_t unread_;
  Bytes piece_;
  std::size_t given_ = 0;
};

// A header that must be there exactly once.
Result<std::string_view> header(const http::RequestHead& head, std::string_view name) {
  if (head.headers.count(name) != 1) return bad_request("header " + std::string(name) + " must be there once");
  return *head.headers.find(name);
}

template <typename AnyId>
Result<AnyId> id_in(std::string_view text, std::string_view what) {
  return AnyId::from_hex(text).in([&] { return std::string(what); });
}

Result<format::SignedEntry> entry_of(const Request& request) {
  format::SignedEntry signed_entry;
  format::Entry& entry = signed_entry.entry;
  entry.stream = TRY(id_in<format::StreamId>(request.path[1], "stream"));
  entry.index = format::EntryIndex(TRY(parse_u64(request.path[2]).in([] { return "index"; })));
  const std::string_view object = TRY(header(request.head, kObjectHeader));
  entry.object = TRY(id_in<format::ObjectName>(object, kObjectHeader));
  const std::string_view chain = TRY(header(request.head, kChainHeader));
  entry.chain = TRY(id_in<format::ChainHash>(chain, kChainHeader));
  if (request.head.headers.count(kSnapshotHeader) > 0) {
    const std::string_view snapshot = TRY(header(request.head, kSnapshotHeader));
    const std::uint32_t period = TRY(parse_u32(snapshot).in([] { return std::string(kSnapshotHeader); }));
    if (period == 0xffffffff) return bad_request("header exclave-snapshot is out of range");
    entry.snapshot_oldest = format::PeriodNumber(period);
  }
  const std::string_view encoded = TRY(header(request.head, kSignatureHeader));
  const Bytes signature = TRY(from_base64(encoded).in([] { return std::string(kSignatureHeader); }));
  if (signature.size() != crypto::Ed25519Signature::kSize)
    return bad_request("exclave-signature is not an Ed25519 one");
  signed_entry.signature = crypto::Ed25519Signature::from_view(signature);
  return signed_entry;
}

Result<http::Response> put_entry(const Request& request) {
  const format::SignedEntry entry = TRY(entry_of(request));
  BodyAsObject object(request.body);
  const auto receipt = request.handler.put(request.caller, entry, object);
  if (!receipt.ok() && receipt.error().code() == Code::InvalidInput) return refusal(422, receipt.error());
  if (!receipt.ok()) return receipt.error();
  if (!receipt.value().has_value()) return empty_response(202);
  return document_response(receipt.value()->document());
}

Result<http::Response> put_stream(const Request& request) {
  const auto id = TRY(id_in<format::StreamId>(request.path[1], "stream"));
  const Bytes document = TRY(request.body.read_all(kMaxStreamBytes));
  const auto stream = TRY(format::SignedStream::parse(document, "stream descriptor"));
  if (stream.descriptor.id() != id) return bad_request("the path names another stream than the body");
  TRY(request.handler.open_stream(request.caller, stream));
  return empty_response(200);
}

// The value of a query field; nullopt if it is not there. Fields that nobody asks for are ignored.
std::optional<std::string_view> query_field(const http::RequestHead& head, std::string_view name) {
  for (const std::string_view field : split(head.query(), '&')) {
    if (field.starts_with(name) && field.size() > name.size() && field[name.size()] == '=') {
      return field.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

Result<http::Response> get_entries(const Request& request) {
  const auto stream = TRY(id_in<format::StreamId>(request.path[1], "stream"));
  const std::uint64_t from = TRY(parse_u64(query_field(request.head, "from").value_or("0")));
  const std::uint64_t limit =
      TRY(parse_u64(query_field(request.head, "limit").value_or(std::to_string(store::kMaxEntriesPerCall))));
  const std::size_t bounded = static_cast<std::size_t>(std::min<std::uint64_t>(limit, store::kMaxEntriesPerCall));
  return document_response(entries_document(
      stream, TRY(request.handler.entries(request.caller, stream, format::EntryIndex(from), bounded))));
}

Result<http::Response> get_heads(const Request& request) {
  const auto registry = TRY(id_in<format::RegistryId>(request.path[1], "registry"));
  std::optional<format::StreamId> from;
  if (const auto field = query_field(request.head, "from")) from = TRY(id_in<format::StreamId>(*field, "from"));
  return document_response(heads_document(registry, TRY(request.handler.heads(request.caller, registry, from))));
}

Result<http::Response> get_quota(const Request& request) {
  const auto registry = TRY(id_in<format::RegistryId>(request.path[1], "registry"));
  return document_response(quota_document(registry, TRY(request.handler.quota(request.caller, registry))));
}

struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
};

// "bytes=FIRST-LAST", both given: the one form this API has.
Result<ByteRange> parse_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes=";
  const std::size_t dash = text.find('-');
  if (!text.starts_with(kUnit) || dash == std::string_view::npos) return bad_request("range is not bytes=FIRST-LAST");
  const std::uint64_t first = TRY(parse_u64(text.substr(kUnit.size(), dash - kUnit.size())));
  const std::uint64_t last = TRY(parse_u64(text.substr(dash + 1)));
  if (last < first || last - first == ~std::uint64_t{0}) return bad_request("range ends before it begins");
  return ByteRange{first, last - first + 1};
}

Result<http::Response> get_object(const Request& request) {
  const auto name = TRY(id_in<format::ObjectName>(request.path[1], "object"));
  // Asked first: who may not read shall hear that, and not whether the object is there.
  if (request.head.method == "GET") TRY(request.handler.read(request.caller, name, 0, {}));
  const std::uint64_t whole = TRY(request.handler.size_of(request.caller, name));
  http::Response response;
  if (request.head.method == "HEAD") {
    response.length_for_head = whole;
    return response;
  }
  ByteRange range{0, whole};
  if (const auto asked = request.head.headers.find("range")) {
    range = TRY(parse_range(*asked));
    if (range.begin >= whole || range.size > whole - range.begin) {
      return refusal(416, bad_request("object " + name.hex() + " ends before the range that was asked for"));
    }
    response.status = 206;
    response.headers.add("Content-Range", "bytes " + std::to_string(range.begin) + "-" +
                                              std::to_string(range.begin + range.size - 1) + "/" +
                                              std::to_string(whole));
  }
  response.headers.add("Content-Type", "application/octet-stream");
  auto source = std::make_unique<RangeAsBody>(
      [&handler = request.handler, caller = request.caller, name](std::uint64_t offset, MutableByteView out) {
        return handler.read(caller, name, offset, out);
      },
      range.begin, range.size);
  TRY(source->fetch());
  response.body = std::move(source);
  return response;
}

Result<format::SegmentPlace> segment_in(const Request& request) {
  format::SegmentPlace place;
  place.stream = TRY(id_in<format::StreamId>(request.path[1], "stream"));
  place.index = format::EntryIndex(TRY(parse_u64(request.path[2]).in([] { return "index"; })));
  return place;
}

Result<std::uint64_t> number_in_query(const http::RequestHead& head, std::string_view name) {
  const auto field = query_field(head, name);
  if (!field.has_value()) return bad_request("the query names no " + std::string(name));
  return parse_u64(*field).in([&] { return std::string(name); });
}

Result<http::Response> post_frames(const Request& request) {
  const format::SegmentPlace place = TRY(segment_in(request));
  const std::uint64_t size_class = TRY(number_in_query(request.head, "class"));
  if (size_class > format::kLargestClass) return bad_request("class is out of range");
  const std::uint64_t offset = TRY(number_in_query(request.head, "offset"));
  // A stranger's bytes are not even read.
  if (!request.handler.knows(request.caller)) {
    return Error(Code::Denied, "key " + request.caller.identity.hex().substr(0, 16) + " is not known here");
  }
  const Bytes frames = TRY(request.body.read_all(store::kMaxAppendBytes));
  const auto end =
      request.handler.append_frames(request.caller, place, static_cast<std::uint8_t>(size_class), offset, frames);
  if (!end.ok() && end.error().code() == Code::InvalidInput) return refusal(422, end.error());
  if (!end.ok()) return end.error();
  http::Response response = empty_response(200);
  response.headers.add(std::string(kEndHeader), std::to_string(end.value()));
  return response;
}

Result<http::Response> put_mark(const Request& request) {
  const format::SegmentPlace place = TRY(segment_in(request));
  const Bytes document = TRY(request.body.read_all(kMaxMarkBytes));
  const auto mark = TRY(format::SignedMark::parse(document, "mark"));
  if (mark.mark.place != place) return bad_request("the path names another segment than the body");
  const auto receipt = request.handler.put_mark(request.caller, mark);
  if (!receipt.ok() && receipt.error().code() == Code::InvalidInput) return refusal(422, receipt.error());
  if (!receipt.ok()) return receipt.error();
  return document_response(receipt.value().document());
}

Result<http::Response> get_frames(const Request& request) {
  const format::SegmentPlace place = TRY(segment_in(request));
  // Asked first: who may not read shall hear that.
  const Status may = request.handler.read_frames(request.caller, place, 0, {});
  if (!may.ok()) return may.error();
  const ByteRange range = TRY(parse_range(TRY(header(request.head, "range"))));
  http::Response response;
  response.status = 206;
  // How long it is by now is nobody's promise: it grows.
  response.headers.add("Content-Range", "bytes " + std::to_string(range.begin) + "-" +
                                            std::to_string(range.begin + range.size - 1) + "/*");
  response.headers.add("Content-Type", "application/octet-stream");
  auto source = std::make_unique<RangeAsBody>(
      [&handler = request.handler, caller = request.caller, place](std::uint64_t offset, MutableByteView out) {
        return handler.read_frames(caller, place, offset, out);
      },
      range.begin, range.size);
  if (range.size > format::kMaxObjectBytes) return bad_request("the range is larger than any segment");
  // The whole range must be there before its length is promised.
  Byte last = 0;
  const Status is_there =
      request.handler.read_frames(request.caller, place, range.begin + range.size - 1, MutableByteView(&last, 1));
  if (!is_there.ok() && is_there.error().code() == Code::InvalidInput) return refusal(416, is_there.error());
  if (!is_there.ok()) return is_there.error();
  TRY(source->fetch());
  response.body = std::move(source);
  return response;
}

Result<http::Response> get_segments(const Request& request) {
  const auto registry = TRY(id_in<format::RegistryId>(request.path[1], "registry"));
  return document_response(segments_document(registry, TRY(request.handler.open_segments(request.caller, registry))));
}

Result<http::Response> put_reading(const Request& request) {
  const auto name = TRY(id_in<format::ObjectName>(request.path[1], "object"));
  const Bytes document = TRY(request.body.read_all(kMaxReadingBytes));
  const auto reading = TRY(format::SignedReading::parse(document, "reading"));
  if (reading.reading.object != name) return bad_request("the path names another object than the body");
  TRY(request.handler.announce_reading(request.caller, reading));
  return empty_response(200);
}

Result<http::Response> get_act(const Request& request) {
  const auto hash = TRY(id_in<crypto::Hash256>(request.path[1], "act"));
  return http::text_response(200, as_text(TRY(request.handler.act(request.caller, hash))));
}

Result<http::Response> put_act(const Request& request) {
  const auto hash = TRY(id_in<crypto::Hash256>(request.path[1], "act"));
  const Bytes document = TRY(request.body.read_all(store::kMaxActBytes));
  if (crypto::sha256(document) != hash) return bad_request("the path names another hash than the body has");
  TRY(request.handler.put_act(request.caller, document));
  return empty_response(200);
}

Result<http::Response> get_acts(const Request& request) {
  return document_response(acts_document(TRY(request.handler.acts(request.caller))));
}

Result<http::Response> get_status(const Request& request) {
  return document_response(status_document(TRY(request.handler.status(request.caller))));
}

struct Route {
  std::string_view method;
  std::string_view pattern;  // "*" stands for one segment
  Result<http::Response> (*answer)(const Request&);
};

constexpr std::array<Route, 16> kRoutes = {{
    {"GET", "status", get_status},
    {"GET", "acts", get_acts},
    {"GET", "acts/*", get_act},
    {"PUT", "acts/*", put_act},
    {"PUT", "streams/*", put_stream},
    {"GET", "streams/*/entries", get_entries},
    {"PUT", "streams/*/*", put_entry},
    {"POST", "streams/*/*/frames", post_frames},
    {"GET", "streams/*/*/frames", get_frames},
    {"PUT", "streams/*/*/mark", put_mark},
    {"GET", "registries/*/segments", get_segments},
    {"HEAD", "objects/*", get_object},
    {"GET", "objects/*", get_object},
    {"PUT", "readings/*", put_reading},
    {"GET", "registries/*/heads", get_heads},
    {"GET", "registries/*/quota", get_quota},
}};

bool matches(std::string_view pattern, const Segments& path) {
  const Segments wanted = split(pattern, '/');
  if (wanted.size() != path.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != "*" && wanted[i] != path[i]) return false;
  }
  return true;
}

}  // namespace

Result<http::Response> answer(Handler& handler, const Caller& caller, const http::RequestHead& request,
                              http::BodyReader& body) {
  constexpr std::string_view kPrefix = "/v1/";
  const std::string_view path = request.path();
  bool is_known_path = false;
  if (path.starts_with(kPrefix)) {
    const Segments segments = split(path.substr(kPrefix.size()), '/');
    for (const Route& route : kRoutes) {
      if (!matches(route.pattern, segments)) continue;
      is_known_path = true;
      if (route.method == request.method) return route.answer({handler, caller, request, body, segments});
    }
  }
  if (is_known_path) return refusal(405, bad_request(request.method + " is not possible here"));
  return Error(Code::NotFound, "there is no " + request.target);
}

Result<http::Response> Handler::answer(const Caller& caller, const http::RequestHead& request, http::BodyReader& body) {
  return wire::answer(*this, caller, request, body);
}

}  // namespace exclave::wire
