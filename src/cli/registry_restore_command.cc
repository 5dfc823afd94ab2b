#include <algorithm>
#include <map>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/database_restore.h"
#include "cli/render.h"
#include "cli/restore_report.h"
#include "cli/speeds.h"
#include "repo/chunk_source.h"

namespace exclave::cli {
namespace {

// One dataset on its way back.
struct Member {
  engine::DatasetSnapshot snapshot;
  RestoreTarget target;
  std::optional<FoundLog> log;       // of a database
  std::chrono::nanoseconds after{};  // of another: from the point to its beginning
  engine::RestoreReport report{};
  engine::DatabaseRestoreReport ready{};

  bool is_database() const { return log.has_value(); }
  bool is_behind() const { return !is_database() && after <= std::chrono::nanoseconds(0); }
};

bool is_of_database(const std::vector<engine::DatasetSnapshot>& snapshots) {
  return snapshots.back().base.has_value();
}

NextBase newest_first(const std::vector<engine::DatasetSnapshot>& bases) {
  return [&bases, left = bases.size()]() mutable -> std::optional<engine::DatasetSnapshot> {
    return left == 0 ? std::nullopt : std::optional(bases[--left]);
  };
}

// All that could stand in the way is refused before the first byte is fetched.
Status check_goal(const engine::RegistryHoldings& holdings, const engine::DatasetSurvey& survey,
                  const engine::RecoveryGoal& goal) {
  std::string databases;
  std::string others;
  std::size_t count = 0;
  for (const auto& [dataset, snapshots] : survey.datasets) {
    append_item(is_of_database(snapshots) ? databases : others, printable(dataset));
    if (is_of_database(snapshots)) ++count;
  }
  if (count == 0) {
    return no_base(holdings,
                   Error(Code::NotFound, "the release opens no base backup of a database: nothing has a point to go to")
                       .hint("restore each dataset by itself: --dataset NAME; it opens: " + others));
  }
  if (count > 1 && std::holds_alternative<engine::ToLogPosition>(goal)) {
    return Error(Code::InvalidInput, "a position is of one database, and the registry has several: " + databases)
        .hint("say a cut, a time, a named point or latest; or restore each by itself: --dataset NAME");
  }
  return {};
}

// A place for each dataset that nobody else restores into, before the first byte is fetched.
using Targets = std::map<std::string, RestoreTarget>;
Result<Targets> claim_targets(env::FileSystem& files, const engine::DatasetSurvey& survey, const std::string& target) {
  Targets targets;
  const env::FileInfo whole = TRY(files.stat(target));
  for (const auto& [dataset, snapshots] : survey.datasets) {
    targets.emplace(dataset, TRY(claim_restore_target(files, env::join_path(target, dataset),
                                                      env::FileOwner{whole.user, whole.group})
                                     .in([&, name = dataset] { return "dataset " + name; })));
  }
  return targets;
}

// "latest" is one cut for all databases of a group, whichever vaults answered for each.
Status check_one_cut(const std::vector<Member>& members) {
  std::map<std::string, const Member*> first;  // by group
  for (const Member& member : members) {
    if (!member.log.has_value() || !member.log->log.cut.has_value()) continue;
    const format::Cut& cut = *member.log->log.cut;
    const auto [found, is_new] = first.emplace(cut.group, &member);
    const format::Cut& other = *found->second->log->log.cut;
    if (other.id == cut.id) continue;
    return Error(Code::Conflict, "the newest cut of group '" + printable(cut.group) + "' that database " +
                                     member.snapshot.dataset + " can be restored to is " + cut.id.hex().substr(0, 12) +
                                     ", and that of " + found->second->snapshot.dataset + " is " +
                                     other.id.hex().substr(0, 12))
        .hint("say --to cut:ID with the older one, or bring back more vaults");
  }
  return {};
}

// Every database's log, ended at the goal.
Result<std::vector<Member>> find_databases(const Context& context, SiteFolder& site, const ReleasedRegistry& released,
                                           const engine::DatasetSurvey& survey, const engine::RecoveryGoal& goal,
                                           const RestoreSettings& settings, const Targets& targets) {
  if (!settings.wal.empty()) TRY(context.env.files.make_directories(settings.wal, 0711));  // servers come through
  std::vector<Member> members;
  for (const auto& [dataset, bases] : survey.datasets) {
    if (!is_of_database(bases)) continue;
    Member member;
    member.target = targets.at(dataset);
    member.log =
        TRY(find_log(context, site, released, settings, goal, newest_first(bases),
                     settings.wal.empty() ? member.target.path + ".wal" : env::join_path(settings.wal, dataset))
                .in([&, name = dataset] { return "database " + name; }));
    member.snapshot = member.log->base;
    members.push_back(std::move(member));
  }
  TRY(check_one_cut(members));
  return members;
}

// Of every other dataset the snapshot that belongs to the instant. One that cannot be opened may be a newer one than that
// which is behind the point: a restore does not go back in time for it.
Result<std::vector<Member>> choose_others(const engine::DatasetSurvey& survey, env::Timestamp instant,
                                          const Targets& targets) {
  std::vector<Member> members;
  for (const auto& [dataset, snapshots] : survey.datasets) {
    if (is_of_database(snapshots)) continue;
    engine::ChosenSnapshot chosen = engine::choose_after(snapshots, instant);
    const bool may_be_newer =
        !survey.lost.empty() && engine::is_older(chosen.snapshot.found, survey.lost.back().snapshot);
    if (chosen.is_behind() && may_be_newer) {
      const engine::LostSnapshot& lost = survey.lost.back();
      return Error(lost.why.code(), "snapshot " + lost.snapshot.object.name.hex().substr(0, 12) +
                                        ", which may be the newest of " + printable(dataset) +
                                        ", cannot be opened: " + lost.why.message())
          .hint("bring back more vaults, or restore each dataset by itself: --dataset NAME --snapshot ID");
    }
    Member member;
    member.target = targets.at(dataset);
    member.after = chosen.after;
    member.snapshot = std::move(chosen.snapshot);
    members.push_back(std::move(member));
  }
  return members;
}

Status restore_files(const Context& context, ReleasedSnapshot& released, Member& member,
                     const RestoreSettings& settings) {
  TRY(open_another(context, released, member.snapshot.found));
  engine::RestoreOptions options;
  options.target = member.target.path;
  if (member.is_database()) options.owner = member.target.owner;
  options.claimed = member.target.claimed;
  options.ending = engine::Ending::StayMarked;
  if (settings.no_sync) options.syncing = engine::Syncing::LeaveToKernel;
  engine::StageTimes times;
  ProgressLine progress(context, "restore " + member.snapshot.dataset);
  member.report = TRY(engine::restore_snapshot(context.env, *released.content, released.snapshot.object.name, options,
                                               times, progress.callback(), context.stop));
  return {};
}

// All is prepared before the first server may be started: what fails before can be run again, and goes on.
Status hand_over_all(const Context& context, const SiteFolder& site, std::vector<Member>& members) {
  const auto name = [](const Member& member) { return [&] { return "dataset " + member.snapshot.dataset; }; };
  for (Member& member : members) {
    if (member.is_database()) member.ready = TRY(make_ready(context, *member.log, member.target).in(name(member)));
  }
  for (const Member& member : members) {
    if (!member.is_database()) TRY(engine::unmark_target(context.env.files, member.target.path).in(name(member)));
  }
  for (const Member& member : members) {
    if (!member.is_database()) continue;
    TRY(hand_over(context, *member.log, member.target).in(name(member)));
    note_restore(context, site, *member.log, member.report);
  }
  return {};
}

std::string distance_in_words(const Member& member) {
  if (member.is_database()) return "it is the point";
  return human_duration(std::chrono::abs(member.after)) + (member.is_behind() ? " BEFORE it" : " after it");
}

config::Json member_json(const Member& member) {
  config::Json json = restored_json(member.report, member.snapshot.found);
  json.set("dataset", member.snapshot.dataset)
      .set("kind", std::string(kind_in_words(member.snapshot.kind)))
      .set("target", member.target.path)
      .set("began_ns", member.snapshot.began.nanoseconds);
  if (member.is_database()) {
    add_database(json, *member.log);
  } else {
    json.set("after_point_ns", member.after.count()).set("behind", member.is_behind());
  }
  return json;
}

void show(const Context& context, const ReleasedRegistry& released, const std::vector<Member>& members,
          env::Timestamp instant, std::size_t not_released) {
  std::vector<std::vector<std::string>> rows = {{"dataset", "kind", "snapshot", "began", "from the point"}};
  config::Json list = config::Json::array();
  std::string details;
  for (const Member& member : members) {
    const engine::DatasetSnapshot& snapshot = member.snapshot;
    rows.push_back({snapshot.dataset, std::string(kind_in_words(snapshot.kind)),
                    short_hex(snapshot.found.object.name.view()), local_time(snapshot.began.seconds()),
                    distance_in_words(member)});
    list.push(member_json(member));
    details += restored_text(member.report, snapshot.found, snapshot.began, member.target.path);
    if (member.is_database()) details += database_text(*member.log, member.ready, member.target.path);
  }
  config::Json json = config::Json::object();
  json.set("ok", true)
      .set("point_ns", instant.nanoseconds)
      .set("datasets", std::move(list))
      .set("not_released", not_released);
  add_reads(json, released);
  context.print(
      "the point: " + env::to_rfc3339(instant) + "\n" + render_table(rows, "lllll") + details + reads_text(released),
      json);
}

// What is not as whole as it could be, each thing once; whether there is any.
bool show_notes(const Context& context, const std::vector<Member>& members, const engine::DatasetSurvey& survey,
                env::Timestamp instant) {
  bool is_partial = false;
  std::optional<env::Timestamp> oldest_behind;
  for (const Member& member : members) {
    if (member.is_database()) show_database_notes(context, *member.log, member.ready, member.target);
    show_restore_problems(context, member.report);
    is_partial = is_partial || member.report.is_partial() || member.is_behind() ||
                 (member.is_database() && member.log->may_lack_the_last);
    if (!member.is_behind()) continue;
    context.note("dataset " + member.snapshot.dataset + " is older than the point: its newest snapshot began at " +
                 env::to_rfc3339(member.snapshot.began) + ", " + human_duration(-member.after) + " before " +
                 env::to_rfc3339(instant) + "; documents written since it began may be missing, though rows name them");
    oldest_behind = std::min(oldest_behind.value_or(member.snapshot.began), member.snapshot.began);
  }
  if (oldest_behind.has_value())
    context.note("  hint: a database that names none of these: --to " + env::to_rfc3339(*oldest_behind));
  for (const engine::LostSnapshot& lost : survey.lost) {
    is_partial = true;
    context.note("snapshot " + lost.snapshot.object.name.hex().substr(0, 12) +
                 " cannot be opened, and may be the only one of a dataset: " + lost.why.message());
  }
  return is_partial;
}

Result<engine::DatasetSurvey> survey_of(const Context& context, ReleasedRegistry& released) {
  const engine::OpenRecord open = [&](const engine::FoundSnapshot& found) {
    return repo::open_snapshot(*released.opener, found.object);
  };
  engine::DatasetSurvey survey =
      TRY(engine::survey_datasets(context.env.threads, released.holdings.snapshots, open, context.stop));
  // And those whose object no vault gave out.
  for (const engine::LostSnapshot& lost : released.holdings.lost) {
    if (lost.snapshot.era == released.era) survey.lost.push_back(lost);
  }
  std::sort(survey.lost.begin(), survey.lost.end(), [](const engine::LostSnapshot& a, const engine::LostSnapshot& b) {
    return engine::is_older(a.snapshot, b.snapshot);
  });
  return survey;
}

}  // namespace

Result<ExitCode> restore_registry(const Context& context, SiteFolder& site, const RestoreSettings& settings) {
  const engine::RecoveryGoal goal = TRY(parse_goal(settings.to));
  ReleasedSnapshot released{TRY(open_release(context, site, settings.open)), {}, 0, {}, {}};
  const std::vector<engine::FoundSnapshot> not_released = TRY(leave_released(released));
  if (!not_released.empty()) context.note("what they hold is left out: " + not_released_in_words(not_released));
  const engine::DatasetSurvey survey = TRY(survey_of(context, released));
  released.holdings.lost = survey.lost;
  TRY(check_goal(released.holdings, survey, goal));

  // 1. Places, and the logs: where they end tells which snapshots of the others belong to them.
  const engine::ClaimedTarget whole = TRY(engine::lock_target(context.env.files, settings.target));
  const Targets targets = TRY(claim_targets(context.env.files, survey, settings.target));
  std::vector<Member> members = TRY(find_databases(context, site, released, survey, goal, settings, targets));
  env::Timestamp instant = engine::instant_of(goal, members.front().log->log, members.front().snapshot);
  for (const Member& member : members)
    instant = std::max(instant, engine::instant_of(goal, member.log->log, member.snapshot));
  for (Member& other : TRY(choose_others(survey, instant, targets))) members.push_back(std::move(other));

  // 2. All files of all members. 3. Only then may a server be started on any of them.
  for (Member& member : members) {
    TRY(restore_files(context, released, member, settings).in([&] { return "dataset " + member.snapshot.dataset; }));
  }
  TRY(hand_over_all(context, site, members));
  show(context, released, members, instant, not_released.size());
  return show_notes(context, members, survey, instant) ? kPartial : kOk;
}

}  // namespace exclave::cli
