#include "custody/detail/key_text.h"

#include <algorithm>

#include "base/text.h"
#include "format/signed_text.h"
#include "policy/fields.h"

namespace exclave::custody::detail {

KeyTextWriter::KeyTextWriter(std::string_view domain) : buffer_(kMostKeyFileBytes) {
  add(domain);
  add("\n");
}

void KeyTextWriter::add(std::string_view text) {
  CHECK(text.size() <= kMostKeyFileBytes - size_);
  std::copy(text.begin(), text.end(), buffer_.mutable_view().begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += text.size();
}

void KeyTextWriter::add_hex(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  CHECK(bytes.size() * 2 <= kMostKeyFileBytes - size_);
  for (const Byte byte : bytes) {
    buffer_.mutable_view()[size_++] = static_cast<Byte>(kDigits[byte >> 4]);
    buffer_.mutable_view()[size_++] = static_cast<Byte>(kDigits[byte & 15]);
  }
}

KeyTextWriter& KeyTextWriter::field(std::string_view key, std::string_view value) {
  CHECK(format::is_valid_text_value(value));
  add(key);
  add(" ");
  add(value);
  add("\n");
  return *this;
}

KeyTextWriter& KeyTextWriter::field(std::string_view key, std::uint64_t value) {
  return field(key, std::to_string(value));
}

KeyTextWriter& KeyTextWriter::secret_field(std::string_view key, ByteView secret) {
  add(key);
  add(" ");
  add_hex(secret);
  add("\n");
  return *this;
}

KeyTextWriter& KeyTextWriter::period_field(std::uint32_t period, ByteView symmetric, ByteView encapsulation) {
  add("period ");
  add(std::to_string(period));
  add(" ");
  add_hex(symmetric);
  add(" ");
  add_hex(encapsulation);
  add("\n");
  return *this;
}

Result<KeyTextReader> KeyTextReader::open(crypto::SecretBytes document, std::string_view domain, std::string source) {
  KeyTextReader reader;
  reader.document_ = std::move(document);
  reader.source_ = std::move(source);
  format::ScannedText scanned = TRY(format::scan_text(reader.document_.view(), domain, reader.source_));
  if (scanned.size != reader.document_.view().size()) {
    return Error(Code::InvalidInput, reader.source_ + ": line " + std::to_string(scanned.fields.size() + 2) +
                                         ": is empty, and key files carry no signatures");
  }
  reader.fields_ = std::move(scanned.fields);
  return reader;
}

bool KeyTextReader::next_is(std::string_view key) const {
  return next_ < fields_.size() && fields_[next_].key == key;
}

Result<std::string_view> KeyTextReader::field(std::string_view key) {
  if (!next_is(key)) {
    return Error(Code::InvalidInput,
                 source_ + ": line " + std::to_string(next_ + 2) + ": expected '" + std::string(key) + "'");
  }
  return fields_[next_++].value;
}

Result<std::uint32_t> KeyTextReader::u32(std::string_view key) {
  auto number = parse_u32(TRY(field(key)));
  if (!number.ok()) return bad("holds no whole number below 2^32");
  return number;
}

Result<std::int64_t> KeyTextReader::seconds(std::string_view key) {
  auto number = parse_i64(TRY(field(key)));
  if (!number.ok() || number.value() < 0 || number.value() > policy::kLatestSeconds) {
    return bad("holds no number of seconds between 1970 and 2255");
  }
  return number;
}

Status KeyTextReader::end() const {
  if (next_ == fields_.size()) return {};
  return Error(Code::InvalidInput, source_ + ": line " + std::to_string(next_ + 2) + ": unexpected field");
}

Error KeyTextReader::bad(std::string_view why) const {
  return {Code::InvalidInput, source_ + ": line " + std::to_string(next_ + 1) + ": " + std::string(why)};
}

}  // namespace exclave::custody::detail
