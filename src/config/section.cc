#include "config/section.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <variant>

#include "base/text.h"
#include "config/detail/section_value.h"
#include "config/quantity.h"

namespace exclave::config {
namespace {

std::string_view name_of_type(const Section::Value& value) {
  struct Namer {
    std::string_view operator()(const std::string&) const { return "a string"; }
    std::string_view operator()(std::int64_t) const { return "an integer"; }
    std::string_view operator()(bool) const { return "a boolean"; }
    std::string_view operator()(const std::unique_ptr<Section>&) const { return "a table"; }
    std::string_view operator()(const std::vector<Section::Value>&) const { return "an array"; }
    std::string_view operator()(const Section::Value::Other& other) const { return other.type_name; }
  };
  return std::visit(Namer(), value.content);
}

// Number of insertions, deletions and substitutions that turn one word into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::string known_keys_for(std::string_view key, const std::set<std::string, std::less<>>& known) {
  constexpr std::size_t kComparedBytes = 64;  // bounds the work for hostile keys
  const std::string_view compared = key.substr(0, kComparedBytes);
  const auto nearer = [&](const std::string& a, const std::string& b) {
    return edit_distance(compared, a) < edit_distance(compared, b);
  };
  const auto nearest = std::min_element(known.begin(), known.end(), nearer);
  if (nearest == known.end()) return "no key is known here";
  if (edit_distance(compared, *nearest) <= std::max<std::size_t>(2, nearest->size() / 3)) {
    return fmt::format("did you mean '{}'?", *nearest);
  }
  return fmt::format("known here: {}", fmt::join(known, ", "));
}

template <typename T>
std::optional<T> value_as(const Section::Value& value) {
  const T* content = std::get_if<T>(&value.content);
  return content == nullptr ? std::optional<T>() : *content;
}

}  // namespace

Section::Section(std::string source, std::string path, std::uint32_t line)
    : source_(std::move(source)), path_(std::move(path)), line_(line) {}
Section::~Section() = default;

std::string Section::full_path(std::string_view key) const {
  return printable(path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key));
}

Result<Section::Found> Section::find(std::string_view path) {
  Found found{this, "", nullptr};
  const std::vector<std::string_view> keys = split(path, '.');
  for (std::size_t i = 0; i < keys.size(); ++i) {
    found.key = keys[i];
    found.section->known_.emplace(keys[i]);
    const auto at = found.section->values_.find(keys[i]);
    if (at == found.section->values_.end()) {
      found.value = nullptr;
      return found;
    }
    found.value = at->second.get();
    if (i + 1 == keys.size()) break;
    const auto* table = std::get_if<std::unique_ptr<Section>>(&found.value->content);
    if (table == nullptr) return wrong_type(found, "a table");
    found.section = table->get();
  }
  return found;
}

Error Section::wrong_type(const Found& found, std::string_view wanted) const {
  return {Code::InvalidInput, fmt::format("{}:{}: {} must be {}, not {}", source_, found.value->line,
                                          found.section->full_path(found.key), wanted, name_of_type(*found.value))};
}

Error Section::missing(std::string_view path) const {
  return {Code::InvalidInput, fmt::format("{}:{}: {} is missing", source_, line_, full_path(path))};
}

const Section::Value* Section::look_up(std::string_view path) const {
  const Section* section = this;
  const Value* value = nullptr;
  for (const std::string_view key : split(path, '.')) {
    const auto at = section->values_.find(key);
    if (at == section->values_.end()) return nullptr;
    value = at->second.get();
    const auto* table = std::get_if<std::unique_ptr<Section>>(&value->content);
    if (table != nullptr) section = table->get();
  }
  return value;
}

Error Section::error_at(std::string_view path, std::string_view message) const {
  const Value* value = look_up(path);
  return {Code::InvalidInput,
          fmt::format("{}:{}: {} {}", source_, value == nullptr ? line_ : value->line, full_path(path), message)};
}

Result<std::optional<std::string>> Section::optional_string(std::string_view path) {
  const Found found = TRY(find(path));
  if (found.value == nullptr) return std::optional<std::string>();
  std::optional<std::string> text = value_as<std::string>(*found.value);
  if (!text) return wrong_type(found, "a string");
  return text;
}

Result<std::optional<std::uint64_t>> Section::optional_u64(std::string_view path, const Bounds& bounds) {
  const Found found = TRY(find(path));
  if (found.value == nullptr) return std::optional<std::uint64_t>();
  const std::optional<std::int64_t> number = value_as<std::int64_t>(*found.value);
  if (!number) return wrong_type(found, "an integer");
  const auto magnitude = static_cast<std::uint64_t>(*number);
  if (*number < 0 || magnitude < bounds.least || magnitude > bounds.most) {
    return error_at(path, fmt::format("must be between {} and {}, not {}", bounds.least, bounds.most, *number));
  }
  return std::optional<std::uint64_t>(magnitude);
}

Result<std::optional<bool>> Section::optional_bool(std::string_view path) {
  const Found found = TRY(find(path));
  if (found.value == nullptr) return std::optional<bool>();
  const std::optional<bool> flag = value_as<bool>(*found.value);
  if (!flag) return wrong_type(found, "a boolean");
  return flag;
}

Result<std::optional<std::uint64_t>> Section::optional_size(std::string_view path) {
  const Found found = TRY(find(path));
  if (found.value == nullptr) return std::optional<std::uint64_t>();
  const std::optional<std::string> text = value_as<std::string>(*found.value);
  if (!text) return wrong_type(found, "a size with a unit, such as \"20 GB\"");
  const Result<std::uint64_t> bytes = parse_size(*text);
  if (!bytes.ok()) return error_at(path, bytes.error().message());
  return std::optional<std::uint64_t>(bytes.value());
}

Result<std::optional<std::chrono::milliseconds>> Section::optional_duration(std::string_view path) {
  const Found found = TRY(find(path));
  if (found.value == nullptr) return std::optional<std::chrono::milliseconds>();
  const std::optional<std::string> text = value_as<std::string>(*found.value);
  if (!text) return wrong_type(found, "a duration with a unit, such as \"90 s\"");
  const Result<std::chrono::milliseconds> duration = parse_duration(*text);
  if (!duration.ok()) return error_at(path, duration.error().message());
  return std::optional<std::chrono::milliseconds>(duration.value());
}

Result<std::string> Section::require_string(std::string_view path) {
  std::optional<std::string> value = TRY(optional_string(path));
  if (!value) return missing(path);
  return *std::move(value);
}

Result<std::uint64_t> Section::require_u64(std::string_view path, const Bounds& bounds) {
  const std::optional<std::uint64_t> value = TRY(optional_u64(path, bounds));
  if (!value) return missing(path);
  return *value;
}

Result<bool> Section::require_bool(std::string_view path) {
  const std::optional<bool> value = TRY(optional_bool(path));
  if (!value) return missing(path);
  return *value;
}

Result<std::uint64_t> Section::require_size(std::string_view path) {
  const std::optional<std::uint64_t> value = TRY(optional_size(path));
  if (!value) return missing(path);
  return *value;
}

Result<std::chrono::milliseconds> Section::require_duration(std::string_view path) {
  const std::optional<std::chrono::milliseconds> value = TRY(optional_duration(path));
  if (!value) return missing(path);
  return *value;
}

Result<std::vector<std::string>> Section::strings(std::string_view path) {
  const Found found = TRY(find(path));
  if (found.value == nullptr) return std::vector<std::string>();
  const auto* array = std::get_if<std::vector<Value>>(&found.value->content);
  if (array == nullptr) return wrong_type(found, "an array of strings");
  std::vector<std::string> strings;
  for (const Value& element : *array) {
    std::optional<std::string> text = value_as<std::string>(element);
    if (!text) return wrong_type({found.section, found.key, &element}, "an array of strings");
    strings.push_back(*std::move(text));
  }
  return strings;
}

Result<Section*> Section::require_section(std::string_view path) {
  const Found found = TRY(find(path));
  if (found.value == nullptr) return missing(path);
  const auto* table = std::get_if<std::unique_ptr<Section>>(&found.value->content);
  if (table == nullptr) return wrong_type(found, "a table");
  return table->get();
}

Result<std::vector<Section*>> Section::sections(std::string_view path) {
  const Found found = TRY(find(path));
  if (found.value == nullptr) return std::vector<Section*>();
  const auto* array = std::get_if<std::vector<Value>>(&found.value->content);
  if (array == nullptr) return wrong_type(found, "an array of tables");
  std::vector<Section*> sections;
  for (const Value& element : *array) {
    const auto* table = std::get_if<std::unique_ptr<Section>>(&element.content);
    if (table == nullptr) return wrong_type({found.section, found.key, &element}, "an array of tables");
    sections.push_back(table->get());
  }
  return sections;
}

Result<std::vector<std::pair<std::string, Section*>>> Section::named_sections(std::string_view path) {
  const Found found = TRY(find(path));
  std::vector<std::pair<std::string, Section*>> sections;
  if (found.value == nullptr) return sections;
  const auto* outer = std::get_if<std::unique_ptr<Section>>(&found.value->content);
  if (outer == nullptr) return wrong_type(found, "a table");
  for (const auto& [name, value] : (*outer)->values_) {
    (*outer)->known_.insert(name);
    const auto* table = std::get_if<std::unique_ptr<Section>>(&value->content);
    if (table == nullptr) return wrong_type({outer->get(), name, value.get()}, "a table");
    sections.emplace_back(name, table->get());
  }
  return sections;
}

Error Section::unknown_key(const std::string& key, const Value& value) const {
  return {Code::InvalidInput,
          fmt::format("{}:{}: unknown key {}; {}", source_, value.line, full_path(key), known_keys_for(key, known_))};
}

Status Section::finish() const {
  for (const auto& [key, value] : values_) {
    if (!known_.contains(key)) return unknown_key(key, *value);
  }
  for (const auto& [key, value] : values_) {
    if (const auto* table = std::get_if<std::unique_ptr<Section>>(&value->content)) TRY((*table)->finish());
    const auto* array = std::get_if<std::vector<Value>>(&value->content);
    if (array == nullptr) continue;
    for (const Value& element : *array) {
      if (const auto* table = std::get_if<std::unique_ptr<Section>>(&element.content)) TRY((*table)->finish());
    }
  }
  return {};
}

}  // namespace exclave::config
