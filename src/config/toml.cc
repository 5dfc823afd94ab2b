// The only file that knows toml++: turns its nodes into Sections.
#define TOML_EXCEPTIONS 0
#include <toml++/impl/preprocessor.h>
// toml++ asserts (and, with NDEBUG, lets the compiler assume) that a table's name starts like a name, before its own
// check of that: "[?" would abort the program, or do anything. Without the assertion the check answers.
#undef TOML_ASSERT_ASSUME
#define TOML_ASSERT_ASSUME(expr) static_assert(true)
#include <toml++/toml.h>

#include <fmt/format.h>

#include "base/text.h"
#include "config/detail/section_value.h"
#include "config/section.h"

namespace exclave::config {
namespace {

// toml++ itself refuses deeper nesting of values, but not of dotted keys.
constexpr std::size_t kMaxDepth = 32;

class Converter {
 public:
  explicit Converter(std::string source) : source_(std::move(source)) {}

  Status fill(Section& section, const toml::table& table, const std::string& path, std::uint32_t line,
              std::size_t depth) const {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const std::string full = path.empty() ? name : path + "." + name;
      SectionBuilder::add(section, name, TRY(convert(node, full, line, depth)));
    }
    return {};
  }

 private:
  Result<Section::Value> convert(const toml::node& node, const std::string& path, std::uint32_t outer_line,
                                 std::size_t depth) const {
    const std::uint32_t own_line = node.source().begin.line;
    Section::Value value;
    value.line = own_line == 0 ? outer_line : own_line;  // tables that only dotted keys make have no line
    if (depth > kMaxDepth) {
      return Error(Code::InvalidInput, fmt::format("{}:{}: tables are nested too deeply", source_, value.line));
    }
    if (const auto* table = node.as_table()) {
      auto inner = std::make_unique<Section>(source_, path, value.line);
      TRY(fill(*inner, *table, path, value.line, depth + 1));
      value.content = std::move(inner);
    } else if (const auto* array = node.as_array()) {
      std::vector<Section::Value> elements;
      for (const toml::node& element : *array) elements.push_back(TRY(convert(element, path, value.line, depth + 1)));
      value.content = std::move(elements);
    } else if (const auto* text = node.as_string()) {
      value.content = text->get();
    } else if (const auto* number = node.as_integer()) {
      value.content = number->get();
    } else if (const auto* flag = node.as_boolean()) {
      value.content = flag->get();
    } else {
      value.content = Section::Value::Other{node.is_floating_point() ? "a floating-point number" : "a date or time"};
    }
    return value;
  }

  const std::string source_;
};

}  // namespace

Result<std::unique_ptr<Section>> parse_toml(std::string_view text, std::string_view source_name) {
  const std::string source = printable(source_name);
  if (text.size() > kMaxConfigBytes) {
    return Error(Code::InvalidInput, fmt::format("{} is larger than 1 MiB", source));
  }
  const toml::parse_result parsed = toml::parse(text, source);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return Error(Code::InvalidInput,
                 fmt::format("{}:{}: {}", source, error.source().begin.line, printable(error.description())));
  }
  auto root = std::make_unique<Section>(source, "", 1);
  TRY(Converter(source).fill(*root, parsed.table(), "", 1, 0));
  return root;
}

}  // namespace exclave::config
