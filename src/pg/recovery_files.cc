#include "pg/recovery_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace exclave::pg {
namespace {

// Everything a recovery is steered by; none of it may survive from an earlier one.
constexpr std::array<std::string_view, 15> kRecoverySettings = {
    "restore_command",     "archive_cleanup_command", "recovery_end_command",      "recovery_min_apply_delay",
    "recovery_target",     "recovery_target_lsn",     "recovery_target_name",      "recovery_target_time",
    "recovery_target_xid", "recovery_target_action",  "recovery_target_inclusive", "recovery_target_timeline",
    "primary_conninfo",    "primary_slot_name",       "promote_trigger_file"};
// What home may have said of its own recoveries in postgresql.conf (I4). Without promote_trigger_file: a server that is
// no standby does not look at it, and PostgreSQL 16 does not start with it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kHomesOwn = {{{"recovery_end_command", ""},
                                                                                     {"archive_cleanup_command", ""},
                                                                                     {"recovery_min_apply_delay", "0"},
                                                                                     {"primary_conninfo", ""},
                                                                                     {"primary_slot_name", ""}}};

constexpr std::array<std::string_view, 5> kTargets = {"recovery_target", "recovery_target_lsn", "recovery_target_name",
                                                      "recovery_target_time", "recovery_target_xid"};
constexpr std::size_t kMaximumNameBytes = 63;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '$';
}

// The setting a line gives a value, in lower case; "" if it gives none.
std::string setting_of(std::string_view line) {
  const auto begin = std::find_if_not(line.begin(), line.end(), is_space);
  const auto end = std::find_if_not(begin, line.end(), is_name_character);
  std::string name(begin, end);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return name;
}

bool is_recovery_setting(std::string_view name) {
  return std::find(kRecoverySettings.begin(), kRecoverySettings.end(), name) != kRecoverySettings.end();
}

bool is_setting_name(std::string_view name) {
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') &&
         std::all_of(name.begin(), name.end(), is_name_character);
}

Status add(std::string& text, std::string_view name, std::string_view value) {
  text += fmt::format("{} = {}\n", name, TRY(quoted_setting(value).in([&] { return std::string(name); })));
  return {};
}

// With the microseconds that the server knows. "+00": names of time zones, also Z, are unknown while it starts.
std::string time_text(env::Timestamp time) {
  std::string text = env::to_rfc3339(time);
  text.pop_back();
  const std::int64_t microseconds = (time.nanoseconds - time.seconds() * 1'000'000'000) / 1'000;
  return fmt::format("{}.{:06}+00", text, microseconds);
}

Status add_target(std::string& text, const RecoveryTarget& target) {
  // In this order: the server refuses a second target, also an empty one, once it has seen one.
  for (const std::string_view name : kTargets) TRY(add(text, name, ""));
  if (std::holds_alternative<ToConsistent>(target)) return add(text, "recovery_target", "immediate");
  if (const auto* to = std::get_if<ToPosition>(&target)) {
    TRY(add(text, "recovery_target_lsn", to_text(to->position)));
    return add(text, "recovery_target_inclusive", "off");
  }
  if (const auto* to = std::get_if<ToRecord>(&target)) {
    TRY(add(text, "recovery_target_lsn", to_text(to->begin)));
    return add(text, "recovery_target_inclusive", "on");
  }
  if (const auto* to = std::get_if<ToTime>(&target)) return add(text, "recovery_target_time", time_text(to->time));
  if (const auto* to = std::get_if<ToRestorePoint>(&target)) {
    if (to->name.empty() || to->name.size() > kMaximumNameBytes) {
      return Error(Code::InvalidInput, fmt::format("a restore point's name has 1 to {} bytes", kMaximumNameBytes));
    }
    return add(text, "recovery_target_name", to->name);
  }
  return {};
}

std::string_view word_for(AtTarget action) {
  switch (action) {
    case AtTarget::Promote:
      return "promote";
    case AtTarget::Pause:
      return "pause";
    case AtTarget::ShutDown:
      return "shutdown";
  }
  CHECK(false);
}

}  // namespace

Result<std::string> quoted_setting(std::string_view value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\n' || c == '\r' || c == '\0')
      return Error(Code::InvalidInput, "a setting's value holds a line break or NUL");
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

std::string auto_conf_without_recovery(std::string_view present) {
  std::string text;
  for (const std::string_view line : split(present, '\n')) {
    if (is_recovery_setting(setting_of(line))) continue;
    text.append(line).append("\n");
  }
  // The piece after the last line break is no line.
  if (text.ends_with("\n") && (present.empty() || present.ends_with('\n'))) text.pop_back();
  return text;
}

Result<std::string> auto_conf_for_recovery(std::string_view present, const RecoverySettings& settings) {
  std::string text = auto_conf_without_recovery(present);
  if (settings.restore_command.empty()) return Error(Code::InvalidInput, "a recovery needs a restore command");
  TRY(add(text, "restore_command", settings.restore_command));
  for (const auto& [name, value] : kHomesOwn) TRY(add(text, name, value));
  TRY(add_target(text, settings.target));
  TRY(add(text, "recovery_target_timeline", settings.timeline ? to_text(*settings.timeline) : "latest"));
  TRY(add(text, "recovery_target_action", word_for(settings.at_target)));
  for (const auto& [name, value] : settings.further) {
    if (!is_setting_name(name)) return Error(Code::InvalidInput, "not the name of a setting: " + printable(name));
    if (is_recovery_setting(setting_of(name))) {
      return Error(Code::InvalidInput, name + " is a setting of the recovery itself");
    }
    TRY(add(text, name, value));
  }
  return text;
}

}  // namespace exclave::pg
