#include "engine/database_log.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/text.h"
#include "engine/detail/log_check.h"
#include "engine/detail/log_collector.h"
#include "engine/log_terms.h"
#include "engine/restore.h"

namespace exclave::engine {
namespace {

using detail::has_record;
using detail::Holes;
using detail::LogCheck;
using detail::LogCollector;
using detail::LogGoal;
using detail::start_of;

constexpr int kMostSilences = 2;  // a vault that hangs costs its patience so often, and not with every journal

// The log's timelines from the backup's start to the newest one's end, or to where one of them is missing.
struct Ranges {
  std::vector<LogRange> ranges;
  std::optional<std::string> hole;  // behind the last one
};
// Corrupt: none is there where the base begins.
Result<Ranges> ranges_of(const WalDirectoryWriter& writer, const Holes& holes, const pg::TimelineHistory& history,
                         const format::BaseBackupFacts& base) {
  Ranges found;
  pg::Lsn at = lsn(base.start);
  const auto add = [&](pg::Timeline number, pg::Lsn to) -> Status {
    if (found.hole.has_value()) return {};
    const auto extent = writer.extents().find(number);
    const bool has_begun = extent != writer.extents().end() && extent->second.from <= at && at <= extent->second.to;
    const pg::Lsn reached = has_begun ? std::min(to, extent->second.to) : at;
    if (reached < to) {
      const auto known = holes.find(number);
      found.hole = known != holes.end() ? known->second
                                        : "the log of timeline " + pg::to_text(number) + " is not here from " +
                                              pg::to_text(reached) + " to " + pg::to_text(to);
      if (found.ranges.empty() && reached == at) return Error(Code::Corrupt, *found.hole);
    }
    if (reached > at || reached == to) found.ranges.push_back({number, at, reached});
    at = reached;
    return {};
  };
  for (const pg::TimelineSwitch& change : history.switches) {
    if (change.switch_point <= lsn(base.start)) continue;
    TRY(add(change.parent, change.switch_point));
  }
  TRY(add(history.timeline, std::max(at, writer.extents().at(history.timeline).to)));
  const auto last = holes.find(history.timeline);
  if (!found.hole.has_value() && last != holes.end()) found.hole = last->second;
  return found;
}

// Log that was acknowledged, and that home went on without: a person should know.
void note_dropped(WalDirectoryWriter& writer, const LogRequest& request, const pg::TimelineHistory& history,
                  DatabaseLog& log) {
  for (const auto& [number, extent] : writer.extents()) {
    if (number == history.timeline) continue;
    const auto left = history.left_at(number);
    if (left.ok() && extent.to <= left.value()) continue;
    const auto start = start_of(request);
    const bool is_behind = left.ok() && start.ok() && extent.from <= left.value();
    if (is_behind && !has_record(writer, start.value(), {number, left.value(), extent.to})) continue;
    log.problems.push_back("timeline " + pg::to_text(number) + " goes on from " +
                           pg::to_text(left.ok() ? left.value() : extent.from) + " to " + pg::to_text(extent.to) +
                           " and is not followed: home went on without it, on timeline " +
                           pg::to_text(history.timeline));
  }
}

// What is not in the log may lie behind an end that is not proven. Precondition: the end was judged.
Error not_in(const DatabaseLog& log, std::string what) {
  if (log.is_proven) return {Code::NotFound, std::move(what)};
  return {Code::Unavailable,
          std::move(what) + ", and it may lie behind the log's end, which is not proven: " + log.why_not_proven};
}

// Whether the log that leads to the newest timeline comes by it: home may have dropped what the cut saw.
bool is_on_the_way(const format::CutMember& member, const pg::TimelineHistory& history) {
  return history.comes_by(timeline(member.timeline), lsn(member.position));
}

// The newest one: of those in which this dataset takes part, and that its log still leads to.
Result<const format::Cut*> find_cut(const LogRequest& request, const DatabaseLog& log, const std::string& id,
                                    const pg::TimelineHistory& history, pg::Lsn reach) {
  const format::Cut* found = nullptr;
  for (const format::Cut& cut : log.cuts) {
    if (id != kLatestCut && !cut.id.hex().starts_with(id)) continue;
    if (id == kLatestCut) {
      const format::CutMember* const member = member_of(cut, request.registry, request.dataset);
      if (member == nullptr || !is_on_the_way(*member, history) || lsn(member->position) > reach) continue;
    }
    if (id != kLatestCut && found != nullptr && found->id != cut.id)
      return Error(Code::InvalidInput, "cut '" + printable(id) + "' is ambiguous").hint("give more digits of its id");
    if (found == nullptr || cut.taken_ns >= found->taken_ns) found = &cut;
  }
  if (found != nullptr) return found;
  if (!log.cuts.empty())
    return not_in(log, "the journals hold no cut '" + printable(id) + "'").hint("say cut:latest for the newest");
  return not_in(log, "the journals hold no cut at all")
      .hint("restore to a time, a position, a named point or latest; cuts are taken of the groups in agent.toml");
}

// `reach`: how far the log is here.
Result<LogGoal> resolve(const LogRequest& request, DatabaseLog& log, const pg::TimelineHistory& history,
                        pg::Lsn reach) {
  if (const auto* position = std::get_if<ToLogPosition>(&request.goal)) return LogGoal{position->position, {}, {}};
  if (const auto* time = std::get_if<ToCommitTime>(&request.goal)) return LogGoal{{}, time->time, {}};
  if (const auto* point = std::get_if<ToRestorePoint>(&request.goal)) return LogGoal{{}, {}, point->name};
  if (const auto* wanted = std::get_if<ToCut>(&request.goal)) {
    log.cut = *TRY(find_cut(request, log, wanted->id, history, reach));
    const std::string noun = "cut " + log.cut->id.hex().substr(0, 12);
    const format::CutMember* const member = member_of(*log.cut, request.registry, request.dataset);
    if (member == nullptr) return Error(Code::NotFound, "dataset " + request.dataset + " takes no part in " + noun);
    if (!is_on_the_way(*member, history)) {
      return Error(Code::Precondition, noun + " was taken on timeline " + pg::to_text(timeline(member->timeline)) +
                                           " at " + pg::to_text(lsn(member->position)) + ", and the log of dataset " +
                                           request.dataset + " left that timeline before")
          .hint("choose a cut taken since, or one taken before: cut:latest is the newest that can be restored");
    }
    return LogGoal{lsn(member->position), {}, {}};
  }
  return LogGoal{};
}

// Which of the points the name means. One before the base's start is not among the records that were checked.
Status choose_point(const LogRequest& request, const RestorePoints& points, const pg::TimelineHistory& history,
                    DatabaseLog& log) {
  log.point = points.last(history);
  if (log.point.has_value()) {
    if (log.reached.end != log.point->point.end) log.reached.last_record.reset();
    log.reached.end = log.point->point.end;
    return {};
  }
  const std::string others = points.names(history);
  return not_in(log, "the log of dataset " + request.dataset + " holds no restore point '" +
                         printable(std::get<ToRestorePoint>(request.goal).name) + "'")
      .hint(others.empty() ? "it holds none at all" : "it holds: " + others);
}

// How far the plan reaches: the ranges, cut at the end.
std::vector<LogRange> cut_at(std::vector<LogRange> ranges, pg::Lsn end) {
  while (ranges.size() > 1 && ranges.back().from >= end) ranges.pop_back();
  ranges.back().to = end;
  return ranges;
}

// `what` lies beyond the log.
Error beyond_the_log(const DatabaseLog& log, const std::string& what) {
  const std::string end = pg::to_text(log.proven.end);
  return Error(Code::Precondition, what + " beyond the log, which ends at " + end)
      .hint("ask for " + end + " or a place before it" +
            (log.is_proven ? ", or for all of the log: --to latest"
                           : "; there may be more, because this end is not proven: " + log.why_not_proven));
}

Status check_reach(const LogRequest& request, const LogGoal& goal, DatabaseLog& log) {
  if (goal.position.has_value() && *goal.position > log.proven.end)
    return beyond_the_log(log, "position " + pg::to_text(*goal.position) + " lies");
  if (log.point.has_value() && log.reached.end > log.proven.end) {
    return beyond_the_log(
        log, "restore point '" + printable(log.point->point.name) + "' lies at " + pg::to_text(log.reached.end) + ",");
  }
  if (log.reached.end >= lsn(request.base.end)) return {};
  log.needs_older_base = true;
  if (log.proven.end >= lsn(request.base.end)) return {};
  log.why_older = Error(Code::Precondition, "the backup is consistent from " + pg::to_text(lsn(request.base.end)) +
                                                " on, and the log goes to " + pg::to_text(log.proven.end))
                      .hint("take an older base backup: --snapshot, see exclave snapshots");
  return {};
}

// Of one journal: what its writer signed for and no vault shows. nullopt: nothing is known to be missing.
std::optional<std::string> shortfall(const FoundStream& journal, const JournalEnd& end) {
  const bool is_of_earlier_periods = !end.has_begun && end.passed_over > 0;
  if (is_of_earlier_periods || end.marked <= end.frames) return std::nullopt;
  return "its writer had signed for " + std::to_string(end.marked) + " frames of journal " +
         journal.stream.descriptor.id().hex().substr(0, 16) + ", and the vaults that answered show " +
         std::to_string(end.frames);
}

// Home may have gone back to an older timeline, or a server that it left lives on: a person has to say.
std::optional<std::string> gone_back(const LogCollector& collector, const pg::TimelineHistory& newest) {
  if (!collector.last().has_value() || *collector.last() >= newest.timeline) return std::nullopt;
  return "the log that came last is of timeline " + pg::to_text(*collector.last()) +
         ", and home had been on timeline " + pg::to_text(newest.timeline) + " before";
}

// Why the log does not belong to this backup.
std::optional<Error> why_useless(const LogRequest& request, const pg::TimelineHistory& newest,
                                 const LogCollector& collector) {
  const pg::Timeline number = timeline(request.base.timeline);
  const auto replaced = collector.replaced().find(number);
  if (replaced != collector.replaced().end() && request.base_start < replaced->second) {
    return Error(Code::Conflict,
                 "the backup is of another server's timeline " + pg::to_text(number) + ", which home went on without");
  }
  if (newest.timeline_of(lsn(request.base.start)) == number) return std::nullopt;
  return Error(Code::Conflict, "the backup is of timeline " + pg::to_text(number) +
                                   ", which the newest log left before the backup began");
}

void judge_end(const LogRequest& request, std::size_t answered, const std::optional<std::string>& hole,
               const std::optional<std::string>& missing, DatabaseLog& log) {
  if (hole.has_value() || missing.has_value()) {
    log.is_proven = false;
    log.why_not_proven = hole.has_value() ? *hole + "; only a base backup taken behind that reaches further" : *missing;
    return;
  }
  const std::size_t needed = request.quorum.answers_needed(request.vaults);
  log.is_proven = answered >= needed;
  if (log.is_proven) return;
  log.why_not_proven = "only " + std::to_string(answered) + " of " + std::to_string(request.vaults) +
                       " vaults showed their journals, " + std::to_string(needed) +
                       " are needed: what was acknowledged last may lie in the others alone";
}

// How the log is read; what the first look learns makes a second one better.
struct Way {
  enum class From { BeforeBase, Beginning };  // I7
  From from = From::BeforeBase;
  std::vector<format::StreamId> order;  // of its journals; empty: by when they began
  friend bool operator==(const Way&, const Way&) = default;
};

// I7. A server reads the first page of the file in which it begins: log is of use from there on. Of the journals that are gone
// past, the collector hears whose they are.
JournalReader::Locator locator_of(const LogRequest& request, const Way& way, LogCollector& collector) {
  const bool may_be_named_before =
      std::holds_alternative<ToCut>(request.goal) || std::holds_alternative<ToRestorePoint>(request.goal);
  const auto size = pg::SegmentSize::of(request.base.source.segment_bytes);
  if (may_be_named_before || way.from == Way::From::Beginning || !size.ok()) return {};
  return
      [&collector, id = format::log_id(request.dataset, request.base.source),
       first = size.value().segment_start(lsn(request.base.start))](ByteView plain) -> Result<std::optional<Bearing>> {
        const auto place = [&](const format::LogId& log, format::LogPosition position) {
          if (log != id) return std::optional(Bearing::Elsewhere);
          return std::optional(lsn(position) <= first ? Bearing::AtOrBefore : Bearing::Behind);
        };
        const auto record = format::decode_record(plain);
        if (!record.ok()) return std::optional<Bearing>();
        if (const auto* log = std::get_if<format::JournalLog>(&record.value())) return place(log->log, log->start);
        const auto* const opening = std::get_if<format::JournalOpening>(&record.value());
        if (opening == nullptr) return std::optional<Bearing>();
        collector.note(*opening);
        return place(format::log_id(opening->dataset, opening->source), opening->start);
      };
}

// The era's journals, oldest first. A clock that was ahead once gives a journal a place behind those that follow it:
// `order` has those of this log where they belong.
std::vector<const FoundStream*> journals_of(const RegistryHoldings& holdings, format::EraNumber era,
                                            const std::vector<format::StreamId>& order) {
  std::vector<const FoundStream*> journals;
  for (const FoundStream& stream : holdings.streams) {
    const format::StreamDescriptor& descriptor = stream.stream.descriptor;
    if (descriptor.kind == format::StreamKind::Journal && descriptor.era == era) journals.push_back(&stream);
  }
  std::sort(journals.begin(), journals.end(), [](const FoundStream* a, const FoundStream* b) {
    return a->stream.descriptor.start < b->stream.descriptor.start;
  });
  std::vector<const FoundStream*> ordered;
  for (const format::StreamId& id : order) {
    ordered.push_back(*std::find_if(journals.begin(), journals.end(),
                                    [&](const FoundStream* each) { return each->stream.descriptor.id() == id; }));
  }
  auto next = ordered.begin();
  for (const FoundStream*& journal : journals) {
    if (std::count(ordered.begin(), ordered.end(), journal) > 0) journal = *next++;
  }
  return journals;
}

// Where a journal's log begins.
struct Beginning {
  LogCollector::Place place;
  std::size_t turn = 0;  // in which it was read
  format::StreamId stream;
  auto operator<=>(const Beginning&) const = default;
};

// Reads every journal of the era: the streams of a dataset follow each other, and overlap.
struct JournalsRead {
  std::size_t answered = 0;  // vaults that showed all of them
  std::optional<std::string> missing;
  std::optional<std::string> lost;      // a segment that no vault gives
  std::vector<format::StreamId> order;  // of this log's, by where it begins in them, if that is another one
};
Result<JournalsRead> read_journals(const LogWorld& world, const LogRequest& request, const RegistryHoldings& holdings,
                                   const std::vector<store::VaultApi*>& vaults,
                                   const std::vector<format::OpeningKey>& keys, const Way& way, LogCollector& collector,
                                   DatabaseLog& log, const std::stop_token& stop) {
  JournalsRead all;
  if (keys.empty()) return all;
  const format::EraNumber era = keys.front().id.era;
  for (const FoundStream& stream : holdings.streams) {
    const format::StreamDescriptor& descriptor = stream.stream.descriptor;
    if (descriptor.kind != format::StreamKind::Journal || descriptor.era <= era) continue;
    all.missing = "the registry's log goes on in era " + std::to_string(descriptor.era.value()) + ", and era " +
                  std::to_string(era.value()) + " is released";
  }
  // Who did not answer when the journals were looked for may know of another one.
  std::set<std::string> silent;
  for (const store::VaultApi* vault : vaults) {
    const auto& answering = holdings.answering;
    if (std::find(answering.begin(), answering.end(), vault) == answering.end()) silent.insert(vault->name());
  }
  std::map<std::string, int> silences;
  std::vector<Beginning> begins;
  const JournalReader::Locator locate = locator_of(request, way, collector);
  for (const FoundStream* journal : journals_of(holdings, era, way.order)) {
    std::vector<format::OpeningKey> own;
    for (const format::OpeningKey& key : keys) own.push_back(key.clone());
    std::vector<store::VaultApi*> asked = vaults;
    std::erase_if(asked, [&](const store::VaultApi* vault) { return silences[vault->name()] >= kMostSilences; });
    if (asked.empty()) {
      return Error(Code::Unavailable, "no vault answers any more").hint("look at the vaults: exclave status");
    }
    JournalReader reader({world.clock, world.threads, request.quorum, request.vaults}, request.realm, journal->stream,
                         asked, std::move(own));
    const auto take = [&](const JournalFrame& frame) -> Status {
      if (stop.stop_requested()) return Error(Code::Cancelled, "the restore was interrupted");
      return collector.take(frame);
    };
    collector.begin_journal(journal->stream.descriptor.start);
    const JournalEnd end = TRY(reader.read(take, locate));
    const bool is_of_another = end.is_elsewhere || collector.is_of_another();
    if (collector.begins().has_value())
      begins.push_back({*collector.begins(), begins.size(), journal->stream.descriptor.id()});
    for (const NoAnswer& none : end.unreachable) {
      const bool is_away = none.why.code() == Code::Unavailable;
      if (is_away) ++silences[none.vault];
      // Damage in another dataset's journal says nothing about this one.
      if (is_away || !is_of_another) silent.insert(none.vault);
    }
    log.segments += end.closed;
    log.passed_over += end.passed_over;
    log.problems.insert(log.problems.end(), end.problems.begin(), end.problems.end());
    if (is_of_another) continue;
    if (end.lost.has_value()) {
      all.missing = all.lost = end.lost->message();
      log.problems.push_back(end.lost->message());
    }
    if (auto less = shortfall(*journal, end)) all.missing = std::move(less);
  }
  if (collector.goes_on().has_value()) all.missing = collector.goes_on();
  all.answered = vaults.size() - silent.size();
  if (std::is_sorted(begins.begin(), begins.end())) return all;
  std::sort(begins.begin(), begins.end());
  for (const Beginning& journal : begins) all.order.push_back(journal.stream);
  return all;
}

// A server that begins in the midst of a file reads its first page all the same.
bool has_first_page(const WalDirectoryWriter& writer, const format::BaseBackupFacts& base, pg::SegmentSize size) {
  const auto extent = writer.extents().find(timeline(base.timeline));
  return extent == writer.extents().end() || extent->second.from <= size.segment_start(lsn(base.start));
}

// Why a server that starts from the backup finds no log. nullopt: there is some.
std::optional<Error> why_no_log(const LogRequest& request, const WalDirectoryWriter& writer, pg::SegmentSize size,
                                const LogCollector& collector, const JournalsRead& journals) {
  const bool has_log = collector.has_found_any() && !writer.extents().empty();
  if (has_log && has_first_page(writer, request.base, size)) return std::nullopt;
  if (journals.lost.has_value()) {
    return Error(Code::Unavailable, "the log where this backup starts cannot be had: " + *journals.lost)
        .hint("bring back another vault that held it, or restore from a younger base");
  }
  const pg::Lsn start = lsn(request.base.start);
  const std::string from =
      has_log ? "the beginning of the file in which this backup starts (" + pg::to_text(size.segment_start(start))
              : "this backup's start (" + pg::to_text(start);
  return Error(Code::NotFound,
               "the vaults hold no log of dataset '" + printable(request.dataset) + "' from " + from + ") on")
      .hint("a base backup is of no use alone: was the agent running? restore another dataset");
}

// A timeline's history is repeated every minute, and not in every segment; two branches of one number, which only their
// histories tell apart, show as a hole.
bool may_lack_histories(const WalDirectoryWriter& writer, const LogCollector& collector) {
  const auto lacks = [&](const auto& extent) { return !writer.has_history(extent.first); };
  return !collector.holes().empty() || std::any_of(writer.extents().begin(), writer.extents().end(), lacks);
}

Result<DatabaseLog> fetch_from(const LogWorld& world, const LogRequest& request, const RegistryHoldings& holdings,
                               const std::vector<store::VaultApi*>& vaults, const std::vector<format::OpeningKey>& keys,
                               const std::string& directory, const Way& way, Way& better, const std::stop_token& stop) {
  const pg::SegmentSize size = TRY(pg::SegmentSize::of(request.base.source.segment_bytes));
  const auto writer =
      TRY(of_targets_disk(WalDirectoryWriter::create(world.files, directory, size, lsn(request.base.start))));
  DatabaseLog log;
  std::optional<RestorePoints> points;
  if (const auto* wanted = std::get_if<ToRestorePoint>(&request.goal))
    points.emplace(wanted->name, TRY(start_of(request)));
  RestorePoints* const wanted_points = points.has_value() ? &*points : nullptr;
  LogCollector collector(request, *writer, wanted_points, log);

  // 1. What the vaults hold of it.
  const JournalsRead journals = TRY(read_journals(world, request, holdings, vaults, keys, way, collector, log, stop));
  // Branches follow each other by when they began, not by where they are.
  if (!collector.holes().empty() && collector.replaced().empty() && way.order.empty()) better.order = journals.order;
  if (better != way) return Error(Code::Conflict, "the journals are not in the order of their log");
  log.why_older = why_no_log(request, *writer, size, collector, journals);
  log.needs_older_base = log.why_older.has_value();
  if (log.needs_older_base) return log;

  if (way.from == Way::From::BeforeBase && log.passed_over > 0 && may_lack_histories(*writer, collector)) {
    better.from = Way::From::Beginning;
    return Error(Code::NotFound, "the history of a timeline is missing");
  }

  // 2. Every record from the backup's start on.
  const pg::TimelineHistory newest = TRY(writer->newest_history());
  log.why_older = why_useless(request, newest, collector);
  log.needs_older_base = log.why_older.has_value();
  if (log.needs_older_base) return log;
  auto ranges = ranges_of(*writer, collector.holes(), newest, request.base);
  if (!ranges.ok()) log.why_older = ranges.take_error();
  log.needs_older_base = log.why_older.has_value();
  if (log.needs_older_base) return log;
  Ranges found = ranges.take();
  const auto missing = journals.missing.has_value() ? journals.missing : gone_back(collector, newest);
  judge_end(request, journals.answered, found.hole, missing, log);
  note_dropped(*writer, request, newest, log);
  const LogGoal goal = TRY(resolve(request, log, newest, found.ranges.back().to));
  LogCheck check = TRY(LogCheck::create(*writer, newest, request, goal, wanted_points));
  TRY(check.run(found.ranges, stop).in([&] { return "log of dataset " + request.dataset; }));
  log.reached = check.reached();
  log.proven = check.proven();
  if (check.damage().has_value()) {
    log.is_proven = false;
    log.why_not_proven = "behind " + pg::to_text(log.proven.end) + " the log is damaged: " + *check.damage();
  }
  if (points.has_value()) TRY(choose_point(request, *points, newest, log));
  TRY(check_reach(request, goal, log));
  if (log.needs_older_base) return log;
  if (!log.reached.last_record.has_value()) {
    return Error(Code::Bug, "the record is not known that ends at " + pg::to_text(log.reached.end));
  }

  // 3. Ends exactly there.
  log.plan.system = pg::SystemIdentifier(request.base.source.system);
  log.plan.segment_size = size;
  log.plan.ranges = cut_at(std::move(found.ranges), log.reached.end);
  log.reached.timeline = log.plan.timeline();
  TRY(writer->plan(log.plan));
  log.hold = std::move(*writer).finish();
  return log;
}

}  // namespace

std::optional<format::PeriodNumber> newest_journal_period(const RegistryHoldings& holdings,
                                                          const format::RegistryId& registry, format::EraNumber era,
                                                          format::PeriodNumber limit) {
  std::optional<format::PeriodNumber> newest;
  const auto note = [&](format::PeriodNumber period) {
    newest = std::min(limit, std::max(newest.value_or(period), period));
  };
  std::vector<format::StreamId> journals;
  for (const FoundStream& stream : holdings.streams) {
    const format::StreamDescriptor& descriptor = stream.stream.descriptor;
    if (descriptor.kind != format::StreamKind::Journal || descriptor.era != era) continue;
    journals.push_back(descriptor.id());
    if (stream.entries > 0) note(stream.newest_period);
  }
  for (store::VaultApi* vault : holdings.answering) {
    const auto open = vault->open_segments(registry);
    if (!open.ok()) continue;
    for (const store::OpenSegment& segment : open.value()) {
      if (std::count(journals.begin(), journals.end(), segment.stream) == 0) continue;
      if (segment.end < format::kSegmentFrontBytes) continue;
      Bytes bytes(format::kSegmentFrontBytes);
      if (!vault->read_frames(segment.stream, segment.index, 0, bytes).ok()) continue;
      const auto front = format::decode_segment_front(bytes);
      if (front.ok()) note(front.value().header.key.period);
    }
  }
  return newest;
}

Result<DatabaseLog> fetch_log(const LogWorld& world, const LogRequest& request, const RegistryHoldings& holdings,
                              const std::vector<store::VaultApi*>& vaults, const std::vector<format::OpeningKey>& keys,
                              const std::string& directory, std::stop_token stop) {
  Way way;
  while (true) {
    Way better = way;
    auto log = fetch_from(world, request, holdings, vaults, keys, directory, way, better, stop);
    if (better == way) return log;
    way = better;
  }
}

}  // namespace exclave::engine
