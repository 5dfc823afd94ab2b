#include "config/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace exclave::config {
namespace {

using Native = nlohmann::ordered_json;

constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxJsonDepth = 64;

bool is_valid_utf8(const std::string& text) {
  if (is_clean_utf8(text)) return true;  // the usual case, and cheap
  try {
    static_cast<void>(Native(text).dump());
    return true;
  } catch (const Native::type_error&) {
    return false;
  }
}

Error too_deep() {
  return {Code::InvalidInput, "JSON is nested too deeply"};
}

}  // namespace

// Between Json and the library's own value.
struct JsonAdapter {
  static Native to_native(const Json& json) {
    struct Converter {
      Native operator()(std::monostate) const { return nullptr; }
      Native operator()(bool value) const { return value; }
      Native operator()(std::int64_t value) const { return value; }
      Native operator()(std::uint64_t value) const { return value; }
      Native operator()(double value) const { return value; }
      Native operator()(const std::string& value) const { return is_valid_utf8(value) ? value : printable(value); }
      Native operator()(const Json::Array& elements) const {
        Native native = Native::array();
        for (const Json& element : elements) native.push_back(to_native(element));
        return native;
      }
      Native operator()(const Json::Object& members) const {
        Native native = Native::object();
        for (const auto& [key, value] : members) native[is_valid_utf8(key) ? key : printable(key)] = to_native(value);
        return native;
      }
    };
    return std::visit(Converter(), json.value_);
  }

  static Result<Json> from_native(const Native& native, std::size_t depth) {
    if (depth > kMaxJsonDepth) return too_deep();
    switch (native.type()) {
      case Native::value_t::null:
        return Json();
      case Native::value_t::boolean:
        return Json(native.get<bool>());
      case Native::value_t::number_integer:
        return Json(native.get<std::int64_t>());
      case Native::value_t::number_unsigned:
        return Json(native.get<std::uint64_t>());
      case Native::value_t::number_float:
        return Json(native.get<double>());
      case Native::value_t::string:
        return Json(native.get<std::string>());
      case Native::value_t::array: {
        Json array = Json::array();
        for (const Native& element : native) array.push(TRY(from_native(element, depth + 1)));
        return array;
      }
      case Native::value_t::object: {
        Json object = Json::object();
        for (const auto& [key, value] : native.items()) object.set(key, TRY(from_native(value, depth + 1)));
        return object;
      }
      case Native::value_t::binary:
      case Native::value_t::discarded:
        break;
    }
    return Error(Code::InvalidInput, "JSON holds something that is no value");
  }
};

Json Json::object() {
  Json json;
  json.value_ = Object();
  return json;
}

Json Json::array() {
  Json json;
  json.value_ = Array();
  return json;
}

Json& Json::set(std::string_view key, Json value) {
  CHECK(is_object());
  Object& members = *std::get_if<Object>(&value_);
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.first == key; });
  if (found != members.end()) {
    found->second = std::move(value);
  } else {
    members.emplace_back(std::string(key), std::move(value));
  }
  return *this;
}

Json& Json::push(Json value) {
  CHECK(is_array());
  std::get_if<Array>(&value_)->push_back(std::move(value));
  return *this;
}

const Json::Object& Json::members() const {
  CHECK(is_object());
  return *std::get_if<Object>(&value_);
}

const Json::Array& Json::elements() const {
  CHECK(is_array());
  return *std::get_if<Array>(&value_);
}

const std::string& Json::string() const {
  CHECK(is_string());
  return *std::get_if<std::string>(&value_);
}

bool Json::boolean() const {
  CHECK(is_bool());
  return *std::get_if<bool>(&value_);
}

std::uint64_t Json::u64() const {
  CHECK(is_u64());
  return *std::get_if<std::uint64_t>(&value_);
}

std::int64_t Json::i64() const {
  if (const auto* negative = std::get_if<std::int64_t>(&value_)) return *negative;
  const std::uint64_t value = u64();
  CHECK(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  return static_cast<std::int64_t>(value);
}

double Json::number() const {
  if (const auto* real = std::get_if<double>(&value_)) return *real;
  if (const auto* negative = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*negative);
  return static_cast<double>(u64());
}

const Json& Json::operator[](std::string_view key) const {
  static const Json kNull;
  for (const auto& [name, value] : members()) {
    if (name == key) return value;
  }
  return kNull;
}

std::string Json::dump() const {
  return JsonAdapter::to_native(*this).dump();
}
std::string Json::dump_indented() const {
  return JsonAdapter::to_native(*this).dump(2);
}

Result<Json> parse_json(std::string_view text) {
  if (text.size() > kMaxTextBytes) return Error(Code::InvalidInput, "JSON is larger than 64 MiB");
  try {
    return JsonAdapter::from_native(Native::parse(text), 0);
  } catch (const Native::exception& exception) {
    return Error(Code::InvalidInput, fmt::format("not JSON: {}", printable(exception.what())));
  }
}

}  // namespace exclave::config
