#include "http/message.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::http {
namespace {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

bool is_path_character(char c) {
  return is_alphanumeric(c) || std::string_view("/._~-").find(c) != std::string_view::npos;
}

bool is_query_character(char c) {
  return is_path_character(c) || c == '&' || c == '=';
}

bool is_token_character(char c) {
  return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const Header& line : lines_) {
    if (equal_without_case(line.name, name)) return line.value;
  }
  return std::nullopt;
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(
      lines_.begin(), lines_.end(), [&](const Header& line) { return equal_without_case(line.name, name); }));
}

bool has_token(const Headers& headers, std::string_view name, std::string_view token) {
  for (const Header& line : headers.lines()) {
    if (!equal_without_case(line.name, name)) continue;
    for (const std::string_view item : split(line.value, ',')) {
      if (equal_without_case(trimmed(item), token)) return true;
    }
  }
  return false;
}

std::string_view RequestHead::query() const {
  const std::size_t mark = target.find('?');
  return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

bool is_valid_target(std::string_view target) {
  if (!target.starts_with('/')) return false;
  const std::size_t mark = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, mark);
  if (!std::all_of(path.begin(), path.end(), is_path_character)) return false;
  for (const std::string_view segment : split(path, '/')) {
    if (segment == "." || segment == "..") return false;
  }
  const std::string_view query = mark == target.size() ? std::string_view() : target.substr(mark + 1);
  return std::all_of(query.begin(), query.end(), is_query_character);
}

bool is_valid_header(const Header& header) {
  if (header.name.empty() || !std::all_of(header.name.begin(), header.name.end(), is_token_character)) return false;
  return trimmed(header.value) == header.value &&
         std::all_of(header.value.begin(), header.value.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace exclave::http
