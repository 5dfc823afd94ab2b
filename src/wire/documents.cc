#include "wire/documents.h"

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "format/signed_text.h"

namespace exclave::wire {
namespace {

using format::TextReader;
using format::TextWriter;

constexpr std::string_view kStatusDomain = "exclave/vault-status/v2";
constexpr std::string_view kHeadsDomain = "exclave/heads/v1";
constexpr std::string_view kEntriesDomain = "exclave/entries/v1";
constexpr std::string_view kActsDomain = "exclave/acts/v1";
constexpr std::string_view kQuotaDomain = "exclave/quota/v1";
constexpr std::string_view kSegmentsDomain = "exclave/segments/v1";
constexpr std::string_view kNone = "none";
constexpr std::size_t kMaxReaders = 1000;  // receipt keys that ever were a vault's

template <typename AnyId>
Status expect_id(TextReader& reader, std::string_view key, const AnyId& expected) {
  if (TRY(id_field<AnyId>(reader, key)) != expected) return reader.bad("is not the one that was asked for");
  return {};
}

// A signed document inside: base64 of its bytes.
template <typename Signed>
Result<Signed> parse_inner(const TextReader& reader, std::string_view value) {
  auto bytes = from_base64(value);
  if (!bytes.ok()) return reader.bad(bytes.error().message());
  return Signed::parse(bytes.value(), reader.source());
}

std::string inner(const std::string& document) {
  return to_base64(as_bytes(document));
}

Status expect_unsigned_end(TextReader& reader) {
  TRY(reader.end());
  if (!reader.signatures().empty()) return reader.bad("is followed by signatures, which this document has not");
  return {};
}

}  // namespace

std::string status_document(const store::VaultStatus& status) {
  TextWriter writer(kStatusDomain);
  writer.field("name", status.name)
      .field("policy", status.policy.value())
      .field("now", std::to_string(status.now_seconds))
      .field("free", status.free_bytes)
      .field("objects", status.object_count)
      .field("unlisted", status.unlisted_objects)
      .field("damaged", status.damaged_objects)
      .field("program", format::is_valid_text_value(status.program) ? std::string_view(status.program) : "unnamed");
  for (const store::PeerReadings& peer : status.readings) {
    writer.field("read-by", peer.vault)
        .field("read-objects", peer.objects)
        .field("read-bytes", peer.bytes)
        .field("read-last", std::to_string(peer.last_at_seconds));
  }
  return writer.text();
}

Result<store::VaultStatus> parse_status(ByteView document) {
  TextReader reader = TRY(TextReader::open(document, kStatusDomain, "status"));
  store::VaultStatus status;
  status.name = TRY(reader.field("name"));
  status.policy = format::PolicyVersion(TRY(reader.number("policy")));
  status.now_seconds = TRY(reader.seconds("now"));
  status.free_bytes = TRY(reader.number("free"));
  status.object_count = TRY(reader.number("objects"));
  status.unlisted_objects = TRY(reader.number("unlisted"));
  status.damaged_objects = TRY(reader.number("damaged"));
  status.program = TRY(reader.field("program"));
  while (reader.next_is("read-by")) {
    store::PeerReadings peer;
    peer.vault = TRY(reader.field("read-by"));
    peer.objects = TRY(reader.number("read-objects"));
    peer.bytes = TRY(reader.number("read-bytes"));
    peer.last_at_seconds = TRY(reader.seconds("read-last"));
    status.readings.push_back(std::move(peer));
    if (status.readings.size() > kMaxReaders) return reader.bad("lists more readers than a realm can have vaults");
  }
  TRY(expect_unsigned_end(reader));
  return status;
}

std::string heads_document(const format::RegistryId& registry, const HeadsPage& page) {
  TextWriter writer(kHeadsDomain);
  writer.field("registry", registry.hex());
  for (const store::StreamHead& head : page.heads) {
    writer.field("stream", inner(head.stream.document())).field("entries", head.entries);
    writer.field("receipt", head.receipt.has_value() ? inner(head.receipt->document()) : std::string(kNone));
  }
  writer.field("next", page.next.has_value() ? page.next->hex() : std::string(kNone));
  return writer.text();
}

Result<HeadsPage> parse_heads(ByteView document, const format::RegistryId& registry) {
  TextReader reader = TRY(TextReader::open(document, kHeadsDomain, "heads"));
  TRY(expect_id(reader, "registry", registry));
  HeadsPage page;
  while (reader.next_is("stream")) {
    if (page.heads.size() == kHeadsPerPage) return reader.bad("is followed by more streams than a page holds");
    store::StreamHead head;
    const std::string stream = TRY(reader.field("stream"));
    head.stream = TRY(parse_inner<format::SignedStream>(reader, stream));
    head.entries = TRY(reader.number("entries"));
    const std::string receipt = TRY(reader.field("receipt"));
    if (receipt != kNone) head.receipt = TRY(parse_inner<format::SignedReceipt>(reader, receipt));
    page.heads.push_back(std::move(head));
  }
  const std::string next = TRY(reader.field("next"));
  if (next != kNone) {
    const auto id = format::StreamId::from_hex(next);
    if (!id.ok()) return reader.bad(id.error().message());
    page.next = id.value();
  }
  TRY(expect_unsigned_end(reader));
  return page;
}

std::string entries_document(const format::StreamId& stream, const std::vector<store::HeldEntry>& entries) {
  TextWriter writer(kEntriesDomain);
  writer.field("stream", stream.hex());
  for (const store::HeldEntry& held : entries) {
    writer.field("entry", inner(held.entry.document()))
        .field("bytes", held.object_bytes)
        .field("retain-until", std::to_string(held.retain_until_seconds))
        .field("period", held.period.value());
  }
  return writer.text();
}

Result<std::vector<store::HeldEntry>> parse_entries(ByteView document, const format::StreamId& stream) {
  TextReader reader = TRY(TextReader::open(document, kEntriesDomain, "entries"));
  TRY(expect_id(reader, "stream", stream));
  std::vector<store::HeldEntry> entries;
  while (reader.next_is("entry")) {
    if (entries.size() == store::kMaxEntriesPerCall) return reader.bad("is followed by more entries than are allowed");
    store::HeldEntry held;
    const std::string entry = TRY(reader.field("entry"));
    held.entry = TRY(parse_inner<format::SignedEntry>(reader, entry));
    if (held.entry.entry.stream != stream) return reader.bad("is an entry of another stream");
    held.object_bytes = TRY(reader.number("bytes"));
    held.retain_until_seconds = TRY(reader.seconds("retain-until"));
    const std::uint64_t period = TRY(reader.number("period"));
    if (period > std::numeric_limits<std::uint32_t>::max()) return reader.bad("is no period");
    held.period = format::PeriodNumber(static_cast<std::uint32_t>(period));
    entries.push_back(std::move(held));
  }
  TRY(expect_unsigned_end(reader));
  return entries;
}

std::string acts_document(const std::vector<store::Act>& acts) {
  TextWriter writer(kActsDomain);
  for (const store::Act& act : acts) writer.field(act.kind, act.hash.hex());
  return writer.text();
}

Result<std::vector<store::Act>> parse_acts(ByteView document) {
  TextReader reader = TRY(TextReader::open(document, kActsDomain, "acts"));
  std::vector<store::Act> acts;
  while (reader.next_is("policy") || reader.next_is("era")) {
    const std::string kind = reader.next_is("policy") ? "policy" : "era";
    const auto hash = TRY(id_field<crypto::Hash256>(reader, kind));
    acts.push_back({kind, hash});
  }
  TRY(expect_unsigned_end(reader));
  return acts;
}

std::string segments_document(const format::RegistryId& registry, const std::vector<store::OpenSegment>& segments) {
  TextWriter writer(kSegmentsDomain);
  writer.field("registry", registry.hex());
  for (const store::OpenSegment& segment : segments) {
    writer.field("stream", segment.stream.hex())
        .field("index", segment.index.value())
        .field("class", std::uint64_t{segment.size_class})
        .field("end", segment.end)
        .field("damaged", std::uint64_t{segment.is_damaged ? 1U : 0U})
        .field("mark", segment.mark.has_value() ? inner(segment.mark->document()) : std::string(kNone));
  }
  return writer.text();
}

Result<std::vector<store::OpenSegment>> parse_segments(ByteView document, const format::RegistryId& registry) {
  TextReader reader = TRY(TextReader::open(document, kSegmentsDomain, "open segments"));
  TRY(expect_id(reader, "registry", registry));
  std::vector<store::OpenSegment> segments;
  while (reader.next_is("stream")) {
    store::OpenSegment segment;
    segment.stream = TRY(id_field<format::StreamId>(reader, "stream"));
    segment.index = format::EntryIndex(TRY(reader.number("index")));
    const std::uint64_t size_class = TRY(reader.number("class"));
    if (std::count(format::kSizeClasses.begin(), format::kSizeClasses.end(), size_class) == 0) {
      return reader.bad("size class is unknown");
    }
    segment.size_class = static_cast<std::uint8_t>(size_class);
    segment.end = TRY(reader.number("end"));
    if (segment.end > format::object_bytes(segment.size_class) || segment.end % format::kFrameStep != 0) {
      return reader.bad("end is out of range");
    }
    const std::uint64_t damaged = TRY(reader.number("damaged"));
    if (damaged > 1) return reader.bad("damaged is 0 or 1");
    segment.is_damaged = damaged == 1;
    const std::string mark = TRY(reader.field("mark"));
    if (mark != kNone) {
      segment.mark = TRY(parse_inner<format::SignedMark>(reader, mark));
      if (segment.mark->mark.place != format::SegmentPlace{segment.stream, segment.index}) {
        return reader.bad("mark is of another segment");
      }
    }
    segments.push_back(std::move(segment));
  }
  TRY(expect_unsigned_end(reader));
  return segments;
}

std::string quota_document(const format::RegistryId& registry, const store::QuotaUse& quota) {
  TextWriter writer(kQuotaDomain);
  writer.field("registry", registry.hex()).field("used", quota.used_bytes).field("quota", quota.quota_bytes);
  return writer.text();
}

Result<store::QuotaUse> parse_quota(ByteView document, const format::RegistryId& registry) {
  TextReader reader = TRY(TextReader::open(document, kQuotaDomain, "quota"));
  TRY(expect_id(reader, "registry", registry));
  store::QuotaUse quota;
  quota.used_bytes = TRY(reader.number("used"));
  quota.quota_bytes = TRY(reader.number("quota"));
  TRY(expect_unsigned_end(reader));
  return quota;
}

}  // namespace exclave::wire
