#include "agent/server_watch.h"

#include <utility>

namespace exclave::agent {
namespace {

// The server's checkpointer tells all others that commits wait; it hears of new settings between two of its steps.
constexpr std::chrono::seconds kSettles(10);

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

pg::Endpoint looking(pg::Endpoint endpoint) {
  endpoint.application_name = "exclave_look";
  return endpoint;
}

}  // namespace

bool names_alone(std::string_view names, std::string_view own) {
  std::string list;
  bool is_quoted = false;
  for (const char c : in_lower_case(names)) {
    if (c == '"') is_quoted = !is_quoted;
    if (c != '"' && (is_quoted || c != ' ')) list += c;
  }
  for (const std::string_view begin : {"first1(", "any1(", "1("}) {
    if (!list.starts_with(begin) || !list.ends_with(")")) continue;
    list = list.substr(begin.size(), list.size() - begin.size() - 1);
    break;
  }
  return list == in_lower_case(own);
}

ServerWatch::ServerWatch(env::Clock& clock, pg::Endpoint endpoint, std::string slot, CutGate& gate)
    : clock_(clock),
      endpoint_(looking(endpoint)),
      own_name_(endpoint.application_name),
      slot_(std::move(slot)),
      gate_(gate) {}

Result<pg::ServerFacts> ServerWatch::read(const std::stop_token& stop) const {
  return pg::read_server_facts(clock_, endpoint_, slot_, {clock_.monotonic() + kLookTime, stop});
}

void ServerWatch::note(const pg::ServerFacts& facts) {
  // What a standby is set to says nothing about whom its primary waits for.
  const bool has_namesake = facts.slot.has_value() && facts.slot->has_namesake;
  const bool is_waited =
      !facts.is_in_recovery && !has_namesake && names_alone(facts.synchronous_standby_names, own_name_);
  const MutexLock lock(mutex_);
  const bool has_changed = std::exchange(settings_loaded_, facts.settings_loaded) != facts.settings_loaded;
  if (is_waited && (has_changed || !is_waited_for_)) {
    gate_.unproven_below(facts.flushed);
    const auto age = facts.since_reload.value_or(kSettles);
    if (age < kSettles) gate_.unproven_until(clock_.monotonic() + (kSettles - age));
  }
  gate_.saw_settings(facts.settings_loaded);
  is_waited_for_ = is_waited;
  was_seen_ = true;
  cautions_ = pg::cautions(facts);
}

Status ServerWatch::look(const std::stop_token& stop) {
  note(TRY(read(stop)));
  return {};
}

Status ServerWatch::confirm(const format::CutId& cut) {
  TRY(gate_.check_held(cut));  // a look costs the server a connection
  const pg::ServerFacts facts = TRY(read({}));
  note(facts);
  return gate_.confirm(cut, facts.settings_loaded, is_waited_for());
}

std::vector<std::string> ServerWatch::cautions() const {
  const MutexLock lock(mutex_);
  return cautions_;
}

}  // namespace exclave::agent
