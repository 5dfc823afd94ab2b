#include "pg/detail/complaints.h"

#include <fmt/format.h>

#include <algorithm>

namespace exclave::pg::detail {
namespace {

constexpr std::size_t kStateSize = 5;

bool is_state(std::string_view text) {
  return text.size() == kStateSize &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
}

struct Meaning {
  std::string_view state;  // whole, or a class of two characters
  Code code;
};

// The first that fits counts.
constexpr Meaning kMeanings[] = {
    {"28", Code::Denied},                                       // authorization
    {"42501", Code::Denied},                                    // insufficient privilege
    {"53400", Code::Precondition},                              // configuration limit: all slots taken
    {"53", Code::Unavailable},                                  // out of something: connections, memory, disk
    {"55006", Code::Unavailable},                               // object in use: the slot
    {"55", Code::Precondition},                                 // wrong state for this
    {"42704", Code::NotFound},                                  // undefined object: the slot
    {"42710", Code::AlreadyExists}, {"58P01", Code::NotFound},  // undefined file: WAL or history that is gone
    {"42601", Code::Unsupported},                               // syntax
    {"0A", Code::Unsupported},                                  // feature not supported
    {"3D", Code::InvalidInput},                                 // no such database
    {"42602", Code::InvalidInput},                              // invalid name
    {"22", Code::InvalidInput},                                 // invalid value
    {"XX001", Code::Corrupt},       {"XX002", Code::Corrupt},
    {"XX", Code::Precondition},  // what replication says of impossible positions
};

std::string hint_for(std::string_view state, std::string_view text, std::string_view role) {
  if (state == "28P01") return "The password is wrong: check the connection's password or password file.";
  if (state == "28000" && text.find("pg_hba.conf") != std::string_view::npos) {
    return fmt::format(
        "Add \"host replication {0} ADDRESS/32 scram-sha-256\" and the same for its database to "
        "pg_hba.conf, then run: select pg_reload_conf();",
        role);
  }
  if (state == "28000") return fmt::format("Run on the server: create role {} login replication password '...';", role);
  if (state == "42501") return fmt::format("Run on the server: alter role {} replication;", role);
  if (state == "53300")
    return "Raise max_wal_senders or max_connections at the server, or end connections that are not needed.";
  if (state == "53400") return "Raise max_replication_slots at the server, or drop slots that nobody uses.";
  if (state == "55006")
    return "Another receiver uses the slot: select * from pg_replication_slots shows whose process it is.";
  return "";
}

}  // namespace

Error error_for(std::string_view state, std::string text, std::string_view role) {
  const auto* meaning = std::find_if(std::begin(kMeanings), std::end(kMeanings),
                                     [&](const Meaning& m) { return state.starts_with(m.state); });
  const Code code = meaning == std::end(kMeanings) ? Code::Unavailable : meaning->code;
  std::string hint = hint_for(state, text, role);
  Error error(code, state.empty() ? std::move(text) : fmt::format("server says: {} ({})", text, state));
  return hint.empty() ? error : std::move(error).hint(std::move(hint));
}

Refusal parse_refusal(std::string_view verbose) {
  constexpr std::string_view kSeparator = ":  ";
  for (std::size_t at = verbose.find(kSeparator); at != std::string_view::npos; at = verbose.find(kSeparator, at + 1)) {
    const std::string_view rest = verbose.substr(at + kSeparator.size());
    if (rest.size() > kStateSize + 2 && is_state(rest.substr(0, kStateSize)) && rest.substr(kStateSize, 2) == ": ") {
      const std::string_view message = rest.substr(kStateSize + 2);
      return {std::string(rest.substr(0, kStateSize)), std::string(message.substr(0, message.find('\n')))};
    }
  }
  return {"", std::string(verbose.substr(0, verbose.find('\n')))};
}

}  // namespace exclave::pg::detail
