#include "cli/database_restore.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "cli/remedy.h"
#include "cli/render.h"
#include "engine/log_terms.h"

namespace exclave::cli {
namespace {

// "2026-11-30..."
bool is_meant_as_time(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const std::size_t year = text.find_first_not_of(kDigits);
  return year == 4 && text[year] == '-';
}

// What helps where the end is not proven. With all vaults at hand none can be brought back.
std::string remedy_of_unproven_end(const engine::RegistryHoldings& holdings) {
  if (!holdings.unreachable.empty()) return "bring back another vault, or accept what is here: --accept-unproven-end";
  return "restore to a place before that with --to, or accept what is here: --accept-unproven-end; if home lives, take "
         "a new base backup there";
}

// Whether a base can serve the goal at all, as far as that is known without its log. `place`: where the goal lies, if
// another base's log told.
bool may_serve(const engine::DatasetSnapshot& base, const engine::RecoveryGoal& goal,
               const std::optional<pg::Lsn>& place) {
  if (place.has_value() && base.base->end.value() > place->value()) return false;
  if (const auto* position = std::get_if<engine::ToLogPosition>(&goal))
    return base.base->end.value() <= position->position.value();
  if (const auto* time = std::get_if<engine::ToCommitTime>(&goal)) return base.finished <= time->time;
  return true;
}

// As --to takes it; of several databases no position. A base is finished within the second that is named by its beginning.
std::string earliest_place_behind(const engine::DatasetSnapshot& base, const engine::RecoveryGoal& goal, bool of_all) {
  if (std::holds_alternative<engine::ToCut>(goal)) return "a later cut";
  if (of_all && std::holds_alternative<engine::ToRestorePoint>(goal)) return "a later point";
  if (std::holds_alternative<engine::ToCommitTime>(goal))
    return env::to_rfc3339(env::Timestamp::from_seconds(base.finished.seconds() + 1)) + " or a later place";
  return pg::to_text(engine::lsn(base.base->end)) + " or a later place";
}

std::string end_in_words(const engine::LogEnd& end) {
  std::string text = pg::to_text(end.end) + " on timeline " + pg::to_text(end.timeline);
  if (end.last_commit.has_value()) text += ", last commit " + env::to_rfc3339(end.last_commit->time);
  return text;
}

config::Json end_json(const engine::LogEnd& end) {
  config::Json json = config::Json::object();
  json.set("position", pg::to_text(end.end))
      .set("timeline", end.timeline.value())
      .set("records", end.records)
      .set("commits", end.commits);
  if (end.last_commit.has_value()) json.set("last_commit_ns", end.last_commit->time.nanoseconds);
  return json;
}

// "restore point 'x' of 2026-11-21T22:34:17Z at 0/3000148, the last of 2 of that name"
std::string point_in_words(const engine::RestorePoints::Found& found) {
  const std::string text = "restore point '" + printable(found.point.name) + "' of " +
                           env::to_rfc3339(found.point.time) + " at " + pg::to_text(found.point.end);
  return found.of_that_name == 1 ? text
                                 : text + ", the last of " + std::to_string(found.of_that_name) + " of that name";
}

config::Json point_json(const engine::RestorePoints::Found& found) {
  config::Json json = config::Json::object();
  json.set("name", found.point.name)
      .set("time_ns", found.point.time.nanoseconds)
      .set("position", pg::to_text(found.point.end))
      .set("of_that_name", found.of_that_name);
  return json;
}

// Whether what lies behind an unproven end could be what was asked for. A position is one thing, whatever follows it.
bool may_lack_the_last(const engine::RecoveryGoal& goal, const engine::DatabaseLog& log) {
  if (log.is_proven || std::holds_alternative<engine::ToLogPosition>(goal)) return false;
  if (std::holds_alternative<engine::ToCommitTime>(goal)) return log.reached.end == log.proven.end;
  const auto* const cut = std::get_if<engine::ToCut>(&goal);
  return cut == nullptr || cut->id == engine::kLatestCut;
}

Result<engine::DatabaseLog> fetch(const Context& context, SiteFolder& site, const ReleasedRegistry& released,
                                  const RestoreSettings& settings, const engine::RecoveryGoal& goal,
                                  const engine::DatasetSnapshot& base, const std::string& directory) {
  engine::LogRequest request;
  request.dataset = base.dataset;
  request.realm = site.policy().realm;
  request.registry = site.registry().id;
  request.vaults = static_cast<std::uint32_t>(site.policy().vaults.size());
  request.quorum = site.policy().quorum;
  request.base = *base.base;
  request.base_start = base.found.start;
  request.goal = goal;
  auto fetched = engine::fetch_log({context.env.files, context.env.clock, context.env.threads}, request,
                                   released.holdings, site.vaults().all(), released.keys, directory, context.stop);
  if (!fetched.ok() && fetched.error().code() == Code::Exhausted) {
    return with_remedy(fetched.take_error(),
                       "make room, or name a directory on another disk for the log with --wal; then run it again");
  }
  engine::DatabaseLog log = TRY(std::move(fetched));
  if (log.needs_older_base) return log;
  for (const std::string& problem : log.problems) context.note("problem: " + problem);
  if (log.is_proven) return log;
  if ((log.point.has_value() || log.cut.has_value()) && may_lack_the_last(goal, log))
    context.note(std::string(log.cut.has_value() ? "a later cut" : "a later point of this name") +
                 " may be missing, because the log's end is not proven: " + log.why_not_proven);
  if (!std::holds_alternative<engine::ToProvenEnd>(goal)) return log;
  if (!settings.accept_unproven_end) {
    return Error(Code::Unavailable, "the end of the log is not proven: " + log.why_not_proven)
        .hint(remedy_of_unproven_end(released.holdings));
  }
  context.note("the end is not proven: " + log.why_not_proven);
  return log;
}

void tell_if_the_time_is_behind_the_log(const Context& context, const engine::RecoveryGoal& goal,
                                        const engine::DatabaseLog& log) {
  const auto* const time = std::get_if<engine::ToCommitTime>(&goal);
  if (time == nullptr || log.reached.end != log.proven.end) return;
  context.note("no commit in the log is later than " + env::to_rfc3339(time->time) + ": this is the log's end" +
               (log.is_proven ? "" : ", which is not proven: " + log.why_not_proven));
}

Result<engine::DatabaseRestoreOptions> recovery_of(const Context& context, const FoundLog& found,
                                                   const RestoreTarget& target) {
  engine::DatabaseRestoreOptions recovery;
  recovery.target = target.path;
  recovery.claimed = target.claimed;
  recovery.wal_directory = found.directory;
  recovery.log = found.log.hold.get();
  recovery.last_record = *found.log.reached.last_record;  // every plan ends with one
  recovery.program = TRY(context.env.files.canonical("/proc/self/exe"));
  recovery.owner = target.owner;
  return recovery;
}

constexpr std::uint32_t kPassForUser = 0100;
constexpr std::uint32_t kPassForGroup = 0010;
constexpr std::uint32_t kPassForOthers = 0001;

// By the mode alone. Where the files belong to root, nobody knows who the server's user will be.
bool may_pass(const env::FileInfo& directory, const env::FileOwner& owner) {
  const auto [user, group] = owner;
  if (user != kRootUser && directory.user == user) return (directory.mode & kPassForUser) != 0;
  if (user != kRootUser && directory.group == group) return (directory.mode & kPassForGroup) != 0;
  return (directory.mode & kPassForOthers) != 0;
}

// Directories above it through which the server's user does not come.
std::set<std::string> closed_above(env::FileSystem& files, const std::string& path, const env::FileOwner& owner) {
  std::set<std::string> closed;
  const auto whole = files.canonical(path);
  if (!whole.ok()) return closed;
  for (std::string_view at = whole.value(); at.size() > 1;) {
    at = env::parent_path(at);
    const auto info = files.stat(at);
    if (info.ok() && !may_pass(info.value(), owner)) closed.emplace(at);
  }
  return closed;
}

// What is not there yet is made in the nearest directory above it that is: absolute, wherever links lead. Empty: none
// can be looked at, which others name better.
std::string nearest_that_is_there(env::FileSystem& files, std::string_view path) {
  while (true) {
    auto there = files.canonical(path);
    if (there.ok()) return there.take();
    const std::string_view above = env::parent_path(path);
    if (above == path) return "";
    path = above;
  }
}

// What stands in the way, was asked for wrongly or told to stop is not: no disk answers so. One that the kernel has
// closed to writing answers Denied. Nothing that a vault answered may come here, for distrust costs the next run all
// that is finished: no step that is asked about speaks to one.
bool may_be_of_a_disk(Code code) {
  switch (code) {
    case Code::Precondition:
    case Code::InvalidInput:
    case Code::Conflict:
    case Code::AlreadyExists:
    case Code::NotFound:
    case Code::Cancelled:
      return false;
    case Code::Denied:
    case Code::Corrupt:
    case Code::Exhausted:
    case Code::Unavailable:
    case Code::OutcomeUnknown:
    case Code::Unsupported:
    case Code::Bug:
      return true;
  }
  return true;
}

}  // namespace

Result<engine::RecoveryGoal> parse_goal(const std::string& text) {
  if (text == "latest") return engine::RecoveryGoal(engine::ToProvenEnd{});
  constexpr std::string_view kCut = "cut:";
  if (text == kCut) {
    return Error(Code::InvalidInput, "--to 'cut:' names no cut")
        .hint("say cut:latest, or the first digits of a cut's id: cut:1a2b");
  }
  if (text.starts_with(kCut)) return engine::RecoveryGoal(engine::ToCut{text.substr(kCut.size())});
  constexpr std::string_view kName = "name:";
  if (text.starts_with(kName)) {
    TRY(engine::check_point_name(std::string_view(text).substr(kName.size())));
    return engine::RecoveryGoal(engine::ToRestorePoint{text.substr(kName.size())});
  }
  if (const auto position = pg::parse_lsn(text); position.ok())
    return engine::RecoveryGoal(engine::ToLogPosition{position.value()});
  if (const auto time = env::parse_rfc3339(text); time.ok()) {
    return engine::RecoveryGoal(engine::ToCommitTime{time.value()});
  }
  if (is_meant_as_time(text)) {
    return Error(Code::InvalidInput, "--to '" + printable(text) + "' names no place in a database's log")
        .hint(
            "a time has whole seconds and is in UTC, and looks like 2026-11-30T12:56:56Z: a T between date and time, a "
            "Z at the end, no fraction and no offset");
  }
  return Error(Code::InvalidInput, "--to '" + printable(text) + "' names no place in a database's log")
      .hint(
          "say latest, a position (16/B374D848), a time (2026-11-21T22:34:17Z), cut:ID or name:LABEL; times are "
          "in UTC");
}

Error no_base(const engine::RegistryHoldings& holdings, Error missing) {
  if (holdings.lost.empty()) return engine::not_shown(holdings, std::move(missing));
  const engine::LostSnapshot& lost = holdings.lost.back();
  return Error(lost.why.code(), missing.message() + "; but snapshot " + lost.snapshot.object.name.hex().substr(0, 12) +
                                    ", which may be such a base, cannot be opened: " + lost.why.message())
      .hint("bring back more vaults, and run the command again");
}

// Only the log tells where a cut, a named point or a time is: bases that are younger are gone past.
Result<FoundLog> find_log(const Context& context, SiteFolder& site, const ReleasedRegistry& released,
                          const RestoreSettings& settings, const engine::RecoveryGoal& goal, const NextBase& next_base,
                          const std::string& directory) {
  std::optional<pg::Lsn> place;
  std::string in_words;
  std::optional<Error> unusable;
  std::string earliest;
  while (auto base = next_base()) {
    earliest = earliest_place_behind(*base, goal, settings.all);
    if (!may_serve(*base, goal, place)) continue;
    const env::Instant begin = context.env.clock.monotonic();
    engine::DatabaseLog log = TRY(fetch(context, site, released, settings, goal, *base, directory));
    if (!log.needs_older_base) {
      tell_if_the_time_is_behind_the_log(context, goal, log);
      const bool is_uncertain = may_lack_the_last(goal, log);
      return FoundLog{std::move(*base), std::move(log), directory, context.env.clock.monotonic() - begin, is_uncertain};
    }
    if (log.why_older.has_value()) {
      const engine::FoundSnapshot& found = base->found;
      context.note("base backup " + short_hex(found.object.name.view()) + " of " + local_time(found.taken_at_seconds) +
                   " is of no use: " + log.why_older->message() + "; an older one is looked for");
      if (!unusable.has_value()) unusable = std::move(log.why_older);
      continue;
    }
    place = log.reached.end;
    if (!std::holds_alternative<engine::ToCommitTime>(goal)) in_words = ", which lies at " + pg::to_text(*place);
  }
  return no_base(released.holdings,
                 unusable.has_value() ? *unusable
                                      : Error(Code::Precondition, "no base backup that the release opens ends before " +
                                                                      printable(settings.to) + in_words)
                                            .hint("ask for " + (earliest.empty() ? "a later place" : earliest) +
                                                  ", or release older periods: exclave snapshots --site DIRECTORY"));
}

Result<RestoreTarget> claim_restore_target(env::FileSystem& files, const std::string& path,
                                           const std::optional<env::FileOwner>& instead_of_root) {
  auto claimed = TRY(engine::claim_target(files, path, env::kPassableDirectory));
  RestoreTarget target{path, std::move(claimed), {}};
  const env::FileInfo there = TRY(target.claimed->info());
  target.owner = {there.user, there.group};
  if (there.user == kRootUser && instead_of_root.has_value()) target.owner = *instead_of_root;
  return target;
}

Status check_lies_beside(env::FileSystem& files, const RestoreTarget& target, const std::string& log_directory) {
  const env::FileInfo claimed = TRY(target.claimed->info());
  const std::string place = nearest_that_is_there(files, log_directory);
  for (std::string_view at = place; !at.empty(); at = at.size() > 1 ? env::parent_path(at) : std::string_view()) {
    const auto found = files.stat(at);
    if (!found.ok() || !env::is_same_file(found.value(), claimed)) continue;
    return Error(Code::InvalidInput, "the log's directory '" + printable(log_directory) +
                                         "' would lie in the target '" + printable(target.path) + "'")
        .hint("name one beside it with --wal, or leave --wal out: it is " + printable(target.path) + ".wal then");
  }
  return {};
}

Result<engine::DatabaseRestoreReport> make_ready(const Context& context, const FoundLog& found,
                                                 const RestoreTarget& target, const engine::RestoreReport& restored) {
  if (restored.first_content_problem.has_value()) {
    const engine::CaptureProblem& first = *restored.first_content_problem;
    return Error(Code::Precondition, "the database in '" + printable(target.path) +
                                         "' is not whole, and no server may be started on it: " +
                                         (first.path.empty() ? "." : printable(first.path)) + ": " + first.why)
        .hint("restore it where its files can be as they were, or from an older base");
  }
  return engine::prepare_recovery(context.env.files, TRY(recovery_of(context, found, target)), found.log.plan);
}

Result<std::vector<engine::DatabaseRestoreOptions>> hand_over(const Context& context,
                                                              const std::vector<PreparedDatabase>& databases) {
  std::vector<std::string> targets;
  std::vector<engine::DatabaseRestoreOptions> recoveries;
  for (const PreparedDatabase& each : databases) {
    targets.push_back(each.target->path);
    recoveries.push_back(TRY(recovery_of(context, *each.log, *each.target)));
  }
  for (const PreparedDatabase& each : databases) {
    TRY(each.log->log.hold->publish().in([&] { return "'" + printable(each.log->directory) + "'"; }));
  }
  TRY(engine::unmark_targets(context.env.files, targets));
  for (const PreparedDatabase& each : databases) each.log->log.hold->keep();
  return recoveries;
}

Error distrusting(const Context& context, const std::vector<std::string>& targets, Error why) {
  if (!may_be_of_a_disk(why.code())) return why;
  for (const std::string& target : targets) {
    const Status distrusted = engine::distrust_target(context.env.files, target);
    if (!distrusted.ok()) {
      context.note("what is in '" + printable(target) + "' cannot be trusted: restore into a fresh directory (" +
                   distrusted.error().message() + ")");
    }
  }
  return engine::of_targets_disk(std::move(why));
}

void add_outcome(config::Json& json, const Status& allowed) {
  if (allowed.ok()) {
    json.set("ok", true);
  } else {
    set_error(json, allowed.error());
  }
}

ExitCode end_of_restore(const Context& context, const Status& allowed, IsPartial is_partial) {
  if (allowed.ok()) return is_partial == IsPartial::Yes ? kPartial : kOk;
  Context beside_the_report = context;
  beside_the_report.json = false;
  show_error(beside_the_report, allowed.error());
  return exit_code_of(allowed.error());
}

std::string chosen_in_words(const engine::DatabaseLog& log) {
  if (log.point.has_value()) return point_in_words(*log.point);
  if (!log.cut.has_value()) return "";
  return "cut " + log.cut->id.hex().substr(0, 12) + " of " + env::to_rfc3339(env::Timestamp{log.cut->taken_ns});
}

std::string database_text(const FoundLog& found, const engine::DatabaseRestoreReport& ready, const std::string& target,
                          const Status& allowed) {
  const engine::DatabaseLog& log = found.log;
  std::string text;
  if (const std::string chosen = chosen_in_words(log); !chosen.empty()) text += "chosen: " + chosen + "\n";
  text += "the server will recover to " + end_in_words(log.reached) + ": " + std::to_string(log.reached.commits) +
          " commits after the base\n";
  text += "the log's end is " + end_in_words(log.proven) + (log.is_proven ? ", proven\n" : ", NOT proven\n");
  for (const format::LossExposure& exposure : log.exposures) {
    text += "acknowledged before the vaults held it: " + pg::to_text(engine::lsn(exposure.from)) + " to " +
            pg::to_text(engine::lsn(exposure.to)) + ", from " + env::to_rfc3339(env::Timestamp{exposure.began_ns}) +
            " to " + env::to_rfc3339(env::Timestamp{exposure.ended_ns}) + "\n";
  }
  for (const std::string& tablespace : ready.tablespaces) text += "tablespace at " + tablespace + "\n";
  return text + (allowed.ok() ? "start it" : "start it as soon as its recovery.signal is there") + ": pg_ctl -D " +
         target + " start; its log is in " + found.directory + "\n";
}

void add_database(config::Json& json, const FoundLog& found) {
  config::Json problems = config::Json::array();
  for (const std::string& problem : found.log.problems) problems.push(problem);
  json.set("recovers_to", end_json(found.log.reached))
      .set("log_end", end_json(found.log.proven))
      .set("proven", found.log.is_proven)
      .set("log_problems", std::move(problems))
      .set("wal", found.directory)
      .set("exposures", found.log.exposures.size())
      .set("journal_segments", found.log.segments)
      .set("journal_segments_passed_over", found.log.passed_over);
  if (!found.log.is_proven) json.set("why_not_proven", found.log.why_not_proven);
  if (found.log.point.has_value()) json.set("restore_point", point_json(*found.log.point));
  if (found.log.cut.has_value()) json.set("cut", found.log.cut->id.hex());
}

void show_database_notes(const Context& context, const FoundLog& found, const engine::DatabaseRestoreReport& ready,
                         const RestoreTarget& target) {
  for (const std::string& note : ready.notes) context.note(note);
  std::set<std::string> closed = closed_above(context.env.files, target.path, target.owner);
  closed.merge(closed_above(context.env.files, found.directory, target.owner));
  std::string in_the_way;
  for (const std::string& directory : closed) append_item(in_the_way, printable(directory), " ");
  if (!in_the_way.empty())
    context.note("by their modes, the server's user cannot come through directories above: chmod o+x " + in_the_way);
  if (target.owner.first != kRootUser) return;
  context.note("the restored files and their log belong to root, as whom no server runs: chown -R postgres: " +
               printable(target.path) + " " + printable(found.directory) +
               "; or make the target beforehand (install -d -o postgres -g postgres -m 700 " + printable(target.path) +
               ")");
}

}  // namespace exclave::cli
