#include "format/listing.h"

#include <algorithm>
#include <cstring>

namespace exclave::format {
namespace {

enum Flag : std::uint16_t {
  kSameOwner = 1U << 0,
  kHardLink = 1U << 1,
  kXattrs = 1U << 2,
  kContent = 1U << 3,
  kSparse = 1U << 4,
  kProblem = 1U << 5,
  kMoreParts = 1U << 6,
  kLaterPart = 1U << 7,
};
constexpr std::size_t kMaxXattrNameBytes = 255;
constexpr std::uint16_t kKnownFlags = 0xff;
constexpr std::uint16_t kFlagsOfLaterParts = kSparse | kMoreParts | kLaterPart;
constexpr std::uint16_t kFlagsOfData = kContent | kSparse | kMoreParts;  // of regular files only

std::size_t part_count(const ListingEntry& entry) {
  const std::size_t most = std::max(entry.slices.size(), entry.extents.size());
  return most == 0 ? 1 : (most + kMaxSlicesPerPart - 1) / kMaxSlicesPerPart;
}

template <typename T>
std::span<const T> part_of(const std::vector<T>& all, std::size_t part) {
  const std::size_t begin = std::min(all.size(), part * kMaxSlicesPerPart);
  return std::span(all).subspan(begin, std::min(kMaxSlicesPerPart, all.size() - begin));
}

void encode_device(const ListingEntry& entry, BinaryWriter& body) {
  body.varint(entry.device_major);
  body.varint(entry.device_minor);
}

bool is_device(EntryType type) {
  return type == EntryType::CharDevice || type == EntryType::BlockDevice;
}

void encode_attributes(const ListingEntry& entry, bool same_owner, BinaryWriter& body) {
  body.u8(static_cast<std::uint8_t>(entry.type));
  body.varint(entry.mode);
  if (!same_owner) {
    body.varint(entry.owner.user);
    body.varint(entry.owner.group);
    body.text(entry.owner.user_name);
    body.text(entry.owner.group_name);
  }
  body.i64(entry.modified_ns);
  body.varint(entry.size);
  if (entry.problem != EntryProblem::None) body.u8(static_cast<std::uint8_t>(entry.problem));
  if (entry.type == EntryType::Symlink) body.text(entry.link_target);
  if (is_device(entry.type)) encode_device(entry, body);
  if (entry.hard_link.has_value()) {
    body.varint(entry.hard_link->device);
    body.varint(entry.hard_link->inode);
  }
  if (!entry.xattrs.empty()) {
    body.varint(entry.xattrs.size());
    for (const ExtendedAttribute& attribute : entry.xattrs) {
      body.text(attribute.name);
      body.bytes(attribute.value);
    }
  }
  if (entry.content.has_value()) body.id(*entry.content);
}

Result<std::uint32_t> varint32(BinaryReader& body) {
  const std::uint64_t value = TRY(body.varint());
  if (value > 0xffffffffU) return body.corrupt("number is too large");
  return static_cast<std::uint32_t>(value);
}

Status decode_owner(BinaryReader& body, Owner& owner) {
  owner.user = TRY(varint32(body));
  owner.group = TRY(varint32(body));
  owner.user_name = TRY(body.text(kMaxOwnerNameBytes));
  owner.group_name = TRY(body.text(kMaxOwnerNameBytes));
  return {};
}

Status decode_xattrs(BinaryReader& body, ListingEntry& entry) {
  const std::size_t count = TRY(body.count(2));
  if (count > kMaxXattrs) return body.corrupt("has too many extended attributes");
  entry.xattrs.resize(count);
  for (ExtendedAttribute& attribute : entry.xattrs) {
    attribute.name = TRY(body.text(kMaxXattrNameBytes));
    attribute.value = to_bytes(TRY(body.bytes()));
  }
  return {};
}

Status decode_attributes(BinaryReader& body, std::uint16_t flags, const std::optional<Owner>& previous_owner,
                         ListingEntry& entry) {
  const std::uint8_t type = TRY(body.u8());
  if (type < 1 || type > 7) return body.corrupt("unknown entry type");
  entry.type = static_cast<EntryType>(type);
  entry.mode = TRY(varint32(body));
  if ((flags & kSameOwner) != 0) {
    if (!previous_owner.has_value()) return body.corrupt("refers to an owner that was not given");
    entry.owner = *previous_owner;
  } else {
    TRY(decode_owner(body, entry.owner));
  }
  entry.modified_ns = TRY(body.i64());
  entry.size = TRY(body.varint());
  if ((flags & kProblem) != 0) {
    const std::uint8_t problem = TRY(body.u8());
    if (problem < 1 || problem > 2) return body.corrupt("unknown problem");
    entry.problem = static_cast<EntryProblem>(problem);
  }
  if (entry.type == EntryType::Symlink) entry.link_target = TRY(body.text(kMaxPathBytes));
  if (is_device(entry.type)) {
    entry.device_major = TRY(varint32(body));
    entry.device_minor = TRY(varint32(body));
  }
  if ((flags & kHardLink) != 0) {
    HardLinkId link;
    link.device = TRY(body.varint());
    link.inode = TRY(body.varint());
    entry.hard_link = link;
  }
  if ((flags & kXattrs) != 0) TRY(decode_xattrs(body, entry));
  if ((flags & kContent) != 0) entry.content = TRY(body.id<ContentId>());
  entry.sparse = (flags & kSparse) != 0;
  return {};
}

Status decode_extents(BinaryReader& body, ListingEntry& entry) {
  const std::size_t count = TRY(body.count(2));
  if (count > kMaxSlicesPerPart) return body.corrupt("part has too many extents");
  for (std::size_t i = 0; i < count; ++i) {
    DataExtent extent;
    extent.offset = TRY(body.varint());
    extent.length = TRY(body.varint());
    entry.extents.push_back(extent);
  }
  return {};
}

// As new, but for the memory it holds.
void clear(ListingEntry& entry) {
  ListingEntry fresh;
  fresh.path = std::move(entry.path);
  fresh.link_target = std::move(entry.link_target);
  fresh.xattrs = std::move(entry.xattrs);
  fresh.extents = std::move(entry.extents);
  fresh.slices = std::move(entry.slices);
  fresh.path.clear();
  fresh.link_target.clear();
  fresh.xattrs.clear();
  fresh.extents.clear();
  fresh.slices.clear();
  entry = std::move(fresh);
}

std::optional<std::string_view> path_flaw(std::string_view path) {
  if (is_safe_path(path)) return std::nullopt;
  if (path.size() > kMaxPathBytes) return "path is too long";
  std::size_t longest = 0;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    longest = std::max(longest, end - begin);
    begin = end + 1;
  }
  return longest > kMaxNameBytes ? "path holds a name of more than 255 bytes" : "path leaves the tree";
}

std::optional<std::string_view> xattrs_flaw(const std::vector<ExtendedAttribute>& xattrs) {
  if (xattrs.size() > kMaxXattrs) return "has too many extended attributes";
  std::size_t total = 0;
  for (const ExtendedAttribute& attribute : xattrs) {
    if (attribute.name.empty() || attribute.name.size() > kMaxXattrNameBytes ||
        attribute.name.find('\0') != std::string::npos) {
      return "extended attribute has a bad name";
    }
    total += attribute.name.size() + attribute.value.size();
    if (total > kMaxXattrBytes) return "extended attributes are too large";
  }
  return std::nullopt;
}

// I1.
std::optional<std::string_view> data_flaw(const ListingEntry& entry) {
  if (entry.type != EntryType::Regular) {
    const bool is_empty = !entry.sparse && !entry.content.has_value() && entry.slices.empty() && entry.extents.empty();
    return is_empty ? std::nullopt : std::optional<std::string_view>("something that is not a file holds data");
  }
  if (!entry.sparse && !entry.extents.empty()) return "extents of a file that is not sparse";
  std::uint64_t data = entry.sparse ? 0 : entry.size;
  std::uint64_t after = 0;
  for (const DataExtent& extent : entry.extents) {
    if (extent.length == 0 || extent.offset < after || extent.offset > entry.size ||
        extent.length > entry.size - extent.offset) {
      return "extents overlap or lie outside the file";
    }
    after = extent.offset + extent.length;
    data += extent.length;
  }
  std::uint64_t sliced = 0;
  for (const Slice& slice : entry.slices) {
    if (slice.length == 0) return "slice is empty";
    sliced += slice.length;
  }
  const bool may_be_absent = entry.problem != EntryProblem::None && sliced == 0;
  if (sliced != data && !may_be_absent) return "slices do not add up to the file's data";
  return std::nullopt;
}

}  // namespace

int compare_in_walk_order(std::string_view a, std::string_view b) {
  const std::size_t common = std::min(a.size(), b.size());
  // Neighbours in a tree share most of their paths: eight bytes at a time up to where they differ.
  std::size_t i = 0;
  for (; i + 8 <= common; i += 8) {
    if (std::memcmp(a.data() + i, b.data() + i, 8) != 0) break;
  }
  for (; i < common; ++i) {
    if (a[i] == b[i]) continue;
    if (a[i] == '/') return -1;
    if (b[i] == '/') return 1;
    return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]) ? -1 : 1;
  }
  return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
}

bool is_safe_path(std::string_view path) {
  if (path.empty()) return true;
  if (path.size() > kMaxPathBytes || path.find('\0') != std::string_view::npos) return false;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view component = path.substr(begin, end - begin);
    if (component.empty() || component == "." || component == ".." || component.size() > kMaxNameBytes) return false;
    if (end == path.size()) return true;
    begin = end + 1;
  }
}

std::optional<std::string_view> attributes_flaw(const ListingEntry& entry) {
  if (const auto flaw = path_flaw(entry.path)) return flaw;
  if (entry.mode > 07777) return "mode is out of range";
  if (entry.owner.user_name.size() > kMaxOwnerNameBytes || entry.owner.group_name.size() > kMaxOwnerNameBytes)
    return "name of the owner or group is too long";
  const bool is_link = entry.type == EntryType::Symlink;
  if (is_link && (entry.link_target.empty() || entry.link_target.size() > kMaxPathBytes ||
                  entry.link_target.find('\0') != std::string::npos)) {
    return "symlink has a bad target";
  }
  return xattrs_flaw(entry.xattrs);
}

std::optional<std::string_view> entry_flaw(const ListingEntry& entry) {
  const auto flaw = attributes_flaw(entry);
  return flaw.has_value() ? flaw : data_flaw(entry);
}

void ListingEncoder::reset() {
  previous_path_.clear();
  previous_owner_.reset();
  previous_chunk_.reset();
}

void ListingEncoder::encode_part(const ListingEntry& entry, std::size_t part, BinaryWriter& body) {
  const bool first = part == 0;
  const bool same_owner = first && previous_owner_.has_value() && *previous_owner_ == entry.owner;
  unsigned flags = 0;
  if (same_owner) flags |= kSameOwner;
  if (first && entry.hard_link.has_value()) flags |= kHardLink;
  if (first && !entry.xattrs.empty()) flags |= kXattrs;
  if (first && entry.content.has_value()) flags |= kContent;
  if (entry.sparse) flags |= kSparse;
  if (first && entry.problem != EntryProblem::None) flags |= kProblem;
  if (part + 1 < part_count(entry)) flags |= kMoreParts;
  if (!first) flags |= kLaterPart;
  body.u16(static_cast<std::uint16_t>(flags));
  const auto [mine, theirs] =
      std::mismatch(entry.path.begin(), entry.path.end(), previous_path_.begin(), previous_path_.end());
  const auto shared = static_cast<std::size_t>(mine - entry.path.begin());
  body.varint(shared);
  body.text(std::string_view(entry.path).substr(shared));
  if (first) {
    encode_attributes(entry, same_owner, body);
    previous_owner_ = entry.owner;
  }
  if (entry.sparse) {
    const auto extents = part_of(entry.extents, part);
    body.varint(extents.size());
    for (const DataExtent& extent : extents) {
      body.varint(extent.offset);
      body.varint(extent.length);
    }
  }
  if (entry.type == EntryType::Regular) {
    const auto slices = part_of(entry.slices, part);
    body.varint(slices.size());
    for (const Slice& slice : slices) {
      const bool same_chunk = previous_chunk_.has_value() && *previous_chunk_ == slice.chunk;
      body.u8(same_chunk ? 1 : 0);
      if (!same_chunk) body.id(slice.chunk);
      previous_chunk_ = slice.chunk;
      body.varint(slice.offset);
      body.varint(slice.length);
    }
  }
  previous_path_ = entry.path;
}

void ListingEncoder::append(const ListingEntry& entry, BinaryWriter& out, const OnRecord& on_record) {
  const std::size_t parts = part_count(entry);
  BinaryWriter body;
  for (std::size_t part = 0; part < parts; ++part) {
    body.clear();
    encode_part(entry, part, body);
    out.bytes(body.view());
    if (on_record && on_record(body.view())) reset();
  }
}

struct ListingDecoder::ChunkState {
  std::string path;
  std::optional<Owner> owner;
  std::optional<ChunkId> chunk;
};

Status ListingDecoder::decode_part(BinaryReader& body, ChunkState& state, const Sink& sink) {
  const std::uint16_t flags = TRY(body.u16());
  if ((flags & ~kKnownFlags) != 0) return body.corrupt("unknown flags");
  const std::uint64_t shared = TRY(body.varint());
  if (shared > state.path.size()) return body.corrupt("shares more of the path than there is");
  const ByteView suffix = TRY(body.bytes());
  if (suffix.size() > kMaxPathBytes) return body.corrupt("path is too long");
  state.path.resize(static_cast<std::size_t>(shared));
  state.path += as_text(suffix);
  const bool later = (flags & kLaterPart) != 0;
  if (later != inside_entry_) return body.corrupt("parts of an entry are out of order");
  if (later && (flags & ~kFlagsOfLaterParts) != 0) return body.corrupt("a later part repeats what the first one said");
  if (later) {
    if (entry_.path != state.path || entry_.sparse != ((flags & kSparse) != 0))
      return body.corrupt("parts of two entries are mixed");
  } else {
    clear(entry_);
    entry_.path = state.path;
    TRY(decode_attributes(body, flags, state.owner, entry_));
    if (const auto flaw = attributes_flaw(entry_)) return body.corrupt(*flaw);
    state.owner = entry_.owner;
  }
  if ((flags & kFlagsOfData) != 0 && entry_.type != EntryType::Regular)
    return body.corrupt("something that is not a file holds data");
  if (entry_.sparse) TRY(decode_extents(body, entry_));
  if (entry_.type == EntryType::Regular) {
    const std::size_t count = TRY(body.count(3));
    if (count > kMaxSlicesPerPart) return body.corrupt("part has too many slices");
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint8_t same = TRY(body.u8());
      if (same > 1 || (same == 1 && !state.chunk.has_value()))
        return body.corrupt("refers to a chunk that was not given");
      if (same == 0) state.chunk = TRY(body.id<ChunkId>());
      Slice slice;
      slice.chunk = *state.chunk;
      slice.offset = TRY(varint32(body));
      slice.length = TRY(varint32(body));
      entry_.slices.push_back(slice);
    }
  }
  TRY(body.end());
  inside_entry_ = (flags & kMoreParts) != 0;
  if (inside_entry_) return {};
  if (const auto flaw = data_flaw(entry_)) return body.corrupt(*flaw);
  return sink(std::move(entry_));
}

Status ListingDecoder::feed(ByteView chunk, const Sink& sink) {
  ChunkState state;
  BinaryReader reader(chunk, "listing");
  while (reader.remaining() > 0) {
    BinaryReader body(TRY(reader.bytes()), "listing record");
    TRY(decode_part(body, state, sink));
  }
  return {};
}

Status ListingDecoder::finish() {
  if (!inside_entry_) return {};
  return Error(Code::Corrupt, "listing: ends inside an entry");
}

}  // namespace exclave::format
