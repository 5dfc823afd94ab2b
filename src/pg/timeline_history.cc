#include "pg/timeline_history.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace exclave::pg {
namespace {

Result<TimelineSwitch> parse_line(std::string_view line) {
  const auto fields = split(line, '\t');
  if (fields.size() < 2) return Error(Code::Corrupt, "line without a switch point");
  const auto parent = parse_u32(fields[0]);
  const auto point = parse_lsn(fields[1]);
  if (!parent.ok() || parent.value() == 0 || !point.ok() || point.value() == Lsn()) {
    return Error(Code::Corrupt, "line without a timeline and a switch point");
  }
  return TimelineSwitch{Timeline(parent.value()), point.value()};
}

}  // namespace

Timeline TimelineHistory::timeline_of(Lsn position) const {
  const auto at = std::find_if(switches.begin(), switches.end(),
                               [&](const TimelineSwitch& s) { return position < s.switch_point; });
  return at == switches.end() ? timeline : at->parent;
}

Result<Lsn> TimelineHistory::left_at(Timeline ancestor) const {
  for (const TimelineSwitch& s : switches) {
    if (s.parent == ancestor) return s.switch_point;
  }
  return Error(Code::NotFound, fmt::format("timeline {} does not descend from {}", timeline.value(), ancestor.value()));
}

Lsn TimelineHistory::began_at(Timeline of) const {
  const TimelineHistory history = as_of(of);
  return history.switches.empty() ? Lsn() : history.switches.back().switch_point;
}

TimelineHistory TimelineHistory::as_of(Timeline ancestor) const {
  TimelineHistory history{ancestor, {}};
  for (const TimelineSwitch& s : switches) {
    if (s.parent < ancestor) history.switches.push_back(s);
  }
  return history;
}

std::optional<Lsn> parted_at(const TimelineHistory& one, const TimelineHistory& other) {
  const auto timeline_at = [](const TimelineHistory& history, std::size_t i) {
    return i < history.switches.size() ? history.switches[i].parent : history.timeline;
  };
  Lsn from;  // of the timelines that are compared
  for (std::size_t i = 0;; ++i) {
    if (timeline_at(one, i) != timeline_at(other, i)) return from;
    const bool is_last = i >= one.switches.size();
    const bool is_others_last = i >= other.switches.size();
    if (is_last && is_others_last) return std::nullopt;
    if (is_last) return other.switches[i].switch_point;
    if (is_others_last) return one.switches[i].switch_point;
    if (one.switches[i] != other.switches[i])
      return std::min(one.switches[i].switch_point, other.switches[i].switch_point);
    from = one.switches[i].switch_point;
  }
}

Result<TimelineHistory> parse_timeline_history(Timeline timeline, ByteView text) {
  if (text.size() > kMaximumHistoryBytes) return Error(Code::Corrupt, "timeline history is too long");
  TimelineHistory history{timeline, {}};
  for (const std::string_view line : split(as_text(text), '\n')) {
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || line[first] == '#') continue;
    const TimelineSwitch next = TRY(parse_line(line).in([&] { return "history of timeline " + to_text(timeline); }));
    const bool ascends = history.switches.empty() || (history.switches.back().parent < next.parent &&
                                                      history.switches.back().switch_point <= next.switch_point);
    if (!ascends || next.switch_point == Lsn() || next.parent >= timeline ||
        history.switches.size() == kMaximumSwitches) {
      return Error(Code::Corrupt, fmt::format("history of timeline {} is out of order", timeline.value()));
    }
    history.switches.push_back(next);
  }
  return history;
}

}  // namespace exclave::pg
