// All that a connected peer may send to a vault: heads, bodies, routes and what entries carry in headers. Each request
// is answered or refused, what reaches the handler keeps to its contract, and it makes no difference in which pieces
// the bytes arrive.
#include <algorithm>
#include <array>
#include <limits>
#include <stop_token>

#include "base/check.h"
#include "http/server.h"
#include "http/testing/scripted_connection.h"
#include "wire/routes.h"
#include "wire/testing/fake_handler.h"

namespace {

using namespace exclave;  // a test program of one file

constexpr std::uint64_t kObjectBytes = 1'000;

class CarefulHandler final : public wire::testing::FakeHandler {
 public:
  Result<std::optional<format::SignedReceipt>> put(const wire::Caller&, const format::SignedEntry& entry,
                                                   wire::ObjectSource& source) override {
    CHECK(!entry.entry.snapshot_oldest.has_value() || entry.entry.snapshot_oldest->value() != 0xffffffff);
    std::array<Byte, 4096> piece{};
    for (std::uint64_t left = source.size(); left > 0;) {
      const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size()));
      TRY(source.read_exactly(MutableByteView(piece).first(take)));
      left -= take;
    }
    return std::optional<format::SignedReceipt>();
  }
  Result<std::uint64_t> size_of(const wire::Caller&, const format::ObjectName&) override { return kObjectBytes; }
  Status read(const wire::Caller&, const format::ObjectName&, std::uint64_t offset, MutableByteView out) override {
    CHECK(offset <= kObjectBytes && out.size() <= kObjectBytes - offset);
    std::fill(out.begin(), out.end(), Byte{'x'});
    return {};
  }
  Result<std::uint64_t> append_frames(const wire::Caller&, const format::SegmentPlace&, std::uint8_t size_class,
                                      std::uint64_t offset, ByteView bytes) override {
    CHECK(size_class <= format::kLargestClass && bytes.size() <= store::kMaxAppendBytes);
    return offset / 2 + bytes.size();
  }
  Result<format::SignedMarkReceipt> put_mark(const wire::Caller&, const format::SignedMark& mark) override {
    CHECK(mark.mark.end % format::kFrameStep == 0 && mark.mark.frames > 0);
    return Error(Code::Precondition, "ends elsewhere");
  }
  Status read_frames(const wire::Caller&, const format::SegmentPlace&, std::uint64_t offset,
                     MutableByteView out) override {
    if (offset > kObjectBytes || out.size() > kObjectBytes - offset) return Error(Code::InvalidInput, "too far");
    std::fill(out.begin(), out.end(), Byte{'y'});
    return {};
  }
  Result<std::vector<store::HeldEntry>> entries(const wire::Caller&, const format::StreamId&, format::EntryIndex,
                                                std::size_t limit) override {
    CHECK(limit <= store::kMaxEntriesPerCall);
    return std::vector<store::HeldEntry>();
  }
};

std::string answers_to(std::string_view sent, std::size_t piece_bytes) {
  http::testing::FakeClock clock;
  http::testing::ScriptedConnection connection(clock);
  for (std::size_t at = 0; at < sent.size(); at += piece_bytes) connection.sends(sent.substr(at, piece_bytes));
  CarefulHandler handler;
  const wire::Caller caller;
  const http::Handler route = [&](const http::RequestHead& head, http::BodyReader& body) {
    return wire::answer(handler, caller, head, body);
  };
  ignore(http::serve_connection(connection, clock, {}, route, std::stop_token()), "both answers are right");
  return connection.written();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view sent = as_text({data, size});
  const std::string at_once = answers_to(sent, std::numeric_limits<std::size_t>::max() / 2);
  CHECK(at_once.empty() || at_once.starts_with("HTTP/1.1 "));
  CHECK(answers_to(sent, 7) == at_once);
  return 0;
}
