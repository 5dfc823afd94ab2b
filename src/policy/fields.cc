#include "policy/fields.h"

#include <limits>

namespace exclave::policy {
namespace {

Result<std::uint64_t> number_up_to(const format::TextReader& reader, std::string_view text, std::uint64_t most) {
  auto number = parse_u64(text);
  if (!number.ok()) return reader.bad(number.error().message());
  if (number.value() > most) return reader.bad("'" + printable(text) + "' is above " + std::to_string(most));
  return number;
}

constexpr std::uint64_t kMostU32 = std::numeric_limits<std::uint32_t>::max();

}  // namespace

Result<Words> Words::open(const format::TextReader& reader, std::string_view value, std::size_t count) {
  Words words(reader);
  words.words_ = split(value, ' ');
  if (words.words_.size() != count) {
    return reader.bad("has " + std::to_string(words.words_.size()) + " words separated by single spaces instead of " +
                      std::to_string(count));
  }
  return words;
}

Result<std::string_view> Words::labelled(std::string_view label) {
  std::string_view word = plain();
  if (!word.starts_with(label) || word.size() <= label.size() || word[label.size()] != '=') {
    return bad("expected '" + std::string(label) + "=...', found '" + printable(word) + "'");
  }
  word.remove_prefix(label.size() + 1);
  return word;
}

Result<std::string> Words::name(std::string_view what) {
  const std::string_view word = plain();
  if (!format::is_valid_name(word)) return bad(std::string(what) + " name '" + printable(word) + "' is not usable");
  return std::string(word);
}

Result<std::uint32_t> Words::u32() {
  return static_cast<std::uint32_t>(TRY(number_up_to(*reader_, plain(), kMostU32)));
}

Result<std::uint32_t> Words::u32(std::string_view label) {
  const std::string_view text = TRY(labelled(label));
  return static_cast<std::uint32_t>(TRY(number_up_to(*reader_, text, kMostU32)));
}

Result<std::uint64_t> Words::u64(std::string_view label) {
  const std::string_view text = TRY(labelled(label));
  return number_up_to(*reader_, text, std::numeric_limits<std::uint64_t>::max());
}

Result<std::uint32_t> u32_field(format::TextReader& reader, std::string_view key) {
  const std::string value = TRY(reader.field(key));
  return static_cast<std::uint32_t>(TRY(number_up_to(reader, value, kMostU32)));
}

Result<std::int64_t> seconds_field(format::TextReader& reader, std::string_view key) {
  constexpr auto kMost = static_cast<std::uint64_t>(kLatestSeconds);
  const std::string value = TRY(reader.field(key));
  return static_cast<std::int64_t>(TRY(number_up_to(reader, value, kMost)));
}

Result<std::string> name_field(format::TextReader& reader, std::string_view key) {
  std::string value = TRY(reader.field(key));
  if (!format::is_valid_name(value)) {
    return reader.bad(std::string(key) + " name '" + printable(value) + "' is not usable");
  }
  return value;
}

}  // namespace exclave::policy
