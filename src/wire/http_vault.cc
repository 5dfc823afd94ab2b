#include "wire/http_vault.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "store/vault_words.h"
#include "wire/documents.h"
#include "wire/routes.h"

namespace exclave::wire {
namespace {

constexpr std::uint64_t kMaxDocumentBytes = std::uint64_t{4} << 20;
constexpr std::uint64_t kMaxReceiptBytes = 16 * 1024;
// For bytes of which the network said that it takes them at once.
constexpr std::chrono::milliseconds kSendTime{10};
constexpr std::chrono::minutes kLongLookEvery{1};
constexpr unsigned kMostRunOut = 2;

std::string object_target(const format::ObjectName& name) {
  return "/v1/objects/" + name.hex();
}
std::string stream_target(const format::StreamId& stream) {
  return "/v1/streams/" + stream.hex();
}
std::string frames_target(const format::StreamId& stream, format::EntryIndex index) {
  return stream_target(stream) + "/" + std::to_string(index.value()) + "/frames";
}
std::string append_target(const format::StreamId& stream, format::EntryIndex index, std::uint8_t size_class,
                          std::uint64_t offset) {
  return frames_target(stream, index) + "?class=" + std::to_string(size_class) + "&offset=" + std::to_string(offset);
}
std::string registry_target(const format::RegistryId& registry) {
  return "/v1/registries/" + registry.hex();
}
std::string act_target(const crypto::Hash256& hash) {
  return "/v1/acts/" + hash.hex();
}

bool may_pass(Code code) {
  return code == Code::Unavailable || code == Code::OutcomeUnknown;
}

http::Headers headers_of(const format::SignedEntry& entry) {
  http::Headers headers;
  headers.add(std::string(kObjectHeader), entry.entry.object.hex());
  headers.add(std::string(kChainHeader), entry.entry.chain.hex());
  if (entry.entry.snapshot_oldest.has_value()) {
    headers.add(std::string(kSnapshotHeader), std::to_string(entry.entry.snapshot_oldest->value()));
  }
  headers.add(std::string(kSignatureHeader), to_base64(entry.signature.view()));
  return headers;
}

}  // namespace

HttpVault::HttpVault(const World& world, Transport& transport, const policy::VaultEntry& vault,
                     const format::RealmId& realm, const HttpVaultOptions& options)
    : world_(world),
      options_(options),
      pinned_{vault.name, vault.receipt, realm},
      pool_({world.clock, world.network, world.threads, transport, vault.address, vault.identity, options.limits},
            options.connections) {}

void HttpVault::shutdown() {
  is_shut_down_ = true;
  pool_.shutdown();
}

Error HttpVault::nonsense(const std::string& why) const {
  return {Code::Corrupt, "vault " + pinned_.name + " " + why};
}

template <typename T>
Result<T> HttpVault::readable(Result<T> parsed) const {
  if (parsed.ok()) return parsed;
  return nonsense("answers what cannot be read: " + parsed.error().message());
}

template <typename Attempt>
auto HttpVault::attempt_once(const Attempt& attempt, env::Instant deadline, bool& was_stale)
    -> decltype(attempt(std::declval<http::Client&>())) {
  ConnectionPool::Lease lease = TRY(take_connection(deadline));
  auto result = attempt(lease.client());
  was_stale = lease.is_reused() && !lease.client().is_reusable();
  return result;
}

template <typename Attempt>
auto HttpVault::call(const Attempt& attempt, unsigned attempts) -> decltype(attempt(std::declval<http::Client&>())) {
  const env::Instant deadline = world_.clock.monotonic() + options_.call_time;
  if (attempts == 0) attempts = is_out_of_reach_ ? 1 : std::max(options_.attempts, 1U);
  unsigned failed = 0;
  std::size_t stale = 0;
  for (;;) {
    bool was_stale = false;
    auto result = attempt_once(attempt, deadline, was_stale);
    if (result.ok() || !may_pass(result.error().code())) {
      is_out_of_reach_ = false;
      has_answered_ = true;
      if (result.ok()) return result;
      return store::of_vault(pinned_.name, result.error());
    }
    if (is_shut_down_) return Error(Code::Cancelled, "vault " + pinned_.name + ": the call was given up");
    if (was_stale && stale < options_.connections) {
      ++stale;
      pool_.forget_idle();
      continue;
    }
    ++failed;
    const std::chrono::nanoseconds pause = TRY(pause_before(failed));
    const env::Instant next = world_.clock.monotonic() + pause;
    const bool hangs = !has_answered_ && lets_time_run_out_ && failed >= kMostRunOut;
    if (failed >= attempts || hangs || next >= deadline) {
      is_out_of_reach_ = true;
      // Every call may be repeated: whether it happened does not matter to whoever tries again later.
      return store::of_vault(pinned_.name,
                             Error(Code::Unavailable, result.error().message()).hint(result.error().hint_text()));
    }
    TRY(world_.clock.sleep_until(next));
  }
}

Result<ConnectionPool::Lease> HttpVault::take_connection(env::Instant deadline) {
  std::optional<env::Instant> until;  // if a connection is made
  auto lease = pool_.take(deadline, [&] {
    const env::Instant now = world_.clock.monotonic();
    const bool is_glance = lets_time_run_out_ && now < next_long_look_.load();
    if (!is_glance) next_long_look_ = now + kLongLookEvery;
    until = now + (is_glance ? std::min(options_.glance_time, options_.connect_time) : options_.connect_time);
    return *until;
  });
  if (until.has_value()) lets_time_run_out_ = !lease.ok() && world_.clock.monotonic() >= *until;
  return lease;
}

// Doubles from attempt to attempt; the second half is drawn, so that a crowd of agents does not return in step.
Result<std::chrono::nanoseconds> HttpVault::pause_before(unsigned attempt) {
  auto pause = options_.first_pause;
  for (unsigned i = 1; i < attempt && pause < options_.longest_pause; ++i) pause *= 2;
  pause = std::min(pause, options_.longest_pause);
  std::array<Byte, 2> drawn{};
  TRY(world_.random.fill(drawn));
  return pause / 2 + pause / 2 * load_u16(drawn) / 65536;
}

Result<Bytes> HttpVault::get(const std::string& target, std::uint64_t limit) {
  return call([&](http::Client& client) -> Result<Bytes> {
    const http::ResponseHead head = TRY(client.request("GET", target, {}, {}));
    if (!head.is_success()) return client.read_error(head);
    if (head.status != 200) return nonsense("answers " + std::to_string(head.status) + " to GET " + target);
    if (head.content_length > limit) return nonsense("answers GET " + target + " with more than is allowed");
    return client.body().read_all(limit);
  });
}

Status HttpVault::put_document(const std::string& target, ByteView document) {
  return call([&](http::Client& client) -> Status {
    const http::ResponseHead head = TRY(client.request("PUT", target, {}, document));
    if (!head.is_success()) return client.read_error(head);
    if (head.status != 200) return nonsense("answers " + std::to_string(head.status) + " to PUT " + target);
    return {};
  });
}

Result<store::VaultStatus> HttpVault::status() {
  const Bytes document = TRY(get("/v1/status", kMaxDocumentBytes));
  return readable(parse_status(document));
}

Status HttpVault::open_stream(const format::SignedStream& stream) {
  return put_document(stream_target(stream.descriptor.id()), as_bytes(stream.document()));
}

Result<std::optional<format::SignedReceipt>> HttpVault::put(const format::SignedEntry& entry, ByteView object) {
  receipts_.remember(entry.entry);
  bool may_be_there = false;
  auto put = call([&](http::Client& client) -> Result<std::optional<format::SignedReceipt>> {
    if (may_be_there) {
      auto claimed = put_once(client, entry, {});
      if (claimed.ok() || claimed.error().code() != Code::NotFound) return claimed;
      if (!client.is_reusable()) return Error(Code::Unavailable, "the connection ended after an answer");
    }
    auto sent = put_once(client, entry, object);
    may_be_there = !sent.ok() && sent.error().code() == Code::OutcomeUnknown;
    return sent;
  });
  if (!put.ok() && !may_pass(put.error().code())) receipts_.forget(entry.entry);
  return put;
}

Result<Bytes> HttpVault::read_receipt(http::Client& client, const http::ResponseHead& head,
                                      const std::string& target) const {
  if (head.status != 200) return nonsense("answers " + std::to_string(head.status) + " to PUT " + target);
  if (head.content_length > kMaxReceiptBytes) return nonsense("answers with a receipt that is too long");
  return client.body().read_all(kMaxReceiptBytes);
}

Result<std::optional<format::SignedReceipt>> HttpVault::put_once(http::Client& client, const format::SignedEntry& entry,
                                                                 ByteView body) {
  const std::string target = stream_target(entry.entry.stream) + "/" + std::to_string(entry.entry.index.value());
  const http::ResponseHead head = TRY(client.request("PUT", target, headers_of(entry), body));
  if (!head.is_success()) return client.read_error(head);
  if (head.status == 202) return std::optional<format::SignedReceipt>();
  const Bytes document = TRY(read_receipt(client, head, target));
  auto receipt = TRY(readable(format::SignedReceipt::parse(document, "receipt")));
  TRY(receipts_.check(pinned_, receipt, entry.entry));
  return std::optional<format::SignedReceipt>(std::move(receipt));
}

Status HttpVault::announce_reading(const format::SignedReading& reading) {
  return put_document("/v1/readings/" + reading.reading.object.hex(), as_bytes(reading.document()));
}

Result<bool> HttpVault::has(const format::ObjectName& name) {
  const auto size = size_of(name);
  if (size.ok()) return true;
  if (size.error().code() == Code::NotFound) return false;
  return size.error();
}

Result<std::uint64_t> HttpVault::size_of(const format::ObjectName& name) {
  return call([&](http::Client& client) -> Result<std::uint64_t> {
    const http::ResponseHead head = TRY(client.request("HEAD", object_target(name), {}, {}));
    if (!head.is_success()) return client.read_error(head);
    if (head.status != 200) return nonsense("answers " + std::to_string(head.status) + " to HEAD of an object");
    return head.content_length;
  });
}

Status HttpVault::read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) {
  if (out.empty()) {
    if (offset <= TRY(size_of(name))) return {};
    return Error(Code::InvalidInput, "object " + name.hex() + " ends before the range that was asked for");
  }
  return read_range(object_target(name), "object " + name.hex(), offset, out);
}

Status HttpVault::read_range(const std::string& target, const std::string& noun, std::uint64_t offset,
                             MutableByteView out) {
  const std::uint64_t last = offset + out.size() - 1;
  if (last < offset) return Error(Code::InvalidInput, "range overflows");
  const std::string range = std::to_string(offset) + "-" + std::to_string(last);
  return call([&](http::Client& client) -> Status {
    const http::ResponseHead head = TRY(client.request("GET", target, {{"Range", "bytes=" + range}}, {}));
    if (!head.is_success()) return client.read_error(head);
    const std::string_view found = head.headers.find("content-range").value_or("");
    if (head.status != 206 || !found.starts_with("bytes " + range + "/")) {
      return nonsense("answers another range of " + noun + " than bytes " + range);
    }
    return client.read_body_into(out);
  });
}

Result<std::uint64_t> HttpVault::append_frames(const format::StreamId& stream, format::EntryIndex index,
                                               std::uint8_t size_class, std::uint64_t offset, ByteView bytes) {
  const std::string target = append_target(stream, index, size_class, offset);
  return call(
      [&](http::Client& client) -> Result<std::uint64_t> {
        const http::ResponseHead head = TRY(client.request("POST", target, {}, bytes));
        return read_end(client, head, size_class, offset, bytes.size());
      },
      1);
}

Result<std::uint64_t> HttpVault::read_end(http::Client& client, const http::ResponseHead& head, std::uint8_t size_class,
                                          std::uint64_t offset, std::uint64_t bytes) const {
  if (!head.is_success()) return client.read_error(head);
  const auto end = parse_u64(head.headers.find(kEndHeader).value_or(""));
  if (head.status != 200 || head.content_length != 0 || !end.ok()) {
    return nonsense("answers nothing that makes sense to appended frames");
  }
  if (end.value() < offset + bytes || end.value() > format::object_bytes(size_class)) {
    return nonsense("says that a segment ends at " + std::to_string(end.value()) + " after " + std::to_string(bytes) +
                    " bytes were appended at " + std::to_string(offset));
  }
  return end.value();
}

class HttpVault::FramesInFlight final : public store::PendingAppend {
 public:
  FramesInFlight(HttpVault& vault, ConnectionPool::Lease lease, Status begun, std::shared_ptr<const env::Watch> watch,
                 std::uint8_t size_class, std::uint64_t offset, std::uint64_t bytes)
      : vault_(vault),
        lease_(std::move(lease)),
        begun_(std::move(begun)),
        watch_(std::move(watch)),
        size_class_(size_class),
        offset_(offset),
        bytes_(bytes) {}

  Heard listen() override {
    if (!begun_.ok()) return Heard::Whole;
    switch (lease_.client().listen()) {
      case http::Client::Heard::Nothing:
        return Heard::Nothing;
      case http::Client::Heard::Part:
        return Heard::Part;
      case http::Client::Heard::Whole:
        return Heard::Whole;
    }
    CHECK(false);
  }
  bool is_quiet() const override {
    return begun_.ok() && lease_.client().was_sent() && watch_ != nullptr && !watch_->has_come();
  }
  Result<std::uint64_t> finish(env::Instant deadline) override {
    auto end = read(deadline);
    if (!end.ok()) return store::of_vault(vault_.name(), end.error());
    vault_.is_out_of_reach_ = false;
    return end;
  }

 private:
  Result<std::uint64_t> read(env::Instant deadline) {
    TRY(begun_);
    http::Client& client = lease_.client();
    const http::ResponseHead head =
        TRY(client.finish(std::min(deadline, vault_.world_.clock.monotonic() + vault_.options_.limits.answer)));
    // Why is in a body that may take its time: append_frames hears it.
    if (!head.is_success()) return Error(Code::Unavailable, "did not take the frames");
    return vault_.read_end(client, head, size_class_, offset_, bytes_);
  }

  HttpVault& vault_;
  ConnectionPool::Lease lease_;
  const Status begun_;
  const std::shared_ptr<const env::Watch> watch_;
  const std::uint8_t size_class_;
  const std::uint64_t offset_;
  const std::uint64_t bytes_;
};

std::unique_ptr<store::PendingAppend> HttpVault::begin_append(const format::StreamId& stream, format::EntryIndex index,
                                                              std::uint8_t size_class, std::uint64_t offset,
                                                              ByteView bytes, env::Waker* waker) {
  auto lease = pool_.take_idle();
  if (!lease.has_value() || !lease->client().takes_at_once(bytes.size())) return nullptr;
  // Something has come although nobody asked: most often the end, of a vault that was started anew. call() sees to it.
  if (lease->client().is_disturbed()) return nullptr;
  const env::Instant deadline = world_.clock.monotonic() + kSendTime;
  const Status begun =
      lease->client().begin("POST", append_target(stream, index, size_class, offset), {}, bytes, deadline);
  if (!begun.ok() && begun.error().code() != Code::Corrupt) return nullptr;  // what it sent unasked is told
  std::shared_ptr<const env::Watch> watch;
  if (waker != nullptr) watch = lease->client().wake_when_answered(*waker);
  return std::make_unique<FramesInFlight>(*this, std::move(*lease), begun, std::move(watch), size_class, offset,
                                          bytes.size());
}

Result<format::SignedMarkReceipt> HttpVault::put_mark(const format::SignedMark& mark) {
  const format::SegmentPlace& place = mark.mark.place;
  const std::string target = stream_target(place.stream) + "/" + std::to_string(place.index.value()) + "/mark";
  return call(
      [&](http::Client& client) -> Result<format::SignedMarkReceipt> {
        const http::ResponseHead head = TRY(client.request("PUT", target, {}, as_bytes(mark.document())));
        if (!head.is_success()) return client.read_error(head);
        const Bytes document = TRY(read_receipt(client, head, target));
        auto receipt = TRY(readable(format::SignedMarkReceipt::parse(document, "mark receipt")));
        TRY(check_mark_receipt(pinned_, receipt, mark.mark));
        return receipt;
      },
      1);
}

Result<std::vector<store::OpenSegment>> HttpVault::open_segments(const format::RegistryId& registry) {
  const Bytes document = TRY(get(registry_target(registry) + "/segments", kMaxDocumentBytes));
  return readable(parse_segments(document, registry));
}

Status HttpVault::read_frames(const format::StreamId& stream, format::EntryIndex index, std::uint64_t offset,
                              MutableByteView out) {
  if (out.empty()) return {};
  return read_range(frames_target(stream, index), format::to_string(format::SegmentPlace{stream, index}), offset, out);
}

Result<store::QuotaUse> HttpVault::quota(const format::RegistryId& registry) {
  const Bytes document = TRY(get(registry_target(registry) + "/quota", kMaxReceiptBytes));
  return readable(parse_quota(document, registry));
}

Result<std::vector<store::StreamHead>> HttpVault::heads(const format::RegistryId& registry) {
  const std::string target = registry_target(registry) + "/heads";
  std::vector<store::StreamHead> heads;
  std::optional<format::StreamId> from;
  std::optional<format::StreamId> previous;
  do {
    const std::string query = from.has_value() ? "?from=" + from->hex() : "";
    const Bytes document = TRY(get(target + query, kMaxDocumentBytes));
    HeadsPage page = TRY(readable(parse_heads(document, registry)));
    for (store::StreamHead& head : page.heads) {
      const format::StreamId id = head.stream.descriptor.id();
      if (head.stream.descriptor.registry != registry) return nonsense("lists a stream of another registry");
      if (previous.has_value() && id <= *previous) return nonsense("lists streams out of order");
      if (head.receipt.has_value()) TRY(check_receipt(pinned_, *head.receipt, id));
      if (head.receipt.has_value() && head.receipt->receipt.index.value() >= head.entries) {
        return nonsense("gave a receipt for more entries than it says it holds");
      }
      previous = id;
      heads.push_back(std::move(head));
    }
    const bool is_full = page.heads.size() == kHeadsPerPage;
    if (page.next.has_value() && (!is_full || *page.next <= *previous || heads.size() > store::kMostStreams)) {
      return nonsense("lists streams without end");
    }
    from = page.next;
  } while (from.has_value());
  return heads;
}

Result<std::vector<store::HeldEntry>> HttpVault::entries(const format::StreamId& stream, format::EntryIndex from,
                                                         std::size_t limit) {
  limit = std::min(limit, store::kMaxEntriesPerCall);
  if (limit == 0) return std::vector<store::HeldEntry>();
  const std::string target =
      stream_target(stream) + "/entries?from=" + std::to_string(from.value()) + "&limit=" + std::to_string(limit);
  const Bytes document = TRY(get(target, kMaxDocumentBytes));
  auto entries = TRY(readable(parse_entries(document, stream)));
  if (entries.size() > limit) return nonsense("lists more entries than were asked for");
  const format::EntryIndex* previous = nullptr;
  for (const store::HeldEntry& held : entries) {
    const format::EntryIndex& index = held.entry.entry.index;
    if (index < from || (previous != nullptr && index <= *previous)) return nonsense("lists entries out of order");
    previous = &index;
  }
  return entries;
}

Result<std::vector<store::Act>> HttpVault::acts() {
  const Bytes document = TRY(get("/v1/acts", kMaxDocumentBytes));
  return readable(parse_acts(document));
}

Result<Bytes> HttpVault::act(const crypto::Hash256& hash) {
  Bytes document = TRY(get(act_target(hash), kMaxDocumentBytes));
  if (crypto::sha256(document) != hash) return nonsense("answers another act than " + hash.hex());
  return document;
}

Status HttpVault::put_act(ByteView document) {
  return put_document(act_target(crypto::sha256(document)), document);
}

}  // namespace exclave::wire
