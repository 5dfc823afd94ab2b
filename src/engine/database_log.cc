#include "engine/database_log.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/text.h"
#include "compress/compress.h"

namespace exclave::engine {
namespace {

constexpr std::size_t kCheckPieceBytes = 1U << 20;
constexpr int kMostSilences = 2;  // a vault that hangs costs its patience so often, and not with every journal

pg::Lsn lsn(format::LogPosition position) {
  return pg::Lsn(position.value());
}
pg::Timeline timeline(format::LogTimeline number) {
  return pg::Timeline(number.value());
}

const format::CutMember* member_of(const format::Cut& cut, const LogRequest& request) {
  for (const format::CutMember& member : cut.members) {
    if (member.registry == request.registry && member.dataset == request.dataset) return &member;
  }
  return nullptr;
}

using Holes = std::map<pg::Timeline, std::string>;

// Takes the records of one stream after the other.
class LogCollector {
 public:
  LogCollector(const LogRequest& request, WalDirectoryWriter& writer, RestorePoints* points, DatabaseLog& log)
      : request_(request),
        log_id_(format::log_id(request.dataset, request.base.source)),
        writer_(writer),
        points_(points),
        log_(log) {}

  void begin_journal(const format::StreamStart& start) {
    start_ = start;
    is_of_another_ = false;
    begins_.reset();
    announced_.reset();
  }
  // Where the present journal's log of this dataset begins, as far as it was taken.
  struct Place {
    format::LogTimeline timeline;
    format::LogPosition start;
    auto operator<=>(const Place&) const = default;
  };
  const std::optional<Place>& begins() const { return begins_; }
  // An opening of the present journal, whether its frames are taken or gone past.
  void note(const format::JournalOpening& opening) {
    is_of_another_ = format::log_id(opening.dataset, opening.source) != log_id_;
    if (opening.dataset != request_.dataset) return;
    goes_on_ =
        is_of_another_
            ? std::optional("the dataset goes on with another server, system " + std::to_string(opening.source.system))
            : std::nullopt;
  }
  // A later journal of this dataset, of another server: what it goes on with is not in this log.
  const std::optional<std::string>& goes_on() const { return goes_on_; }
  // Whether the present journal says of itself that it is another dataset's or server's.
  bool is_of_another() const { return is_of_another_; }
  // Whether there is a journal of the wanted dataset and server.
  bool has_found_any() const { return has_found_any_; }
  // The timeline of the last log that there was.
  std::optional<pg::Timeline> last() const { return last_; }
  // Timelines of which another branch was here before, and since which journal it is not.
  const std::map<pg::Timeline, format::StreamStart>& replaced() const { return replaced_; }
  // By timeline: behind it nothing more of that timeline was taken (I5).
  const Holes& holes() const { return holes_; }

  Status take(const JournalFrame& frame) {
    const format::JournalRecord record = TRY(format::decode_record(frame.plain));
    if (std::holds_alternative<format::JournalOpening>(record) != (frame.number.value() == 0))
      return Error(Code::Corrupt, "a journal has its opening at another place than its first frame");
    if (const auto* opening = std::get_if<format::JournalOpening>(&record)) note(*opening);
    if (const auto* log = std::get_if<format::JournalLog>(&record)) {
      is_of_another_ = log->log != log_id_;
      if (!is_of_another_) goes_on_.reset();
      return is_of_another_ ? Status() : take(*log);
    }
    if (const auto* history = std::get_if<format::JournalHistory>(&record)) {
      if (history->log == log_id_) return take(*history);
    }
    if (const auto* exposure = std::get_if<format::LossExposure>(&record)) {
      if (exposure->log == log_id_) log_.exposures.push_back(*exposure);
    }
    if (const auto* cut = std::get_if<format::Cut>(&record)) log_.cuts.push_back(*cut);
    return {};
  }

 private:
  struct Announced {
    pg::TimelineHistory history;
    Bytes text;
  };

  // One that would drop a branch which is here waits until there is log of its own.
  Status take(const format::JournalHistory& record) {
    const pg::TimelineHistory history = TRY(pg::parse_timeline_history(timeline(record.timeline), record.text));
    if (!writer_.is_of_another_branch(history)) return add(history.timeline, record.text);
    announced_ = Announced{history, record.text};
    return {};
  }

  Status add(pg::Timeline number, ByteView text) {
    for (const auto& [gone, extent] : TRY(writer_.add_history(number, text))) {
      replaced_[gone] = start_;
      holes_.erase(gone);
      if (points_ != nullptr) points_->forget(gone);
      std::erase_if(log_.cuts, [&, &other = gone](const format::Cut& cut) {
        const format::CutMember* const member = member_of(cut, request_);
        return member != nullptr && timeline(member->timeline) == other;
      });
      if (!extent.has_value()) continue;
      log_.problems.push_back("timeline " + pg::to_text(gone) + ", from " + pg::to_text(extent->from) + " to " +
                              pg::to_text(extent->to) +
                              ", is not followed: home went on without it, with another server whose timeline has "
                              "the same number");
    }
    return {};
  }

  Status take(const format::JournalLog& log) {
    has_found_any_ = true;
    if (!begins_.has_value()) begins_ = Place{log.timeline, log.start};
    const pg::Timeline number = timeline(log.timeline);
    last_ = number;
    const bool is_new_branch = announced_.has_value() && announced_->history.has(number) &&
                               writer_.is_of_another_branch(announced_->history.as_of(number));
    if (is_new_branch) {
      const Announced announced = *std::exchange(announced_, std::nullopt);
      TRY(add(announced.history.timeline, announced.text));
    }
    if (holes_.contains(number)) return {};
    ByteView bytes = log.stored;
    if (log.codec == format::LogCodec::Zstd) {
      plain_.resize(log.log_bytes);
      TRY(decompressor_.decompress(log.stored, plain_));
      bytes = plain_;
    }
    look_for_points(log, bytes);
    Status added = writer_.add(number, lsn(log.start), bytes);
    const bool is_hole =
        !added.ok() && (added.error().code() == Code::Precondition || added.error().code() == Code::Conflict);
    if (!is_hole) return added;
    holes_.emplace(number, added.error().message());
    return {};
  }

  // Of what lies before the base: what lies behind it is looked at when it is checked.
  void look_for_points(const format::JournalLog& log, ByteView bytes) {
    if (points_ == nullptr || log.start >= request_.base.start) return;
    const std::uint64_t before = request_.base.start.value() - log.start.value();
    points_->look(timeline(log.timeline), lsn(log.start),
                  bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), before))));
  }

  const LogRequest& request_;
  const format::LogId log_id_;
  WalDirectoryWriter& writer_;
  RestorePoints* const points_;  // nullptr: no name is wanted
  DatabaseLog& log_;
  bool has_found_any_ = false;
  bool is_of_another_ = false;
  std::optional<std::string> goes_on_;
  std::optional<Place> begins_;
  format::StreamStart start_;
  std::optional<Announced> announced_;
  std::optional<pg::Timeline> last_;
  std::map<pg::Timeline, format::StreamStart> replaced_;
  Holes holes_;
  compress::Decompressor decompressor_;
  Bytes plain_;
};

// The log's timelines from the backup's start to the newest one's end, or to where one of them is missing.
struct Ranges {
  std::vector<LogRange> ranges;
  std::optional<std::string> hole;  // behind the last one
};
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

Result<pg::WalStart> start_of(const LogRequest& request) {
  pg::WalStart start;
  start.major = pg::ServerMajor(request.base.source.major);
  start.system = pg::SystemIdentifier(request.base.source.system);
  start.segment_size = TRY(pg::SegmentSize::of(request.base.source.segment_bytes));
  start.start = lsn(request.base.start);
  start.starts_at = pg::StartsAt::RecordBoundary;
  return start;
}

// Calls `visit` with a range's bytes, in order, as long as it answers that it wants more.
template <typename Visit>
Status for_each_piece(WalDirectoryWriter& writer, const LogRange& range, Visit&& visit) {
  Bytes piece(kCheckPieceBytes);
  for (pg::Lsn at = range.from; at < range.to;) {
    const auto some = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), pg::bytes_between(at, range.to)));
    const MutableByteView bytes = MutableByteView(piece).first(some);
    TRY(writer.read(range.timeline, at, bytes));
    if (!TRY(visit(ByteView(bytes)))) return {};
    at = at + some;
  }
  return {};
}

// Whether a whole record lies in this part of the log, which begins where one ends. A server that dies leaves a piece of one.
bool has_record(WalDirectoryWriter& writer, pg::WalStart start, const LogRange& part) {
  start.history = {part.timeline, {}};
  start.start = part.from;
  auto checker = pg::WalChecker::create(start);
  if (!checker.ok()) return true;
  const Status read = for_each_piece(writer, part, [&](ByteView bytes) -> Result<bool> {
    TRY(checker.value().feed(bytes));
    return checker.value().records() == 0;
  });
  return !read.ok() || checker.value().records() > 0;
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

// What ends the log, as the records show it. All empty: nothing but its end.
struct Goal {
  std::optional<pg::Lsn> position;
  std::optional<env::Timestamp> time;
  std::optional<std::string> point;
};

// Reads the assembled log record by record, up to its end, and notes where the goal is.
class LogCheck {
 public:
  // `newest`: of the log.
  static Result<LogCheck> create(WalDirectoryWriter& writer, const pg::TimelineHistory& newest,
                                 const LogRequest& request, const Goal& goal, RestorePoints* points) {
    pg::WalStart start = TRY(start_of(request));
    start.history = newest.as_of(timeline(request.base.timeline));
    return LogCheck(writer, goal, points, newest, start.start, TRY(pg::WalChecker::create(start)));
  }

  Status run(const std::vector<LogRange>& ranges, const std::stop_token& stop) {
    note_end(ranges.front(), reached_);
    for (const LogRange& range : ranges) {
      if (range.timeline != ranges.front().timeline) TRY(checker_.follow(newest_.as_of(range.timeline), range.from));
      TRY(for_each_piece(writer_, range, [&](ByteView bytes) -> Result<bool> {
        if (stop.stop_requested()) return Error(Code::Cancelled, "the restore was interrupted");
        const Status done = check(range, bytes);
        if (done.ok()) return true;
        if (done.error().code() != Code::Corrupt) return done.error();
        damage_ = done.error().message();  // what was whole before it is as good as ever
        return false;
      }));
      note_end(range, proven_);
      if (damage_.has_value()) return {};
    }
    return {};
  }

  // Where the log ends early: what the record behind it is.
  const std::optional<std::string>& damage() const { return damage_; }
  const LogEnd& reached() const { return reached_; }
  const LogEnd& proven() const { return proven_; }

 private:
  LogCheck(WalDirectoryWriter& writer, const Goal& goal, RestorePoints* points, pg::TimelineHistory newest,
           pg::Lsn start, pg::WalChecker checker)
      : writer_(writer),
        goal_(goal),
        points_(points),
        newest_(std::move(newest)),
        start_(start),
        checker_(std::move(checker)) {}

  void note_end(const LogRange& range, LogEnd& end) const {
    end.end = checker_.end_of_last_record().value_or(start_);
    end.timeline = range.timeline;
    end.records = checker_.records();
    end.commits = checker_.commits();
    end.last_commit = checker_.last_commit();
  }
  Status check(const LogRange& range, ByteView bytes) {
    while (!bytes.empty()) {
      const std::uint64_t records = checker_.records();
      const std::uint64_t points = checker_.restore_points();
      TRY(checker_.feed_record(bytes));
      if (checker_.records() == records) continue;
      const bool is_point = checker_.restore_points() != points;
      if (is_point && points_ != nullptr) points_->note(range.timeline, *checker_.last_restore_point());
      if (goal_.point.has_value()) {
        if (is_point && checker_.last_restore_point()->name == *goal_.point) note_end(range, reached_);
      } else if (!goal_reached_) {
        goal_reached_ = is_past_goal();
        if (!goal_reached_) note_end(range, reached_);
      }
    }
    return {};
  }
  // Commit times are not monotone: the first that is later ends it.
  bool is_past_goal() const {
    if (goal_.position.has_value() && *checker_.end_of_last_record() > *goal_.position) return true;
    return goal_.time.has_value() && checker_.last_commit().has_value() && checker_.last_commit()->time > *goal_.time;
  }

  WalDirectoryWriter& writer_;
  const Goal goal_;
  RestorePoints* const points_;  // nullptr: no name is wanted
  const pg::TimelineHistory newest_;
  const pg::Lsn start_;
  pg::WalChecker checker_;
  LogEnd reached_;
  LogEnd proven_;
  bool goal_reached_ = false;
  std::optional<std::string> damage_;
};

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
      const format::CutMember* const member = member_of(cut, request);
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
Result<Goal> resolve(const LogRequest& request, DatabaseLog& log, const pg::TimelineHistory& history, pg::Lsn reach) {
  if (const auto* position = std::get_if<ToLogPosition>(&request.goal)) return Goal{position->position, {}, {}};
  if (const auto* time = std::get_if<ToCommitTime>(&request.goal)) return Goal{{}, time->time, {}};
  if (const auto* point = std::get_if<ToRestorePoint>(&request.goal)) return Goal{{}, {}, point->name};
  if (const auto* wanted = std::get_if<ToCut>(&request.goal)) {
    log.cut = *TRY(find_cut(request, log, wanted->id, history, reach));
    const std::string noun = "cut " + log.cut->id.hex().substr(0, 12);
    const format::CutMember* const member = member_of(*log.cut, request);
    if (member == nullptr) return Error(Code::NotFound, "dataset " + request.dataset + " takes no part in " + noun);
    if (!is_on_the_way(*member, history)) {
      return Error(Code::Precondition, noun + " was taken on timeline " + pg::to_text(timeline(member->timeline)) +
                                           " at " + pg::to_text(lsn(member->position)) + ", and the log of dataset " +
                                           request.dataset + " left that timeline before")
          .hint("choose a cut taken since, or one taken before: cut:latest is the newest that can be restored");
    }
    return Goal{lsn(member->position), {}, {}};
  }
  return Goal{};
}

// Which of the points the name means. One before the base's start is not among the records that were checked.
Status choose_point(const LogRequest& request, const RestorePoints& points, const pg::TimelineHistory& history,
                    DatabaseLog& log) {
  log.point = points.last(history);
  if (log.point.has_value()) {
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

Status check_reach(const LogRequest& request, const Goal& goal, DatabaseLog& log) {
  if (goal.position.has_value() && *goal.position > log.proven.end) {
    return Error(Code::Precondition, "position " + pg::to_text(*goal.position) +
                                         " lies beyond the log, which ends at " + pg::to_text(log.proven.end));
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
    log.why_not_proven = hole.has_value() ? *hole + "; newer base backups reach further" : *missing;
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
  std::vector<std::pair<LogCollector::Place, format::StreamId>> begins;
  const JournalReader::Locator locate = locator_of(request, way, collector);
  for (const FoundStream* journal : journals_of(holdings, era, way.order)) {
    std::vector<format::OpeningKey> own;
    for (const format::OpeningKey& key : keys) own.push_back(key.clone());
    std::vector<store::VaultApi*> asked = vaults;
    std::erase_if(asked, [&](const store::VaultApi* vault) { return silences[vault->name()] >= kMostSilences; });
    if (asked.empty()) return Error(Code::Unavailable, "no vault answers any more");
    JournalReader reader({world.clock, world.threads, request.quorum, request.vaults}, request.realm, journal->stream,
                         asked, std::move(own));
    const auto take = [&](const JournalFrame& frame) -> Status {
      if (stop.stop_requested()) return Error(Code::Cancelled, "the restore was interrupted");
      return collector.take(frame);
    };
    collector.begin_journal(journal->stream.descriptor.start);
    const JournalEnd end = TRY(reader.read(take, locate));
    const bool is_of_another = end.is_elsewhere || collector.is_of_another();
    if (collector.begins().has_value()) begins.emplace_back(*collector.begins(), journal->stream.descriptor.id());
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
  const auto by_place = [](const auto& a, const auto& b) { return a.first < b.first; };
  if (std::is_sorted(begins.begin(), begins.end(), by_place)) return all;
  std::stable_sort(begins.begin(), begins.end(), by_place);
  for (const auto& [place, stream] : begins) all.order.push_back(stream);
  return all;
}

// A server that begins in the midst of a file reads its first page all the same.
bool has_first_page(const WalDirectoryWriter& writer, const format::BaseBackupFacts& base, pg::SegmentSize size) {
  const auto extent = writer.extents().find(timeline(base.timeline));
  return extent == writer.extents().end() || extent->second.from <= size.segment_start(lsn(base.start));
}

Result<DatabaseLog> fetch_from(const LogWorld& world, const LogRequest& request, const RegistryHoldings& holdings,
                               const std::vector<store::VaultApi*>& vaults, const std::vector<format::OpeningKey>& keys,
                               const std::string& directory, const Way& way, Way& better, const std::stop_token& stop) {
  const pg::SegmentSize size = TRY(pg::SegmentSize::of(request.base.source.segment_bytes));
  const auto writer = TRY(WalDirectoryWriter::create(world.files, directory, size, lsn(request.base.start)));
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
  const bool has_log = collector.has_found_any() && !writer->extents().empty();
  if (!has_log || !has_first_page(*writer, request.base, size)) {
    const std::string from = has_log ? "the beginning of the file in which this backup starts (" +
                                           pg::to_text(size.segment_start(lsn(request.base.start)))
                                     : "this backup's start (" + pg::to_text(lsn(request.base.start));
    log.needs_older_base = true;
    log.why_older = Error(Code::NotFound, "the vaults hold no log of dataset '" + printable(request.dataset) +
                                              "' from " + from + ") on")
                        .hint("a base backup is of no use alone: was the agent running? restore another dataset");
    if (journals.lost.has_value())
      log.why_older = Error(Code::Unavailable, "the log where this backup starts cannot be had: " + *journals.lost)
                          .hint("bring back another vault that held it, or restore from a younger base");
    return log;
  }

  // 2. Every record from the backup's start on.
  const auto lacks = [&](const auto& extent) { return !writer->has_history(extent.first); };
  const bool may_have_passed = way.from == Way::From::BeforeBase && log.passed_over > 0;
  const bool may_be_of_two = !collector.holes().empty();  // branches, which only their histories tell apart
  if (may_have_passed && (may_be_of_two || std::any_of(writer->extents().begin(), writer->extents().end(), lacks))) {
    better.from = Way::From::Beginning;  // a timeline's history is repeated every minute, and not in every segment
    return Error(Code::NotFound, "the history of a timeline is missing");
  }
  const pg::TimelineHistory newest = TRY(writer->newest_history());
  if (auto useless = why_useless(request, newest, collector)) {
    log.needs_older_base = true;
    log.why_older = std::move(useless);
    return log;
  }
  Ranges found = TRY(ranges_of(*writer, collector.holes(), newest, request.base));
  const auto missing = journals.missing.has_value() ? journals.missing : gone_back(collector, newest);
  judge_end(request, journals.answered, found.hole, missing, log);
  note_dropped(*writer, request, newest, log);
  const Goal goal = TRY(resolve(request, log, newest, found.ranges.back().to));
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
