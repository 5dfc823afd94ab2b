#include "format/binary.h"

#include <array>

namespace exclave::format {

void BinaryWriter::u16(std::uint16_t v) {
  std::array<Byte, 2> b{};
  store_u16(b, v);
  raw(b);
}
void BinaryWriter::u32(std::uint32_t v) {
  std::array<Byte, 4> b{};
  store_u32(b, v);
  raw(b);
}
void BinaryWriter::u64(std::uint64_t v) {
  std::array<Byte, 8> b{};
  store_u64(b, v);
  raw(b);
}
void BinaryWriter::varint(std::uint64_t v) {
  while (v >= 0x80) {
    bytes_.push_back(static_cast<Byte>(v | 0x80));
    v >>= 7;
  }
  bytes_.push_back(static_cast<Byte>(v));
}
void BinaryWriter::bytes(ByteView v) {
  varint(v.size());
  raw(v);
}

Error BinaryReader::corrupt(std::string_view why) const {
  return Error(Code::Corrupt, std::string(what_) + ": " + std::string(why));
}
Result<ByteView> BinaryReader::raw(std::size_t size) {
  if (size > view_.size()) return corrupt("ends too early");
  const ByteView part = view_.first(size);
  view_ = view_.subspan(size);
  return part;
}
Result<std::uint8_t> BinaryReader::u8() {
  return TRY(raw(1))[0];
}
Result<std::uint16_t> BinaryReader::u16() {
  return load_u16(TRY(raw(2)));
}
Result<std::uint32_t> BinaryReader::u32() {
  return load_u32(TRY(raw(4)));
}
Result<std::uint64_t> BinaryReader::u64() {
  return load_u64(TRY(raw(8)));
}
Result<std::int64_t> BinaryReader::i64() {
  return static_cast<std::int64_t>(TRY(u64()));
}
Result<std::uint64_t> BinaryReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const Byte b = TRY(u8());
    if (shift == 63 && b > 1) return corrupt("number is too large");
    value |= static_cast<std::uint64_t>(b & 0x7f) << shift;
    if ((b & 0x80) == 0) {
      if (b == 0 && shift > 0) return corrupt("number is not in its shortest form");
      return value;
    }
  }
  return corrupt("number is too long");
}
Result<ByteView> BinaryReader::bytes() {
  const std::uint64_t size = TRY(varint());
  if (size > view_.size()) return corrupt("ends too early");
  return raw(static_cast<std::size_t>(size));
}
Result<std::string> BinaryReader::text(std::size_t limit) {
  const ByteView view = TRY(bytes());
  if (view.size() > limit) return corrupt("text is too long");
  return std::string(as_text(view));
}
Result<std::size_t> BinaryReader::count(std::size_t item_bytes) {
  const std::uint64_t n = TRY(varint());
  if (n > view_.size() / item_bytes) return corrupt("claims more items than it holds");
  return static_cast<std::size_t>(n);
}
Status BinaryReader::end() const {
  if (!view_.empty()) return corrupt("has bytes after its end");
  return {};
}

}  // namespace exclave::format
