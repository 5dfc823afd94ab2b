// Fields: what all documents of a realm share on top of format::TextReader: ids, bounded numbers, and values made of
// several words. Hides: how strictly a word is read.
//
//   value := word (SP word)*          word := text | label "=" text         fixed order, single spaces, no repeats
//
// Units/limits: instants are seconds since 1970, 0..kLatestSeconds (the year 2255), so that nanoseconds always fit.
// Threads: functions. Errors: InvalidInput through TextReader::bad, which names document and line.
// Source: docs/formats/signed-text.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "crypto/signature.h"
#include "format/signed_text.h"

namespace exclave::policy {

constexpr std::int64_t kLatestSeconds = 9'000'000'000;
constexpr std::size_t kMostOfficials = 255;  // a share's index is a byte

// What breaks a rule, in words.
inline Error broken(std::string why) {
  return {Code::InvalidInput, std::move(why)};
}

// The words of one value, taken in order. Holds a view of the value it was opened with.
class Words {
 public:
  // `value` outlives the Words; `reader` is only asked for the line in errors.
  // InvalidInput unless there are exactly `count` words.
  static Result<Words> open(const format::TextReader& reader, std::string_view value, std::size_t count);

  // Precondition for all: fewer than `count` words were taken.
  std::string_view plain() { return words_[next_++]; }
  // The text behind "label=".
  Result<std::string_view> labelled(std::string_view label);
  Result<std::string> name(std::string_view what);
  // A number below 2^32, plain or, with a label, labelled.
  Result<std::uint32_t> u32();
  Result<std::uint32_t> u32(std::string_view label);
  Result<std::uint64_t> u64(std::string_view label);
  template <typename AnyId>
  Result<AnyId> id() {
    return id_of<AnyId>(plain());
  }
  template <typename AnyId>
  Result<AnyId> id(std::string_view label) {
    return id_of<AnyId>(TRY(labelled(label)));
  }
  Error bad(std::string_view why) const { return reader_->bad(why); }

 private:
  explicit Words(const format::TextReader& reader) : reader_(&reader) {}
  template <typename AnyId>
  Result<AnyId> id_of(std::string_view text) {
    auto id = AnyId::from_hex(text);
    if (!id.ok()) return bad(id.error().message());
    return id;
  }
  const format::TextReader* reader_;
  std::vector<std::string_view> words_;
  std::size_t next_ = 0;
};

// "none" or the id.
template <typename AnyId>
Result<std::optional<AnyId>> optional_id_field(format::TextReader& reader, std::string_view key) {
  const std::string value = TRY(reader.field(key));
  if (value == "none") return std::optional<AnyId>();
  auto id = AnyId::from_hex(value);
  if (!id.ok()) return reader.bad(id.error().message());
  return std::optional<AnyId>(id.take());
}
Result<std::uint32_t> u32_field(format::TextReader& reader, std::string_view key);
Result<std::int64_t> seconds_field(format::TextReader& reader, std::string_view key);
// A name by format::is_valid_name.
Result<std::string> name_field(format::TextReader& reader, std::string_view key);

}  // namespace exclave::policy
