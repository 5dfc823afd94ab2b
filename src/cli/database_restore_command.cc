#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "cli/restore_report.h"
#include "engine/database_log.h"
#include "engine/database_restore.h"

namespace exclave::cli {
namespace {

// Base backups that are tried for an earlier goal, newest first.
constexpr std::size_t kMostBases = 50;

Result<engine::RecoveryGoal> parse_goal(const std::string& text) {
  if (text == "latest") return engine::RecoveryGoal(engine::ToProvenEnd{});
  constexpr std::string_view kCut = "cut:";
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
  return Error(Code::InvalidInput, "--to '" + printable(text) + "' names no place in a database's log")
      .hint(
          "say latest, a position (16/B374D848), a time (2026-11-21T22:34:17Z), cut:ID or name:LABEL; times are "
          "in UTC");
}

// Whether a base can serve the goal at all, as far as that is known without its log. `place`: where the goal lies, if
// another base's log told.
bool may_serve(const format::Snapshot& base, const engine::RecoveryGoal& goal, const std::optional<pg::Lsn>& place) {
  if (place.has_value() && base.base->end.value() > place->value()) return false;
  if (const auto* position = std::get_if<engine::ToLogPosition>(&goal))
    return base.base->end.value() <= position->position.value();
  if (const auto* time = std::get_if<engine::ToCommitTime>(&goal)) return base.finished_ns <= time->time.nanoseconds;
  return true;
}

// Goes back from base to base of one dataset, newest first, if the operator named none.
class OlderBases {
 public:
  OlderBases(const Context& context, const RestoreSettings& settings, ReleasedSnapshot& base)
      : context_(context), base_(base), dataset_(base.content->record().dataset) {
    if (settings.snapshot == "latest") left_ = std::min(base.older.size(), kMostBases);
  }
  // `base` is the next older one then; false if there is none.
  bool next() {
    while (looked_at_ < left_) {
      if (!open_another(context_, base_, base_.older[looked_at_++]).ok()) continue;
      const format::Snapshot& record = base_.content->record();
      if (record.dataset == dataset_ && record.base.has_value()) return true;
    }
    return false;
  }

 private:
  const Context& context_;
  ReleasedSnapshot& base_;
  const std::string dataset_;
  std::size_t left_ = 0;
  std::size_t looked_at_ = 0;
};

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

Result<engine::DatabaseLog> fetch(const Context& context, SiteFolder& site, const ReleasedSnapshot& base,
                                  const RestoreSettings& settings, const engine::RecoveryGoal& goal,
                                  const std::string& directory) {
  engine::LogRequest request;
  request.dataset = base.content->record().dataset;
  request.realm = site.policy().realm;
  request.registry = site.registry().id;
  request.vaults = static_cast<std::uint32_t>(site.policy().vaults.size());
  request.copies = site.policy().quorum.k;
  request.base = *base.content->record().base;
  request.goal = goal;
  engine::DatabaseLog log = TRY(engine::fetch_log(context.env.files, request, base.holdings, site.vaults().all(),
                                                  base.keys, directory, context.stop));
  for (const std::string& problem : log.problems) context.note("problem: " + problem);
  const bool wants_end = std::holds_alternative<engine::ToProvenEnd>(goal);
  if (wants_end && !log.is_proven && !settings.accept_unproven_end) {
    return Error(Code::Unavailable, "the end of the log is not proven: " + log.why_not_proven)
        .hint("bring back another vault, or accept what is here: --accept-unproven-end (with a fresh --wal)");
  }
  if (wants_end && !log.is_proven) context.note("the end is not proven: " + log.why_not_proven);
  if (log.point.has_value() && !log.is_proven)
    context.note("a later point of this name may be missing, because the log's end is not proven: " +
                 log.why_not_proven);
  return log;
}

// From the newest base that serves the goal, which is in `base` then. Only the log tells where a cut or a named point is:
// bases that are younger are gone past.
Result<engine::DatabaseLog> fetch_from_best_base(const Context& context, SiteFolder& site, ReleasedSnapshot& base,
                                                 const RestoreSettings& settings, const engine::RecoveryGoal& goal,
                                                 const std::string& directory) {
  OlderBases older(context, settings, base);
  std::optional<pg::Lsn> place;
  while (true) {
    while (!may_serve(base.content->record(), goal, place)) {
      if (older.next()) continue;
      return Error(Code::Precondition, "no base backup that the release opens ends before " + printable(settings.to) +
                                           (place.has_value() ? ", which lies at " + pg::to_text(*place) : ""))
          .hint("ask for a later place, or release older periods: exclave snapshots --site DIRECTORY");
    }
    engine::DatabaseLog log = TRY(fetch(context, site, base, settings, goal, directory));
    if (!log.needs_older_base) return log;
    place = log.reached.end;
  }
}

// Who made the target directory beforehand, or else whoever restores: a server does not run on files of another one.
Result<env::FileOwner> owner_of(env::FileSystem& files, const std::string& target) {
  TRY(files.make_directories(target, 0700));
  const env::FileInfo there = TRY(files.stat(target));
  return env::FileOwner{there.user, there.group};
}

}  // namespace

Result<ExitCode> restore_database(const Context& context, SiteFolder& site, ReleasedSnapshot base,
                                  const RestoreSettings& settings) {
  env::FileSystem& files = context.env.files;
  if (!settings.paths.empty())
    return Error(Code::InvalidInput, "a database is restored whole").hint("leave the paths out");
  const engine::RecoveryGoal goal = TRY(parse_goal(settings.to));
  // 1. The log first: without it the base is of no use, and its end says what the restore will be worth.
  const std::string wal = settings.wal.empty() ? settings.target + ".wal" : settings.wal;
  const env::FileOwner owner = TRY(owner_of(files, settings.target));
  const engine::DatabaseLog log = TRY(fetch_from_best_base(context, site, base, settings, goal, wal));

  // 2. The base.
  engine::RestoreOptions options;
  options.target = settings.target;
  options.owner = owner;
  if (settings.no_sync) options.syncing = engine::Syncing::LeaveToKernel;
  engine::StageTimes times;
  ProgressLine progress(context, "restore");
  const engine::RestoreReport report = TRY(engine::restore_snapshot(
      context.env, *base.content, base.snapshot.object.name, options, times, progress.callback(), context.stop));

  // 3. Set up so that its server recovers to exactly that end.
  engine::DatabaseRestoreOptions recovery;
  recovery.target = settings.target;
  recovery.wal_directory = wal;
  recovery.program = TRY(files.canonical("/proc/self/exe"));
  recovery.owner = options.owner;
  const engine::DatabaseRestoreReport prepared = TRY(engine::prepare_recovery(files, recovery, log.plan));

  std::string text = restore_text(report, base, settings.target);
  if (log.point.has_value()) text += "chosen: " + point_in_words(*log.point) + "\n";
  text += "the server will recover to " + end_in_words(log.reached) + ": " + std::to_string(log.reached.commits) +
          " commits after the base\n";
  text += "the log's end is " + end_in_words(log.proven) + (log.is_proven ? ", proven\n" : ", NOT proven\n");
  for (const format::LossExposure& exposure : log.exposures) {
    text += "acknowledged before the vaults held it: " + pg::to_text(pg::Lsn(exposure.from.value())) + " to " +
            pg::to_text(pg::Lsn(exposure.to.value())) + ", from " + env::to_rfc3339(env::Timestamp{exposure.began_ns}) +
            " to " + env::to_rfc3339(env::Timestamp{exposure.ended_ns}) + "\n";
  }
  for (const std::string& tablespace : prepared.tablespaces) text += "tablespace at " + tablespace + "\n";
  text += "start it: pg_ctl -D " + settings.target + " start; its log is in " + wal + "\n";
  config::Json json = restore_json(report, base);
  json.set("recovers_to", end_json(log.reached))
      .set("log_end", end_json(log.proven))
      .set("proven", log.is_proven)
      .set("wal", wal)
      .set("exposures", log.exposures.size());
  if (log.point.has_value()) json.set("restore_point", point_json(*log.point));
  context.print(text, json);
  for (const std::string& note : prepared.notes) context.note(note);
  if (owner.first == 0) {
    context.note(
        "the restored files belong to root, as whom no server runs: chown -R them, or make the target beforehand (" +
        std::string("install -d -o postgres -g postgres -m 700 ") + printable(settings.target) + ")");
  }
  const auto* const time = std::get_if<engine::ToCommitTime>(&goal);
  if (time != nullptr && log.reached.end == log.proven.end) {
    context.note("no commit in the log is later than " + env::to_rfc3339(time->time) + ": this is the log's end" +
                 (log.is_proven ? "" : ", which is not proven: " + log.why_not_proven));
  }
  show_restore_problems(context, report);
  return report.is_partial() ? kPartial : kOk;
}

}  // namespace exclave::cli
