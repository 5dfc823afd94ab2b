// Binary records: a writer and a bounded reader. Integers big-endian; varints are LEB128, shortest form only.
// Hides: bounds checks. I1  A reader never reads past its view and never allocates more than the view holds.
// Errors: Corrupt, naming the record given at construction.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/tagged.h"

namespace exclave::format {

class BinaryWriter {
 public:
  void u8(std::uint8_t v) { bytes_.push_back(v); }
  void u16(std::uint16_t v);
  void u32(std::uint32_t v);
  void u64(std::uint64_t v);
  void i64(std::int64_t v) { u64(static_cast<std::uint64_t>(v)); }
  void varint(std::uint64_t v);
  void raw(ByteView v) { append(bytes_, v); }
  void bytes(ByteView v);  // varint length, then the bytes
  void text(std::string_view v) { bytes(as_bytes(v)); }
  template <std::size_t N, typename Tag>
  void id(const Id<N, Tag>& v) {
    raw(v.view());
  }
  // For what holds a secret: within `bytes` nothing is copied to a larger place, and so nothing left in the old one.
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }
  std::size_t size() const { return bytes_.size(); }
  ByteView view() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }
  void clear() { bytes_.clear(); }

 private:
  Bytes bytes_;
};

class BinaryReader {
 public:
  // `what` names the record in errors and outlives the reader.
  BinaryReader(ByteView view, std::string_view what) : view_(view), what_(what) {}
  Result<std::uint8_t> u8();
  Result<std::uint16_t> u16();
  Result<std::uint32_t> u32();
  Result<std::uint64_t> u64();
  Result<std::int64_t> i64();
  Result<std::uint64_t> varint();
  Result<ByteView> raw(std::size_t size);  // into the view
  Result<ByteView> bytes();                // into the view
  Result<std::string> text(std::size_t limit);
  template <typename AnyId>
  Result<AnyId> id() {
    return AnyId::from_view(TRY(raw(AnyId::kSize)));
  }
  // A count of items that take at least `item_bytes` each: refused if they cannot fit in what is left.
  Result<std::size_t> count(std::size_t item_bytes);
  std::size_t remaining() const { return view_.size(); }
  Status end() const;  // Corrupt if bytes are left
  Error corrupt(std::string_view why) const;

 private:
  ByteView view_;
  std::string_view what_;
};

}  // namespace exclave::format
