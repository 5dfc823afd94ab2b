#include "pg/detail/tar_reader.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace exclave::pg::detail {
namespace {

constexpr std::size_t kNameBytes = 100;
constexpr std::uint64_t kMaximumSize = std::uint64_t{1} << 50;
constexpr std::uint64_t kMaximumTime = std::uint64_t{1} << 33;  // in the year 2242: what nanoseconds can hold
constexpr std::uint64_t kEndBytes = 1'024;

struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, kNameBytes};
constexpr Field kMode{100, 8};
constexpr Field kSize{124, 12};
constexpr Field kTime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kTypeOffset = 156;
constexpr Field kLink{157, kNameBytes};
constexpr Field kMagic{257, 8};
constexpr Field kPrefix{345, 155};
constexpr std::string_view kUstar{"ustar\00000", 8};

ByteView at(ByteView header, Field field) {
  return header.subspan(field.offset, field.size);
}

Error bad_archive(std::string_view what) {
  return {Code::Corrupt, "backup archive: " + std::string(what)};
}

// Octal digits and a space, or, for what does not fit, a byte 0x80 and a big-endian number.
std::optional<std::uint64_t> number(ByteView field) {
  std::uint64_t value = 0;
  if (field[0] == 0x80) {
    for (const Byte byte : field.subspan(1)) {
      if (value >> 56 != 0) return std::nullopt;
      value = value << 8 | byte;
    }
    return value;
  }
  if (field.back() != ' ') return std::nullopt;
  for (const Byte digit : field.first(field.size() - 1)) {
    if (digit < '0' || digit > '7') return std::nullopt;
    value = value << 3 | static_cast<std::uint64_t>(digit - '0');  // at most 11 digits: 33 bits
  }
  return value;
}

// Text up to the first NUL; nothing may follow it.
std::optional<std::string> text(ByteView field) {
  const auto end = std::find(field.begin(), field.end(), Byte{0});
  if (end == field.end() || std::any_of(end, field.end(), [](Byte b) { return b != 0; })) return std::nullopt;
  return std::string(field.begin(), end);
}

std::uint64_t sum_of(ByteView header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool is_checksum = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += is_checksum ? std::uint64_t{' '} : header[i];
  }
  return sum;
}

std::optional<EntryType> type_of(Byte flag) {
  if (flag == '0' || flag == 0) return EntryType::File;
  if (flag == '2') return EntryType::Symlink;
  if (flag == '5') return EntryType::Directory;
  return std::nullopt;
}

Result<BackupEntry> parse_header(ByteView header) {
  const auto checksum = number(at(header, kChecksum));
  if (!checksum || *checksum != sum_of(header)) return bad_archive("a header's checksum is wrong");
  if (as_text(at(header, kMagic)) != kUstar || !is_all_zero(at(header, kPrefix)))
    return bad_archive("not a ustar header");
  BackupEntry entry;
  const auto type = type_of(header[kTypeOffset]);
  if (!type) return bad_archive("an entry of an unknown type");
  entry.type = *type;
  const auto name = text(at(header, kName));
  const auto link = text(at(header, kLink));
  if (!name || !link) return bad_archive("a name that is not ended");
  entry.path = name->starts_with("./") ? name->substr(2) : *name;  // the server writes "./pg_wal/archive_status"
  if (entry.type != EntryType::File && entry.path.ends_with('/')) entry.path.pop_back();
  if (!is_backup_path(entry.path)) return bad_archive("refused path \"" + printable(entry.path) + "\"");
  const auto mode = number(at(header, kMode));
  const auto size = number(at(header, kSize));
  const auto time = number(at(header, kTime));
  if (!mode || !size || !time || *mode > 07777 || *size > kMaximumSize || *time > kMaximumTime) {
    return bad_archive("impossible mode, size or time of " + printable(entry.path));
  }
  if (entry.type != EntryType::File && *size != 0) return bad_archive("data in an entry that is no file");
  if ((entry.type == EntryType::Symlink) == link->empty())
    return bad_archive("a link target where none belongs, or none");
  entry.mode = static_cast<std::uint32_t>(*mode);
  entry.size = *size;
  entry.modified = env::Timestamp::from_seconds(static_cast<std::int64_t>(*time));
  entry.link_target = *link;
  return entry;
}

}  // namespace

bool is_backup_path(std::string_view path) {
  if (path.empty()) return false;
  const bool has_control = std::any_of(path.begin(), path.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
  if (has_control) return false;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

Result<TarEvent> TarReader::take_header() {
  header_have_ = 0;
  if (is_all_zero(header_)) {
    state_ = State::Trailer;
    trailer_bytes_ = kBlockBytes;
    return TarEvent(TarNeedsMore{});
  }
  TarEntry begins{TRY(parse_header(header_))};
  data_left_ = begins.entry.size;
  padding_left_ = (kBlockBytes - data_left_ % kBlockBytes) % kBlockBytes;
  state_ = data_left_ == 0 ? State::EntryEnd : State::Data;
  return TarEvent(std::move(begins));
}

Result<TarEvent> TarReader::next(ByteView& bytes) {
  if (state_ == State::EntryEnd) {
    state_ = padding_left_ == 0 ? State::Header : State::Padding;
    return TarEvent(TarEntryEnds{});
  }
  while (!bytes.empty()) {
    const auto take = [&bytes](std::uint64_t limit) {
      const ByteView taken = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(limit, bytes.size())));
      bytes = bytes.subspan(taken.size());
      return taken;
    };
    if (state_ == State::Data) {
      const ByteView data = take(data_left_);
      data_left_ -= data.size();
      if (data_left_ == 0) state_ = State::EntryEnd;
      return TarEvent(TarData{data});
    }
    if (state_ == State::Padding) {
      const ByteView zeros = take(padding_left_);
      if (!is_all_zero(zeros)) return bad_archive("padding is not zero");
      padding_left_ -= zeros.size();
      if (padding_left_ == 0) state_ = State::Header;
      continue;
    }
    if (state_ == State::Trailer) {
      const ByteView zeros = take(bytes.size());
      if (!is_all_zero(zeros)) return bad_archive("bytes after its end");
      trailer_bytes_ += zeros.size();
      continue;
    }
    const ByteView part = take(kBlockBytes - header_have_);
    std::copy(part.begin(), part.end(), header_.begin() + static_cast<std::ptrdiff_t>(header_have_));
    header_have_ += part.size();
    if (header_have_ < kBlockBytes) continue;
    TarEvent event = TRY(take_header());
    if (!std::holds_alternative<TarNeedsMore>(event)) return event;
  }
  return TarEvent(TarNeedsMore{});
}

Status TarReader::finish() const {
  if (state_ == State::Trailer && trailer_bytes_ >= kEndBytes && trailer_bytes_ % kBlockBytes == 0) return {};
  return bad_archive("it ends in the middle");
}

}  // namespace exclave::pg::detail
