#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/database_restore.h"
#include "cli/render.h"
#include "cli/restore_report.h"
#include "cli/speeds.h"
#include "repo/chunk_source.h"

namespace exclave::cli {
namespace {

struct Part;

// One dataset on its way back.
struct Member {
  Part* part = nullptr;
  std::string name;  // of several registries: "REGISTRY/DATASET"
  engine::DatasetSnapshot snapshot;
  RestoreTarget target;
  std::optional<FoundLog> log;       // of a database
  std::chrono::nanoseconds after{};  // of another: from the point to its beginning
  engine::RestoreReport report{};
  engine::DatabaseRestoreReport ready{};

  bool is_database() const { return log.has_value(); }
  bool is_behind() const { return !is_database() && after <= std::chrono::nanoseconds(0); }
};

// A place for each dataset that nobody else restores into.
using Targets = std::map<std::string, RestoreTarget>;

// One registry on its way back.
struct Part {
  std::unique_ptr<SiteFolder> site;
  RestoreSettings settings;  // its own release, target and place of logs
  std::string prefix;        // of its members' names
  ReleasedSnapshot released;
  engine::DatasetSurvey survey;
  std::vector<engine::FoundSnapshot> not_released;
  engine::ClaimedTarget whole;
  Targets targets;
  std::vector<Member> members;
};
using Parts = std::vector<Part>;

// Of all registries, in their order. Until a part gets another member.
std::vector<Member*> members_of(Parts& parts) {
  std::vector<Member*> all;
  for (Part& part : parts) {
    for (Member& member : part.members) all.push_back(&member);
  }
  return all;
}

bool is_of_database(const std::vector<engine::DatasetSnapshot>& snapshots) {
  return snapshots.back().base.has_value();
}

using Snapshots = std::vector<engine::DatasetSnapshot>;
// Of which of these snapshots the target holds a part; their end if of none.
using Unfinished = Snapshots::const_iterator;
Unfinished find_unfinished(const Context& context, const RestoreTarget& target, const Snapshots& snapshots) {
  const auto unfinished = engine::unfinished_in(context.env.files, target.path);
  return std::ranges::find_if(snapshots, [&](const engine::DatasetSnapshot& snapshot) {
    return unfinished.has_value() && snapshot.found.object.name.hex() == *unfinished;
  });
}

// From the unfinished one on, if there is one.
NextBase newest_first(const Snapshots& bases, Unfinished unfinished) {
  const std::size_t count =
      unfinished == bases.end() ? bases.size() : static_cast<std::size_t>(unfinished - bases.begin()) + 1;
  return [&bases, left = count]() mutable -> std::optional<engine::DatasetSnapshot> {
    return left == 0 ? std::nullopt : std::optional(bases[--left]);
  };
}

// A target that holds a part of another one is refused before the first file is fetched.
Status check_unfinished(const RestoreTarget& target, const Snapshots& snapshots, Unfinished unfinished,
                        const engine::DatasetSnapshot& chosen) {
  if (unfinished == snapshots.end() || unfinished->found.object.name == chosen.found.object.name) return {};
  const std::string id = short_hex(unfinished->found.object.name.view());
  return Error(Code::Precondition, "target '" + printable(target.path) +
                                       "' holds an unfinished restore of another snapshot: " + id +
                                       "; to the point belongs " + short_hex(chosen.found.object.name.view()))
      .hint("restore into a fresh directory; or finish that one by itself, in this target: --dataset " +
            printable(chosen.dataset) + " --snapshot " + id);
}

// All that could stand in the way is refused before the first byte is fetched.
Status check_goal(const Parts& parts, const engine::RecoveryGoal& goal) {
  std::string databases;
  std::string others;
  std::size_t count = 0;
  for (const Part& part : parts) {
    for (const auto& [dataset, snapshots] : part.survey.datasets) {
      append_item(is_of_database(snapshots) ? databases : others, part.prefix + printable(dataset));
      if (is_of_database(snapshots)) ++count;
    }
  }
  if (count == 0) {
    return no_base(parts.front().released.holdings,
                   Error(Code::NotFound, "the release opens no base backup of a database: nothing has a point to go to")
                       .hint("restore each dataset by itself: --dataset NAME; it opens: " + others));
  }
  if (count > 1 && std::holds_alternative<engine::ToLogPosition>(goal)) {
    return Error(Code::InvalidInput, "a position is of one database, and there are several: " + databases)
        .hint("say a cut, a time, a named point or latest; or restore each by itself: --dataset NAME");
  }
  return {};
}

// Of all registries, whether they were claimed or not.
std::vector<std::string> target_paths(const Parts& parts) {
  std::vector<std::string> paths;
  for (const Part& part : parts) {
    for (const auto& [dataset, snapshots] : part.survey.datasets)
      paths.push_back(env::join_path(part.settings.target, dataset));
  }
  return paths;
}

// Before the first byte is fetched, and all of them before any is written to. `folder` holds the targets of all
// registries, if there are several: whoever owns it owns what is made in it, or no server could come through.
Status claim_targets(env::FileSystem& files, Part& part, env::Directory* folder) {
  const std::string& target = part.settings.target;
  part.whole = TRY(engine::lock_target(files, target, env::kPassableDirectory));
  if (folder != nullptr && TRY(part.whole->info()).user == kRootUser) {
    const env::FileInfo owner = TRY(folder->info());
    env::FileAttributes given;
    given.owner = env::FileOwner{owner.user, owner.group};
    if (owner.user != kRootUser) TRY(part.whole->set_own_attributes(given));
  }
  const env::FileInfo whole = TRY(part.whole->info());
  for (const auto& [dataset, snapshots] : part.survey.datasets) {
    part.targets.emplace(dataset, TRY(claim_restore_target(files, env::join_path(target, dataset),
                                                           env::FileOwner{whole.user, whole.group})
                                          .in([&, name = part.prefix + dataset] { return "dataset " + name; })));
  }
  return {};
}

// "latest" is one cut for all databases of a group, whichever vaults answered for each.
Status check_one_cut(const std::vector<Member*>& members) {
  std::map<std::string, const Member*> first;  // by group
  for (const Member* member : members) {
    if (!member->is_database() || !member->log->log.cut.has_value()) continue;
    const format::Cut& cut = *member->log->log.cut;
    const auto [found, is_new] = first.emplace(cut.group, member);
    const format::Cut& other = *found->second->log->log.cut;
    if (other.id == cut.id) continue;
    return Error(Code::Conflict, "the newest cut of group '" + printable(cut.group) + "' that database " +
                                     member->name + " can be restored to is " + cut.id.hex().substr(0, 12) +
                                     ", and that of " + found->second->name + " is " + other.id.hex().substr(0, 12))
        .hint("say --to cut:ID with the older one, or bring back more vaults");
  }
  return {};
}

Member member_of(Part& part, const std::string& dataset) {
  Member member;
  member.part = &part;
  member.name = part.prefix + dataset;
  member.target = part.targets.at(dataset);
  return member;
}

Status check_lies_beside_all(env::FileSystem& files, const Parts& parts, const std::string& log_directory) {
  for (const Part& part : parts) {
    for (const auto& [dataset, target] : part.targets) TRY(check_lies_beside(files, target, log_directory));
  }
  return {};
}

// Every database's log, ended at the goal.
Status find_databases(const Context& context, const Parts& parts, Part& part, const engine::RecoveryGoal& goal) {
  const RestoreSettings& settings = part.settings;
  if (!settings.wal.empty()) {
    TRY(check_lies_beside_all(context.env.files, parts, settings.wal));  // or a target would not be empty any more
    TRY(engine::of_targets_disk(context.env.files.make_directories(settings.wal, env::kPassableDirectory)));
  }
  for (const auto& [dataset, bases] : part.survey.datasets) {
    if (!is_of_database(bases)) continue;
    Member member = member_of(part, dataset);
    const auto name = [&] { return "database " + member.name; };
    const std::string directory =
        settings.wal.empty() ? member.target.path + ".wal" : env::join_path(settings.wal, dataset);
    TRY(check_lies_beside_all(context.env.files, parts, directory).in(name));
    const Unfinished unfinished = find_unfinished(context, member.target, bases);
    const NextBase next_base = newest_first(bases, unfinished);
    member.log = TRY(find_log(context, *part.site, part.released, settings, goal, next_base, directory).in(name));
    member.snapshot = member.log->base;
    TRY(check_unfinished(member.target, bases, unfinished, member.snapshot).in(name));
    const bool is_latest = std::holds_alternative<engine::ToProvenEnd>(goal);
    if (is_latest && unfinished < bases.end() - 1)
      note_finishing(context, member.target.path, member.snapshot.found, bases.back().found);
    part.members.push_back(std::move(member));
  }
  return {};
}

// Where all databases are when they are opened: the latest of their own points.
env::Timestamp instant_of(const std::vector<Member*>& databases, const engine::RecoveryGoal& goal) {
  CHECK(!databases.empty());  // check_goal
  const auto own = [&](const Member* member) { return engine::instant_of(goal, member->log->log, member->snapshot); };
  env::Timestamp latest = own(databases.front());
  for (const Member* member : databases) latest = std::max(latest, own(member));
  return latest;
}

// Of every other dataset the snapshot that belongs to the instant. One that cannot be opened may be a newer one than that
// which is behind the point: a restore does not go back in time for it.
Status choose_others(const Context& context, Part& part, env::Timestamp instant) {
  const engine::DatasetSurvey& survey = part.survey;
  for (const auto& [dataset, snapshots] : survey.datasets) {
    if (is_of_database(snapshots)) continue;
    engine::ChosenSnapshot chosen = engine::choose_after(snapshots, instant);
    const bool may_be_newer =
        !survey.lost.empty() && engine::is_older(chosen.snapshot.found, survey.lost.back().snapshot);
    if (chosen.is_behind() && may_be_newer) {
      const engine::LostSnapshot& lost = survey.lost.back();
      return Error(lost.why.code(), "snapshot " + lost.snapshot.object.name.hex().substr(0, 12) +
                                        ", which may be the newest of " + part.prefix + printable(dataset) +
                                        ", cannot be opened: " + lost.why.message())
          .hint("bring back more vaults, or restore each dataset by itself: --dataset NAME --snapshot ID");
    }
    const RestoreTarget& target = part.targets.at(dataset);
    TRY(check_unfinished(target, snapshots, find_unfinished(context, target, snapshots), chosen.snapshot));
    Member member = member_of(part, dataset);
    member.after = chosen.after;
    member.snapshot = std::move(chosen.snapshot);
    part.members.push_back(std::move(member));
  }
  return {};
}

Status restore_files(const Context& context, Member& member) {
  ReleasedSnapshot& released = member.part->released;
  TRY(open_another(context, released, member.snapshot.found));
  engine::RestoreOptions options;
  options.target = member.target.path;
  if (member.is_database()) options.owner = member.target.owner;
  options.claimed = member.target.claimed;
  options.ending = engine::Ending::StayMarked;
  if (member.part->settings.no_sync) options.syncing = engine::Syncing::LeaveToKernel;
  engine::StageTimes times;
  ProgressLine progress(context, "restore " + member.name);
  member.report = TRY(engine::restore_snapshot(context.env, *released.content, released.snapshot.object.name, options,
                                               times, progress.callback(), context.stop));
  return {};
}

// All is prepared before the first server may be started: what fails before can be run again, and goes on.
Result<std::vector<engine::DatabaseRestoreOptions>> hand_over_databases(const Context& context,
                                                                        const std::vector<Member*>& members) {
  std::vector<PreparedDatabase> databases;
  for (Member* member : members) {
    if (!member->is_database()) continue;
    member->ready = TRY(make_ready(context, *member->log, member->target, member->report).in([&] {
      return "dataset " + member->name;
    }));
    databases.push_back({&*member->log, &member->target});
  }
  return hand_over(context, databases);
}

// Where it fails, the command can be run again. After it no run can: from then on all that there is to tell is told.
Result<std::vector<engine::DatabaseRestoreOptions>> hand_over_all(const Context& context, const Parts& parts,
                                                                  const std::vector<Member*>& members) {
  auto recoveries = hand_over_databases(context, members);
  if (!recoveries.ok()) return distrusting(context, target_paths(parts), recoveries.take_error());
  for (Member* member : members) {
    if (member->is_database()) continue;
    if (auto left = engine::finish_target(context.env.files, member->target.path)) {
      member->report.problems.push_back(std::move(*left));
      ++member->report.problem_count;
    }
  }
  return recoveries;
}

std::string distance_in_words(const Member& member) {
  if (member.is_database()) return "it is the point";
  return human_duration(std::chrono::abs(member.after)) + (member.is_behind() ? " BEFORE it" : " after it");
}

config::Json member_json(const Member& member) {
  config::Json json = restored_json(member.report, member.snapshot.found);
  json.set("registry", member.part->site->registry().name)
      .set("dataset", member.snapshot.dataset)
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

void show(const Context& context, const Parts& parts, env::Timestamp instant, const Status& allowed) {
  std::vector<std::vector<std::string>> rows = {{"dataset", "kind", "snapshot", "began", "from the point"}};
  config::Json registries = config::Json::array();
  config::Json datasets = config::Json::array();
  std::string details;
  for (const Part& part : parts) {
    for (const Member& member : part.members) {
      const engine::DatasetSnapshot& snapshot = member.snapshot;
      rows.push_back({member.name, std::string(kind_in_words(snapshot.kind)),
                      short_hex(snapshot.found.object.name.view()), local_time(snapshot.began.seconds()),
                      distance_in_words(member)});
      datasets.push(member_json(member));
      details += restored_text(member.report, snapshot.found, snapshot.began, member.target.path);
      if (member.is_database()) details += database_text(*member.log, member.ready, member.target.path, allowed);
    }
    details += reads_text(part.released);
    config::Json registry = config::Json::object();
    registry.set("registry", part.site->registry().name).set("not_released", part.not_released.size());
    add_reads(registry, part.released);
    registries.push(std::move(registry));
  }
  config::Json json = config::Json::object();
  add_outcome(json, allowed);
  json.set("point_ns", instant.nanoseconds)
      .set("datasets", std::move(datasets))
      .set("registries", std::move(registries));
  context.print("the point: " + env::to_rfc3339(instant) + "\n" + render_table(rows, "lllll") + details, json);
}

// What is not as whole as it could be, each thing once; whether there is any.
bool show_notes(const Context& context, const Part& part, env::Timestamp instant) {
  bool is_partial = false;
  std::optional<env::Timestamp> oldest_behind;
  for (const Member& member : part.members) {
    if (member.is_database()) show_database_notes(context, *member.log, member.ready, member.target);
    show_restore_problems(context, member.report);
    is_partial = is_partial || member.report.is_partial() || member.is_behind() ||
                 (member.is_database() && member.log->may_lack_the_last);
    if (!member.is_behind()) continue;
    context.note("dataset " + member.name + " is older than the point: its newest snapshot began at " +
                 env::to_rfc3339(member.snapshot.began) + ", " + human_duration(-member.after) + " before " +
                 env::to_rfc3339(instant) + "; documents written since it began may be missing, though rows name them");
    oldest_behind = std::min(oldest_behind.value_or(member.snapshot.began), member.snapshot.began);
  }
  if (oldest_behind.has_value())
    context.note("  hint: a database that names none of these: --to " + env::to_rfc3339(*oldest_behind));
  for (const engine::LostSnapshot& lost : part.survey.lost) {
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

// The approvals that do not name another of several releases.
using Approvals = std::map<std::string, std::vector<std::string>>;  // by release's path
Result<Approvals> sort_approvals(env::FileSystem& files, const RestoreSettings& settings) {
  std::map<custody::ReleaseId, std::string> paths;
  for (const std::string& path : settings.releases) paths.emplace(TRY(read_release(files, path)).id, path);
  Approvals sorted;
  for (const std::string& path : settings.open.approvals) {
    const Bytes document = TRY(read_approval(files, path));
    const auto named = custody::release_named_by({path, document});
    const bool is_of_one = named.ok() && paths.contains(named.value());
    for (const auto& [id, release] : paths) {
      if (!is_of_one || id == named.value()) sorted[release].push_back(path);
    }
  }
  return sorted;
}

// Of several registries: it goes into a directory of its name.
Status place_beside_others(env::FileSystem& files, Part& part) {
  RestoreSettings& settings = part.settings;
  settings.place.registry = TRY(read_release(files, settings.open.release)).request.registry_name;
  TRY(format::check_name("registry", settings.place.registry));
  settings.target = env::join_path(settings.target, settings.place.registry);
  if (!settings.wal.empty()) settings.wal = env::join_path(settings.wal, settings.place.registry);
  part.prefix = settings.place.registry + "/";
  return {};
}

// A dataset that cannot come back must not keep all others away.
Status leave_out(const Context& context, Part& part) {
  const std::set<std::string> names(part.settings.leave_out.begin(), part.settings.leave_out.end());
  for (const std::string& name : names) {
    if (!name.starts_with(part.prefix)) continue;  // another registry's
    const std::string dataset = name.substr(part.prefix.size());
    if (part.survey.datasets.erase(dataset) == 0) {
      std::string known;
      for (const auto& [each, snapshots] : part.survey.datasets) append_item(known, each);
      return Error(Code::NotFound, "there is no dataset '" + printable(name) + "' to leave out")
          .hint("there are: " + known);
    }
    context.note("dataset " + printable(name) + " is left out, as --leave-out says");
  }
  if (!part.survey.datasets.empty()) return {};
  return Error(Code::InvalidInput, "every dataset is left out").hint("name fewer of them with --leave-out");
}

void note_other_kinds(const Context& context, const engine::DatasetSurvey& survey) {
  std::map<std::string, const engine::DatasetSnapshot*> others;  // the newest of each
  for (const engine::DatasetSnapshot& each : survey.of_other_kinds) others[each.dataset] = &each;
  for (const auto& [dataset, newest] : others) {
    context.note("dataset " + dataset + " was another thing, too: a " + std::string(kind_in_words(newest->kind)) +
                 ", which is not restored; its newest snapshot is " + short_hex(newest->found.object.name.view()) +
                 " (--dataset " + dataset + " --snapshot)");
  }
}

// What a registry's release opens.
Result<Part> open_part(const Context& context, RestoreSettings settings) {
  Part part;
  part.settings = std::move(settings);
  if (part.settings.releases.size() > 1) TRY(place_beside_others(context.env.files, part));
  part.site = TRY(SiteFolder::open(context, part.settings.place));
  static_cast<ReleasedRegistry&>(part.released) = TRY(open_release(context, *part.site, part.settings.open));
  part.not_released = TRY(leave_released(part.released));
  if (!part.not_released.empty())
    context.note("what they hold is left out: " + not_released_in_words(part.not_released));
  part.survey = TRY(survey_of(context, part.released));
  note_other_kinds(context, part.survey);
  part.released.holdings.lost = part.survey.lost;
  if (!part.settings.leave_out.empty()) TRY(leave_out(context, part));
  return part;
}

Result<Parts> open_parts(const Context& context, const RestoreSettings& settings) {
  const std::size_t count = settings.releases.size();
  if (count > 1 && !settings.place.registry.empty()) {
    return Error(Code::InvalidInput, "a registry is named, and " + std::to_string(count) + " releases are given")
        .hint("each release names its registry: leave --registry out");
  }
  Parts parts;
  if (count == 0) parts.push_back(TRY(open_part(context, settings)));  // which says that there is none
  Approvals approvals = count > 1 ? TRY(sort_approvals(context.env.files, settings)) : Approvals();
  for (const std::string& release : settings.releases) {
    RestoreSettings own = settings;
    own.open.release = release;
    if (count > 1) own.open.approvals = approvals[release];
    Part part = TRY(open_part(context, std::move(own)).in([&] { return "release '" + printable(release) + "'"; }));
    const auto is_same = [&](const Part& other) { return other.prefix == part.prefix; };
    if (std::any_of(parts.begin(), parts.end(), is_same)) {
      return Error(Code::InvalidInput, "two releases are of registry " + part.site->registry().name)
          .hint("give one release for each registry");
    }
    parts.push_back(std::move(part));
  }
  for (const std::string& name : settings.leave_out) {
    const auto is_of = [&](const Part& part) { return name.starts_with(part.prefix); };
    if (std::any_of(parts.begin(), parts.end(), is_of)) continue;
    return Error(Code::InvalidInput, "'" + printable(name) + "' of --leave-out is of no registry that is restored")
        .hint("with several releases a dataset is named REGISTRY/DATASET");
  }
  return parts;
}

}  // namespace

Result<ExitCode> restore_all(const Context& context, const RestoreSettings& settings) {
  const engine::RecoveryGoal goal = TRY(parse_goal(settings.to));
  Parts parts = TRY(open_parts(context, settings));
  TRY(check_goal(parts, goal));

  // 1. Places, and the logs: where they end tells which snapshots of the others belong to them.
  engine::ClaimedTarget whole;  // of one registry it is that registry's own
  if (parts.size() > 1) {
    whole =
        TRY(engine::of_targets_disk(engine::lock_target(context.env.files, settings.target, env::kPassableDirectory)));
  }
  for (Part& part : parts) {
    Status claimed = claim_targets(context.env.files, part, whole.get());
    // Nothing is written yet: Denied is said of who runs this.
    if (!claimed.ok() && claimed.error().code() == Code::Denied) return engine::of_targets_disk(claimed.take_error());
    if (!claimed.ok()) return distrusting(context, target_paths(parts), claimed.take_error());
  }
  for (Part& part : parts) TRY(find_databases(context, parts, part, goal));
  TRY(check_one_cut(members_of(parts)));
  const env::Timestamp instant = instant_of(members_of(parts), goal);
  for (Part& part : parts) TRY(choose_others(context, part, instant));

  // 2. All files of all members. 3. Only then may a server be started on any of them.
  const std::vector<Member*> members = members_of(parts);
  for (Member* member : members) TRY(restore_files(context, *member).in([&] { return "dataset " + member->name; }));
  const Status allowed = engine::allow_recovery(TRY(hand_over_all(context, parts, members)));
  for (const Member* member : members) {
    if (member->is_database()) note_restore(context, *member->part->site, *member->log, member->report);
  }
  show(context, parts, instant, allowed);
  bool is_partial = false;
  for (const Part& part : parts) is_partial = show_notes(context, part, instant) || is_partial;
  return end_of_restore(context, allowed, is_partial ? IsPartial::Yes : IsPartial::No);
}

}  // namespace exclave::cli
