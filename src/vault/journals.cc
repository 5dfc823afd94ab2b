#include "vault/journals.h"

#include <algorithm>

#include "vault/detail/access.h"

namespace exclave::vault {
namespace {

// Streams that are kept in mind. A writer has one at a time.
constexpr std::size_t kMostKnownStreams = 256;

Error invalid(const format::SegmentPlace& place, const std::string& why) {
  return {Code::InvalidInput, format::to_string(place) + ": " + why};
}

}  // namespace

Result<format::StreamDescriptor> Journals::stream_of(const format::StreamId& id) {
  {
    const MutexLock lock(mutex_);
    const auto known = streams_.find(id);
    if (known != streams_.end()) return known->second;
  }
  const auto stream = TRY(parts_.records.stream(id));
  if (!stream.has_value()) return Error(Code::NotFound, "stream " + id.hex() + " is not open here");
  const MutexLock lock(mutex_);
  if (streams_.size() >= kMostKnownStreams) streams_.clear();
  streams_.emplace(id, stream->descriptor);
  return stream->descriptor;
}

Result<format::StreamDescriptor> Journals::own_journal(const wire::Caller& caller, const format::StreamId& id) {
  const auto acts = parts_.acts.in_force();
  const policy::Registry* const registry = TRY(require_writer(acts->policy.policy, caller));
  format::StreamDescriptor stream = TRY(stream_of(id));
  // As with put: another registry's streams are as good as not there.
  if (stream.registry != registry->id) return Error(Code::NotFound, "stream " + id.hex() + " is not open here");
  if (stream.writer != caller.identity) {
    return Error(Code::Denied, "stream " + id.hex() + " was opened by an earlier writer");
  }
  if (stream.kind != format::StreamKind::Journal) {
    return Error(Code::InvalidInput, "stream " + id.hex() + " is one of objects: it has no segments");
  }
  return stream;
}

Status Journals::put_mark(const wire::Caller& caller, const format::SignedMark& mark) {
  const format::StreamDescriptor stream = TRY(own_journal(caller, mark.mark.place.stream));
  const Status genuine = mark.check_signature(stream.writer);
  if (!genuine.ok()) return Error(Code::Denied, genuine.error().message());
  return parts_.segments.put_mark(mark);
}

Result<std::uint64_t> Journals::append(const wire::Caller& caller, const format::SegmentPlace& place,
                                       std::uint8_t size_class, std::uint64_t offset, ByteView bytes) {
  const format::StreamDescriptor stream = TRY(own_journal(caller, place.stream));
  if (std::count(format::kSizeClasses.begin(), format::kSizeClasses.end(), size_class) == 0) {
    return invalid(place, "there is no size class " + std::to_string(size_class));
  }
  if (offset % format::kFrameStep != 0 || bytes.size() % format::kFrameStep != 0) {
    return invalid(place, "frames stand at multiples of " + std::to_string(format::kFrameStep));
  }
  if (bytes.size() > store::kMaxAppendBytes) return invalid(place, "more than one call may bring");
  const auto held = parts_.segments.segment(place);
  if (held.has_value() && held->size_class != size_class) {
    return invalid(place, "it was opened with class " + std::to_string(held->size_class));
  }
  if (!held.has_value() || held->end == 0) {
    if (TRY(parts_.records.entry(place.stream, place.index)).has_value()) {
      return Error(Code::Conflict, format::to_string(place) + " is closed");
    }
    if (offset > 0) return Error(Code::Precondition, format::to_string(place) + " ends at 0: nothing came yet");
    if (bytes.empty()) return std::uint64_t{0};
    TRY(open(caller, stream, place, size_class, bytes));
  }
  return parts_.segments.append(place, offset, bytes);
}

Status Journals::open(const wire::Caller& caller, const format::StreamDescriptor& stream,
                      const format::SegmentPlace& place, std::uint8_t size_class, ByteView bytes) {
  const auto front = format::decode_segment_front(bytes);
  if (!front.ok() && front.error().code() == Code::Unsupported) return front.error();
  if (!front.ok()) return invalid(place, front.error().message());
  const format::ObjectHeader& header = front.value().header;
  if (header.size_class != size_class) return invalid(place, "its header names another class");
  if (front.value().place != place) return invalid(place, "its front says " + format::to_string(front.value().place));
  const auto acts = parts_.acts.in_force();
  const policy::Era* const era = acts->era(stream.registry, stream.era);
  if (era == nullptr || header.key.registry != stream.registry || header.key.era != stream.era ||
      !era->has(header.key)) {
    return Error(Code::Denied, format::to_string(place) + " is sealed for " + format::to_string(header.key) +
                                   ", which is no key of the stream's era");
  }
  // What cannot be taken shall not open anything.
  const ByteView frames = bytes.subspan(format::kSegmentFrontBytes);
  if (format::scan_frames(frames).bytes != frames.size()) return invalid(place, "what came are not whole frames");
  if (bytes.size() > format::object_bytes(size_class)) {
    return invalid(place, "more frames than its class has room for");
  }
  TRY(parts_.segments.check_room(size_class));
  return parts_.deposits.open_segment(caller, stream, place, {size_class, header.key});
}

Result<std::vector<store::OpenSegment>> Journals::list(const wire::Caller& caller,
                                                       const format::RegistryId& registry) const {
  const auto acts = parts_.acts.in_force();
  const policy::Policy& policy = acts->policy.policy;
  if (!require_site(policy, caller).ok()) TRY(require_writer_of(policy, caller, registry));
  std::vector<store::OpenSegment> found;
  for (const store::OpenSegment& segment : parts_.segments.list()) {
    const auto row = parts_.segments.row({segment.stream, segment.index});
    if (row.has_value() && row->key.registry == registry) found.push_back(segment);
  }
  return found;
}

Status Journals::read(const wire::Caller& caller, const format::SegmentPlace& place, std::uint64_t offset,
                      MutableByteView out) const {
  TRY(require_site(parts_.acts.in_force()->policy.policy, caller));
  return parts_.segments.read(place, offset, out);
}

}  // namespace exclave::vault
