#include "repo/object_opener.h"
#include "format/object.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

namespace exclave::repo {
namespace {

MutableByteView at_least(Bytes& room, std::size_t size) {
  if (room.size() < size) room.resize(size);
  return MutableByteView(room).first(size);
}

Status check_name(const format::ObjectName& name, ByteView object) {
  if (format::name_of(object) == name) return {};
  return Error(Code::Corrupt, format::object_words(name) + ": bytes have another name");
}

}  // namespace

ObjectOpener::ObjectOpener(const format::RealmId& realm, std::vector<format::OpeningKey> keys,
                           store::ObjectReader& reader)
    : realm_(realm), reader_(reader) {
  for (format::OpeningKey& key : keys) {
    const format::PeriodNumber period = key.id.period;
    keys_.emplace(period, std::move(key));
  }
}

Result<const format::OpeningKey*> ObjectOpener::key_for(format::PeriodNumber period) const {
  const auto found = keys_.find(period);
  if (found == keys_.end()) {
    return Error(Code::Denied, "period " + std::to_string(period.value()) + " has not been released")
        .hint("ask the officials for it: exclave release request");
  }
  return &found->second;
}

Status ObjectOpener::open_segments(const format::ObjectReference& reference, ByteView front_bytes, ByteView sealed,
                                   std::uint32_t first_segment, MutableByteView out) const {
  const format::ObjectFront front = TRY(format::decode_front(front_bytes));
  if (front.header.size_class != reference.size_class || front.header.key.period != reference.period) {
    return Error(Code::Corrupt, format::object_words(reference.name) + ": header is another object's");
  }
  const format::OpeningKey* key = TRY(key_for(reference.period));
  auto cipher = format::opening_cipher(*key, realm_, front);
  // A header of another registry or era is a swapped object, not a missing release.
  if (!cipher.ok()) return Error(Code::Corrupt, format::object_words(reference.name) + ": " + cipher.error().message());
  std::uint32_t segment = first_segment;
  while (!sealed.empty()) {
    const std::size_t take = std::min(sealed.size(), crypto::kSegmentSealedBytes);
    TRY(cipher.value().open_segment(segment, sealed.first(take), out.first(take - crypto::kTagBytes)).in([&] {
      return format::object_words(reference.name) + ": segment " + std::to_string(segment);
    }));
    sealed = sealed.subspan(take);
    out = out.subspan(take - crypto::kTagBytes);
    ++segment;
  }
  return {};
}

Result<Bytes> ObjectOpener::open_whole(const format::ObjectReference& reference) {
  TRY(key_for(reference.period));
  Bytes sealed(format::object_bytes(reference.size_class));
  Bytes plain(format::plain_capacity(reference.size_class));
  TRY(reader_.read_checked(reference.name, 0, sealed, [&](ByteView bytes) -> Status {
    TRY(check_name(reference.name, bytes));
    return open_segments(reference, bytes.first(format::kSegmentsOffset), bytes.subspan(format::kSegmentsOffset), 0,
                         plain);
  }));
  return plain;
}

Result<ObjectOpener::Opened> ObjectOpener::open_by_name_as(const format::ObjectName& name, std::uint8_t size_class) {
  Opened opened{{name, size_class, {}}, Bytes(format::plain_capacity(size_class))};
  Bytes sealed(format::object_bytes(size_class));
  TRY(reader_.read_checked(name, 0, sealed, [&](ByteView bytes) -> Status {
    TRY(check_name(name, bytes));
    opened.reference.period = TRY(format::decode_header(bytes)).key.period;
    // The object is what it should be: no other vault's copy opens better.
    if (!has_key(opened.reference.period)) return {};
    return open_segments(opened.reference, bytes.first(format::kSegmentsOffset), bytes.subspan(format::kSegmentsOffset),
                         0, opened.plain);
  }));
  TRY(key_for(opened.reference.period));
  return opened;
}

Result<ObjectOpener::Opened> ObjectOpener::open_by_name(const format::ObjectName& name, std::uint64_t bytes) {
  std::vector<std::uint8_t> classes(format::kSizeClasses.begin(), format::kSizeClasses.end());
  const auto likely = std::find_if(classes.begin(), classes.end(),
                                   [&](std::uint8_t size_class) { return format::object_bytes(size_class) == bytes; });
  if (likely != classes.end()) std::rotate(classes.begin(), likely, likely + 1);
  std::optional<Error> first_error;
  for (const std::uint8_t size_class : classes) {
    auto opened = open_by_name_as(name, size_class);
    if (opened.ok()) return opened;
    const Code code = opened.error().code();
    if (code != Code::Corrupt && code != Code::InvalidInput) return opened;
    if (!first_error.has_value()) first_error = opened.take_error();
  }
  return *first_error;
}

Result<ByteView> ObjectOpener::open_range(const format::ObjectReference& reference, std::size_t at, std::size_t size,
                                          OpeningRoom& room) {
  TRY(key_for(reference.period));
  const std::size_t capacity = format::plain_capacity(reference.size_class);
  if (size == 0 || at >= capacity || size > capacity - at) {
    return Error(Code::Corrupt, format::object_words(reference.name) + ": range lies outside the object");
  }
  const std::size_t first = at / crypto::kSegmentPlainBytes;
  const std::size_t last = (at + size - 1) / crypto::kSegmentPlainBytes;
  const std::size_t begin = format::kSegmentsOffset + first * crypto::kSegmentSealedBytes;
  const std::size_t end = std::min(format::object_bytes(reference.size_class),
                                   format::kSegmentsOffset + (last + 1) * crypto::kSegmentSealedBytes);
  // The front comes along, from the same copy: beside a front of another genuine object good segments look bad, and an
  // honest vault would be blamed for them. When the range starts early in the object, one read gets both.
  const bool together = first <= 16;
  std::array<Byte, format::kSegmentsOffset> front_room{};
  const MutableByteView sealed = at_least(room.sealed, together ? end : end - begin);
  const ByteView front = together ? ByteView(sealed).first(format::kSegmentsOffset) : ByteView(front_room);
  const ByteView segments = together ? ByteView(sealed).subspan(begin) : ByteView(sealed);
  const MutableByteView plain = at_least(
      room.plain, std::min(capacity, (last + 1) * crypto::kSegmentPlainBytes) - first * crypto::kSegmentPlainBytes);
  const std::array<store::ObjectReader::Range, 2> ranges = {{{0, front_room}, {together ? 0 : begin, sealed}}};
  TRY(reader_.read_checked(reference.name, std::span(ranges).subspan(together ? 1 : 0), [&]() -> Status {
    return open_segments(reference, front, segments, static_cast<std::uint32_t>(first), plain);
  }));
  return ByteView(plain).subspan(at - first * crypto::kSegmentPlainBytes, size);
}

}  // namespace exclave::repo
