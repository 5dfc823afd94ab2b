// Answers of a vault (status, heads, entries, acts, quota): rejected, or written back byte for byte.
#include "base/check.h"
#include "base/text.h"
#include "wire/documents.h"

namespace {

using namespace exclave;  // a test program of one file

// The id in the second line: a document about something else than was asked for is refused before its body is read.
template <typename AnyId>
AnyId asked_for(ByteView document) {
  const auto lines = split(as_text(document), '\n');
  if (lines.size() < 2) return {};
  const auto id = AnyId::from_hex(lines[1].substr(lines[1].find(' ') + 1));
  return id.ok() ? id.value() : AnyId();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const std::string_view text = as_text(input);
  const auto registry = asked_for<format::RegistryId>(input);
  const auto stream = asked_for<format::StreamId>(input);
  const auto status = wire::parse_status(input);
  if (status.ok()) CHECK(wire::status_document(status.value()) == text);
  const auto heads = wire::parse_heads(input, registry);
  if (heads.ok()) CHECK(wire::heads_document(registry, heads.value()) == text);
  const auto entries = wire::parse_entries(input, stream);
  if (entries.ok()) CHECK(wire::entries_document(stream, entries.value()) == text);
  const auto acts = wire::parse_acts(input);
  if (acts.ok()) CHECK(wire::acts_document(acts.value()) == text);
  const auto segments = wire::parse_segments(input, registry);
  if (segments.ok()) CHECK(wire::segments_document(registry, segments.value()) == text);
  const auto quota = wire::parse_quota(input, registry);
  if (quota.ok()) CHECK(wire::quota_document(registry, quota.value()) == text);
  return 0;
}
