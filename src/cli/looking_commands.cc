#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "agent/agent.h"
#include "base/text.h"
#include "cli/agent_home.h"
#include "cli/agent_status.h"
#include "cli/capture_report.h"
#include "cli/commands.h"
#include "cli/durations.h"
#include "cli/render.h"
#include "cli/site_folder.h"
#include "cli/speeds.h"
#include "crypto/tree_hash.h"
#include "engine/verify.h"
#include "env/exists.h"
#include "repo/catalogue.h"
#include "store/vault_words.h"

namespace exclave::cli {
namespace {

constexpr std::int64_t kMostClockSkew = 60;  // seconds
constexpr std::int64_t kLongestAgeSeconds = 3652LL * 86400;

// Returns why the vault does not answer, if it does not.
std::string vault_line(store::VaultApi& vault, const policy::Policy& policy, std::int64_t now,
                       std::vector<std::string>& row, std::string& readings, std::vector<std::string>& alarms) {
  const auto status = vault.status();
  if (!status.ok()) {
    row = {vault.name(), "unreachable", "", "", printable(store::said_by(vault.name(), status.error()))};
    return row[4];
  }
  std::string remark;
  const std::chrono::nanoseconds apart =
      env::Timestamp::from_seconds(status.value().now_seconds) - env::Timestamp::from_seconds(now);
  const std::int64_t skew = std::chrono::duration_cast<std::chrono::seconds>(apart).count();
  if (skew > kMostClockSkew || skew < -kMostClockSkew) {
    remark = "its clock differs by " + std::to_string(skew) + " s";
    alarms.push_back("vault " + vault.name() + ": " + remark +
                     " from this machine's: one of the two is wrong, and terms and periods go by both");
  }
  if (status.value().policy != policy.version)
    append_item(remark, "it has policy version " + std::to_string(status.value().policy.value()), "; ");
  row = {vault.name(), "ok", std::to_string(status.value().object_count), human_bytes(status.value().free_bytes),
         remark};
  if (const std::uint64_t unlisted = status.value().unlisted_objects; unlisted > 0) {
    alarms.push_back(
        fmt::format("vault {} has lost rows of its table: {} objects lie there that it knows nothing of; "
                    "its next repair brings them back, and its disk has to be looked at",
                    vault.name(), unlisted));
  }
  if (const std::uint64_t damaged = status.value().damaged_objects; damaged > 0) {
    alarms.push_back(
        fmt::format("vault {} has lost {} objects, or holds them damaged, and no other vault gave it a good "
                    "copy: bring back what has one, and look at its disk",
                    vault.name(), damaged));
  }
  for (const store::PeerReadings& reader : status.value().readings) {
    readings +=
        fmt::format("vault {} read {} objects ({}) at vault {}, last on {}\n", printable(reader.vault), reader.objects,
                    human_bytes(reader.bytes), vault.name(), local_time(reader.last_at_seconds));
  }
  return {};
}

std::string mode_text(const format::ListingEntry& entry) {
  std::string text = "?---------";
  switch (entry.type) {
    case format::EntryType::Regular:
      text[0] = '-';
      break;
    case format::EntryType::Directory:
      text[0] = 'd';
      break;
    case format::EntryType::Symlink:
      text[0] = 'l';
      break;
    case format::EntryType::Fifo:
      text[0] = 'p';
      break;
    case format::EntryType::Socket:
      text[0] = 's';
      break;
    case format::EntryType::CharDevice:
      text[0] = 'c';
      break;
    case format::EntryType::BlockDevice:
      text[0] = 'b';
      break;
  }
  constexpr std::string_view kBits = "rwxrwxrwx";
  for (std::size_t i = 0; i < 9; ++i) {
    if ((entry.mode >> (8 - i) & 1U) != 0) text[i + 1] = kBits[i];
  }
  if ((entry.mode & 04000U) != 0) text[3] = text[3] == 'x' ? 's' : 'S';
  if ((entry.mode & 02000U) != 0) text[6] = text[6] == 'x' ? 's' : 'S';
  if ((entry.mode & 01000U) != 0) text[9] = text[9] == 'x' ? 't' : 'T';
  return text;
}

// Prints entries one by one: a listing may be larger than memory.
class EntryPrinter {
 public:
  static Result<EntryPrinter> create(const Context& context, const ListSettings& settings) {
    EntryPrinter printer(context, settings.detailed);
    for (const std::string& path : settings.paths)
      printer.patterns_.push_back(TRY(engine::PathPattern::parse(path.starts_with('/') ? path : "/" + path)));
    for (const std::string& path : settings.paths) {
      std::string plain = path;
      while (plain.ends_with('/')) plain.pop_back();
      while (plain.starts_with('/')) plain.erase(0, 1);
      printer.prefixes_.push_back(plain);
    }
    return printer;
  }

  void print(const format::ListingEntry& entry) {
    if (!wanted(entry)) return;
    ++count_;
    if (context_.json) {
      config::Json json = config::Json::object();
      json.set("path", entry.path)
          .set("type", std::string(1, mode_text(entry)[0]))
          .set("mode", entry.mode)
          .set("user", entry.owner.user)
          .set("group", entry.owner.group)
          .set("size", entry.size)
          .set("modified_ns", entry.modified_ns);
      if (entry.type == format::EntryType::Symlink) json.set("target", entry.link_target);
      context_.terminal.out(json.dump() + "\n");
      return;
    }
    const std::string name = entry.path.empty() ? "." : printable(entry.path);
    if (!detailed_) {
      context_.say(name + "\n");
      return;
    }
    const std::string user =
        entry.owner.user_name.empty() ? std::to_string(entry.owner.user) : printable(entry.owner.user_name);
    const std::string group =
        entry.owner.group_name.empty() ? std::to_string(entry.owner.group) : printable(entry.owner.group_name);
    std::string line = fmt::format("{} {:>8} {:>8} {:>12} {} {}", mode_text(entry), user, group, entry.size,
                                   local_time(env::Timestamp{entry.modified_ns}.seconds()), name);
    if (entry.type == format::EntryType::Symlink) line += " -> " + printable(entry.link_target);
    context_.say(line + "\n");
  }
  std::uint64_t count() const { return count_; }

 private:
  EntryPrinter(const Context& context, bool detailed) : context_(context), detailed_(detailed) {}
  bool wanted(const format::ListingEntry& entry) const {
    if (patterns_.empty()) return true;
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (entry.path == prefixes_[i] || entry.path.starts_with(prefixes_[i] + "/")) return true;
      if (patterns_[i].matches(entry.path, entry.type == format::EntryType::Directory)) return true;
    }
    return false;
  }

  const Context& context_;
  bool detailed_;
  std::vector<engine::PathPattern> patterns_;
  std::vector<std::string> prefixes_;
  std::uint64_t count_ = 0;
};

struct StatusView {
  const policy::Policy& policy;
  VaultSet& vaults;
  config::Json json = config::Json::object();
  std::string headline{};
  std::vector<std::string> refusals{};  // "lux: why": vaults that did not do what a backup or a restore needs of them
  std::vector<std::string> alarms{};    // what somebody has to look at: they make the exit code
  engine::StoredCheck stored{};         // at home
};

// What a vault that answers lacks, and its own repair brings.
void remark_what_it_lacks(const engine::StoredCheck& stored, const std::string& vault, std::string& remark) {
  if (std::ranges::count(stored.lacking, vault) > 0) append_item(remark, "it lacks objects that k vaults hold", "; ");
  if (std::ranges::count(stored.lacking_segments, vault) > 0)
    append_item(remark, "it lacks some of the databases' log", "; ");
}

Result<ExitCode> show_status(const Context& context, StatusView view) {
  const std::int64_t now = context.env.clock.now().seconds();
  std::vector<std::vector<std::string>> rows = {{"vault", "state", "objects", "free", ""}};
  std::size_t reachable = 0;
  config::Json vaults = config::Json::array();
  std::string readings;
  for (store::VaultApi* vault : view.vaults.all()) {
    std::vector<std::string> row;
    const std::string failure = vault_line(*vault, view.policy, now, row, readings, view.alarms);
    if (failure.empty()) {
      ++reachable;
      remark_what_it_lacks(view.stored, vault->name(), row[4]);
      for (const std::string& refusal : view.refusals) {
        if (refusal.starts_with(vault->name() + ": "))
          view.alarms.push_back("vault answers, and refuses its work: " + refusal);
      }
    } else {
      view.alarms.push_back("vault " + vault->name() + " does not answer");
    }
    vaults.push(
        config::Json::object().set("vault", vault->name()).set("reachable", failure.empty()).set("remark", row[4]));
    rows.push_back(std::move(row));
  }
  if (context.stop.stop_requested()) return Error(Code::Cancelled, "interrupted");  // they were not asked to the end
  const std::int64_t policy_days = (view.policy.expires_seconds - now) / 86400;
  if (policy_days < 90)
    view.alarms.push_back("the policy expires in " + std::to_string(policy_days) + " days: prepare its successor");
  view.json.set("reachable", reachable).set("vaults", std::move(vaults));
  std::string text = view.headline + render_table(rows, "llrrl") + view.policy.quorum_in_words() + "\n" + readings;
  if (view.policy.is_trial()) text += "trial realm: a single vault protects against nothing but mistakes\n";
  config::Json alarms = config::Json::array();
  for (const std::string& alarm : view.alarms) {
    text += "alarm: " + alarm + "\n";
    alarms.push(alarm);
  }
  view.json.set("ok", reachable >= view.policy.quorum.k && view.alarms.empty()).set("alarms", std::move(alarms));
  context.print(text, view.json);
  if (reachable < view.policy.quorum.k) {
    context.note("exclave: only " + std::to_string(reachable) + " of " + std::to_string(view.policy.vaults.size()) +
                 " vaults answer, " + std::to_string(view.policy.quorum.k) + " are needed for a backup\n" +
                 "  hint: look at the vaults above: their machines, the network, and `exclave vault`");
    return kUnreachable;
  }
  return view.alarms.empty() ? kOk : kPartial;
}

// When `era` has run out, and when four fifths of it have.
std::int64_t end_of(const policy::Era& era) {
  return era.start_of(format::PeriodNumber(static_cast<std::uint32_t>(era.periods.size())));
}
bool is_nearly_over(const policy::Era& era, std::int64_t now) {
  return now >= era.starts_seconds + (end_of(era) - era.starts_seconds) / 5 * 4;
}

// Of the era in which the agent is, and of the newest that it could go on in: all begin at their ceremony, so that one
// kept in reserve ages too. Officials take weeks to meet, so this says it before the last period has ended.
std::vector<std::string> era_alarms(const AgentHome& home, std::int64_t now) {
  const policy::Era& running = home.era().era;
  const policy::Era* newest = &running;
  for (const policy::SignedEra& each : home.acts().eras) {
    if (each.era.registry == running.registry && each.era.number > newest->number) newest = &each.era;
  }
  const auto told = [&](const policy::Era& era) {
    const std::string name = "era " + std::to_string(era.number.value());
    return era.has_run_out(now) ? name + "'s last period has ended"
                                : name + " is over by four fifths and ends at " + local_time(end_of(era));
  };
  std::vector<std::string> alarms;
  if (is_nearly_over(running, now)) {
    alarms.push_back(told(running) +
                     (newest == &running || newest->has_run_out(now)
                          ? ": hold a ceremony and go on in the next era"
                          : ": go on in era " + std::to_string(newest->number.value()) +
                                " with the operator's keys: end exclave agent run, then exclave agent recover"));
  }
  if (newest != &running && is_nearly_over(*newest, now))
    alarms.push_back(told(*newest) + ", and it is the newest there is: hold a ceremony");
  return alarms;
}

LastBases find_last_bases(const Context& context, const std::string& home, const config::Json& databases,
                          const std::vector<repo::SnapshotSummary>& snapshots) {
  LastBases bases;
  for (const config::Json& each : databases["databases"].elements()) {
    const std::string dataset = each["dataset"].string();
    const auto last = std::find_if(snapshots.rbegin(), snapshots.rend(), [&](const repo::SnapshotSummary& snapshot) {
      return snapshot.dataset == dataset && snapshot.kind == format::DatasetKind::Database;
    });
    if (last == snapshots.rend()) continue;
    bases.emplace(dataset, LastBase{last->name.hex(), env::Timestamp{last->started_ns}.seconds(),
                                    noted_base_end(context, home, dataset)});
  }
  return bases;
}

// The newest snapshot of each dataset: one that fails for months must not hide behind another.
void show_datasets(const std::vector<repo::SnapshotSummary>& snapshots, std::int64_t now,
                   std::optional<std::chrono::nanoseconds> max_age, StatusView& view) {
  std::map<std::string, const repo::SnapshotSummary*> newest;
  for (const repo::SnapshotSummary& snapshot : snapshots) newest[snapshot.dataset] = &snapshot;
  config::Json list = config::Json::array();
  for (const auto& [dataset, snapshot] : newest) {
    const std::int64_t taken = env::Timestamp{snapshot->started_ns}.seconds();
    const std::chrono::seconds age(std::max<std::int64_t>(0, now - taken));
    const std::string shown = "dataset " + printable(dataset);
    view.headline += fmt::format("{}: last snapshot {} from {} ({} ago), durable\n", shown,
                                 short_hex(snapshot->name.view()), local_time(taken), human_duration(age));
    if (snapshot->totals.unreadable > 0) {
      view.alarms.push_back(shown + ": its last snapshot lacks " + std::to_string(snapshot->totals.unreadable) +
                            " entries that could not be read whole");
    }
    if (max_age.has_value() && age > *max_age)
      view.alarms.push_back(shown + ": its last snapshot is " + human_duration(age) + " old");
    list.push(config::Json::object()
                  .set("dataset", dataset)
                  .set("snapshot", snapshot->name.hex())
                  .set("age_seconds", now - taken)
                  .set("unreadable", snapshot->totals.unreadable));
  }
  view.json.set("datasets", std::move(list));
  if (snapshots.empty()) return;
  view.json.set("last_snapshot", snapshots.back().name.hex())
      .set("last_snapshot_age_seconds", now - env::Timestamp{snapshots.back().started_ns}.seconds());
}

// Whether the vaults still hold what they once confirmed.
void check_stored(const Context& context, const AgentHome& home, const std::string& directory, EraMemory memory,
                  StatusView& view) {
  std::optional<Error> unlisted;
  const auto journals_at_home = [&]() -> std::optional<std::set<std::uint64_t>> {
    auto journals = agent::journals_at_home(context.env.files, directory);
    if (journals.ok()) return journals.take();
    unlisted = journals.take_error();
    return std::nullopt;
  };
  view.stored = engine::check_stored(
      home.pinned(), home.era().era.number,
      {std::move(memory.receipts), std::move(memory.relied), std::nullopt, journals_at_home}, view.vaults.all());
  if (unlisted.has_value()) {
    view.alarms.push_back("whether the vaults still hold the databases' log was not looked at: " + unlisted->message());
  }
  if (view.stored.endangered > 0) view.alarms.push_back(endangered_in_words(view.stored, view.policy));
  if (view.stored.endangered_segments > 0) view.alarms.push_back(endangered_log_in_words(view.stored, view.policy));
  if (view.stored.has_nearly_all_streams()) view.alarms.push_back(streams_in_words(view.stored));
  view.json.set("endangered", view.stored.endangered).set("streams", view.stored.streams);
  if (view.stored.are_journals_known) view.json.set("endangered_segments", view.stored.endangered_segments);
}

Result<ExitCode> status_at_home(const Context& context, const StatusSettings& settings) {
  const auto home = TRY(AgentHome::open(context, settings.place.home, HomeUse::Looks));
  const auto vaults = TRY(VaultSet::connect(context, home->policy(), home->writer(), Patience::InTurn));
  vaults->shutdown_at(context.stop);
  EraMemory memory = TRY(home->look(context));
  const std::vector<repo::SnapshotSummary> snapshots = std::move(memory.snapshots);
  const std::int64_t now = context.env.clock.now().seconds();
  StatusView view{home->policy(), *vaults};
  view.headline = "registry " + home->registry().name + ", era " + std::to_string(home->era().era.number.value());
  view.headline += snapshots.empty() ? ": nothing is protected yet\n" : "\n";
  if (snapshots.empty()) view.alarms.push_back("nothing is protected yet in this era: run exclave backup");
  std::optional<std::chrono::nanoseconds> max_age;
  if (!settings.max_age.empty())
    max_age = std::chrono::seconds(TRY(parse_seconds(settings.max_age, "--max-age", kLongestAgeSeconds)));
  show_datasets(snapshots, now, max_age, view);
  for (std::string& alarm : era_alarms(*home, now)) view.alarms.push_back(std::move(alarm));
  check_stored(context, *home, settings.place.home, std::move(memory), view);
  if (TRY(env::exists(context.env.files, env::join_path(settings.place.home, "agent.toml")))) {
    config::Json databases = read_agent_status(context, settings.place.home);
    if (databases.is_null()) {
      view.alarms.push_back("the agent does not run: no database is protected (exclave agent run)");
    } else {
      const LastBases last_bases = find_last_bases(context, settings.place.home, databases, snapshots);
      view.headline += databases_in_words(databases, last_bases, now, view.alarms);
      config::Json estimates = config::Json::array();
      view.headline += restore_estimates(context, settings.place.home, home->registry().name, databases, estimates);
      view.json.set("restore_estimates", std::move(estimates));
      config::Json cuts = read_cut_statuses(context, settings.place.home);
      view.headline += cuts_in_words(cuts, now, view.alarms);
      view.json.set("last_bases", last_bases_json(databases, last_bases))
          .set("cuts", std::move(cuts))
          .set("agent", std::move(databases));
    }
  }
  view.json.set("registry", home->registry().name)
      .set("era", home->era().era.number.value())
      .set("snapshots", snapshots.size());
  for (store::VaultApi* vault : vaults->all()) {
    const auto quota = vault->quota(home->registry().id);
    if (!quota.ok()) {
      view.refusals.push_back(printable(store::in_list(vault->name(), quota.error())));
      continue;
    }
    if (quota.value().used_bytes > quota.value().quota_bytes / 10 * 9) {
      view.alarms.push_back("vault " + vault->name() + " has used " + human_bytes(quota.value().used_bytes) + " of " +
                            human_bytes(quota.value().quota_bytes));
    }
  }
  return show_status(context, std::move(view));
}

// One line for each release whose recipient key is still here: nobody else can know when it is carried out.
std::string reminder_of(const std::vector<std::string>& open, const std::string& site) {
  std::string text;
  for (const std::string& id : open) {
    text += "release " + id.substr(0, 12) +
            " is open; when it is carried out, erase its key: exclave release close --site " + printable(site) + " " +
            id.substr(0, 12) + "\n";
  }
  return text;
}

Result<ExitCode> status_at_site(const Context& context, const StatusSettings& settings) {
  if (!settings.max_age.empty()) return Error(Code::InvalidInput, "--max-age belongs to --home").hint("leave it out");
  const auto site = TRY(SiteFolder::open(context, settings.place));
  auto holdings = engine::find_holdings(context.env.clock, context.env.threads, site->pinned(), site->vaults().all());
  if (holdings.ok()) engine::confirm_latest(holdings.value());
  StatusView view{site->policy(), site->vaults()};
  view.headline = "registry " + site->registry().name + ": ";
  if (!holdings.ok()) {
    view.headline += "no vault answers\n";
  } else if (holdings.value().snapshots.empty()) {
    view.headline += "the vaults hold no snapshot\n";
    view.alarms.push_back("nothing could be restored: the vaults hold no snapshot");
  } else {
    const engine::FoundSnapshot& last = holdings.value().snapshots.back();
    std::string where;
    for (const std::string& vault : last.complete_at) append_item(where, vault);
    view.headline += "could be restored to snapshot " + short_hex(last.object.name.view()) + " of " +
                     local_time(last.taken_at_seconds) + ", complete at " + where + "\n";
    const policy::SignedEra* const era = TRY(site->acts().era(site->registry(), last.era));
    const std::uint32_t approvals = policy::approvals_needed(site->policy(), site->registry(), era->era);
    view.headline += std::to_string(approvals) + " officials must release era " + std::to_string(last.era.value()) +
                     ", periods " + std::to_string(last.oldest_period.value()) + " to " +
                     std::to_string(last.object.period.value()) + "\n";
    view.json.set("last_snapshot", last.object.name.hex()).set("complete_at", last.complete_at.size());
  }
  if (holdings.ok()) {
    for (const std::string& problem : holdings.value().problems) view.alarms.push_back(problem);
    view.refusals = holdings.value().unreachable;
  }
  const std::vector<std::string> open = TRY(open_releases(context.env.files, site->directory()));
  view.headline += restores_in_words(context, site->directory(), site->registry().name);
  view.headline += reminder_of(open, site->directory());
  view.json.set("registry", site->registry().name).set("open_releases", open.size());
  return show_status(context, std::move(view));
}

}  // namespace

Result<ExitCode> run(const Context& context, const StatusSettings& settings) {
  return settings.place.home.empty() ? status_at_site(context, settings) : status_at_home(context, settings);
}

Result<ExitCode> run(const Context& context, const ListSettings& settings) {
  EntryPrinter printer = TRY(EntryPrinter::create(context, settings));
  if (!settings.place.home.empty()) {
    if (settings.snapshot != "latest") {
      return Error(Code::Denied, "at home only the last listing can be shown: the agent cannot open snapshots")
          .hint("leave --snapshot out, or look at a site with released keys");
    }
    const auto home = TRY(AgentHome::open(context, settings.place.home, HomeUse::Looks));
    const std::string dataset = settings.open.dataset.empty() ? "files" : settings.open.dataset;
    auto opened = repo::CatalogueReader::open(context.env.files, home->state_directory(), dataset);
    if (!opened.ok() && opened.error().code() == Code::NotFound) {
      return Error(Code::NotFound, "dataset '" + printable(dataset) + "' has not been captured in this era")
          .hint("see what was: exclave snapshots --home DIRECTORY");
    }
    repo::CatalogueReader catalogue = TRY(std::move(opened));
    while (const auto entry = TRY(catalogue.next())) printer.print(entry->entry);
  } else {
    const auto site = TRY(SiteFolder::open(context, settings.place));
    const ReleasedSnapshot released = TRY(open_released(context, *site, settings.open, settings.snapshot));
    TRY(released.content->for_each_entry([&](const format::ListingEntry& entry) -> Status {
      printer.print(entry);
      return {};
    }));
  }
  if (printer.count() == 0) return Error(Code::NotFound, "nothing in the snapshot matches");
  return kOk;
}

Result<ExitCode> run(const Context& context, const VerifySettings& settings) {
  if (!settings.place.home.empty()) {
    return Error(Code::Denied, "the vaults do not let an agent read entries or objects")
        .hint("verify at a site: exclave verify --site DIRECTORY");
  }
  const auto site = TRY(SiteFolder::open(context, settings.place));
  const engine::HoldingsVerdict verdict = TRY(engine::verify_holdings(
      context.env, site->pinned(), site->vaults().all(),
      settings.read_all ? engine::Reading::EveryByte : engine::Reading::HeadersOnly, context.stop));
  std::vector<std::vector<std::string>> rows = {
      {"vault", "streams", "entries", "objects", "read", "findings", "behind"}};
  config::Json vaults = config::Json::array();
  std::string findings;
  for (const engine::VaultVerdict& vault : verdict.vaults) {
    rows.push_back({vault.vault, std::to_string(vault.streams), std::to_string(vault.entries),
                    std::to_string(vault.objects), human_bytes(vault.bytes_read), std::to_string(vault.finding_count),
                    std::to_string(vault.behind.size())});
    config::Json list = config::Json::array();
    for (const std::string& finding : vault.findings) {
      findings += "vault " + vault.vault + ": " + finding + "\n";
      list.push(finding);
    }
    if (!vault.reachable) findings += "vault " + vault.vault + ": " + vault.connection + "\n";
    config::Json behind = config::Json::array();
    for (const std::string& stream : vault.behind) {
      findings += "vault " + vault.vault + " is behind: " + stream + "\n";
      behind.push(stream);
    }
    vaults.push(config::Json::object()
                    .set("vault", vault.vault)
                    .set("reachable", vault.reachable)
                    .set("entries", vault.entries)
                    .set("objects", vault.objects)
                    .set("findings", std::move(list))
                    .set("behind", std::move(behind)));
  }
  for (const std::string& problem : verdict.problems) findings += problem + "\n";
  std::string text = render_table(rows, "lrrrrrr") + findings;
  config::Json json = config::Json::object();
  json.set("clean", verdict.is_clean()).set("vaults", std::move(vaults));
  bool damaged = verdict.is_damaged();
  if (!settings.open.release.empty()) {
    const ReleasedSnapshot released = TRY(open_released(context, *site, settings.open, settings.snapshot));
    const engine::ContentVerdict inside = TRY(engine::verify_content(*released.content, context.stop));
    text += fmt::format("snapshot {}: {} entries, {} chunks of {} opened and checked, {} findings\n",
                        short_hex(released.snapshot.object.name.view()), inside.entries, inside.chunks,
                        human_bytes(inside.bytes), inside.findings.size());
    for (const std::string& finding : inside.findings) text += finding + "\n";
    damaged = damaged || !inside.findings.empty();
    json.set("chunks", inside.chunks).set("content_findings", inside.findings.size());
  }
  const std::vector<std::string> open = TRY(open_releases(context.env.files, site->directory()));
  text += reminder_of(open, site->directory());
  json.set("open_releases", open.size());
  const bool clean = !damaged && verdict.is_clean();
  text += clean ? "clean\n" : damaged ? "NOT clean\n" : "nothing is damaged, but not every vault holds everything\n";
  json.set("ok", clean);
  context.print(text, json);
  if (clean) return kOk;
  if (damaged) return kCorruption;
  return verdict.is_reachable() ? kPartial : kUnreachable;
}

Result<ExitCode> run(const Context& context, const NameSettings& settings) {
  const auto file = TRY(context.env.files.open_file(settings.file));
  file->sequential();
  crypto::TreeHasher hasher;
  Bytes buffer(1U << 20);
  std::uint64_t at = 0;
  while (true) {
    const std::size_t got = TRY(file->read_at(at, buffer));
    if (got == 0) break;
    hasher.update(ByteView(buffer).first(got));
    at += got;
  }
  const std::string name = hasher.finish().hex();
  context.print(name + "\n", config::Json::object().set("ok", true).set("name", name).set("bytes", at));
  return kOk;
}

}  // namespace exclave::cli
