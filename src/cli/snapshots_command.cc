#include <map>

#include "base/text.h"
#include "cli/agent_home.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "cli/site_folder.h"
#include "engine/recovery_point.h"
#include "repo/chunk_source.h"

namespace exclave::cli {
namespace {

void show(const Context& context, const std::vector<std::vector<std::string>>& rows, std::string_view alignment,
          config::Json list) {
  context.print(rows.size() == 1 ? "no snapshots yet\n" : render_table(rows, alignment),
                config::Json::object().set("ok", true).set("snapshots", std::move(list)));
}

Result<ExitCode> show_at_home(const Context& context, const std::string& directory) {
  const auto home = TRY(AgentHome::open(context, directory, HomeUse::Looks));
  std::vector<std::vector<std::string>> rows = {{"snapshot", "dataset", "taken", "files", "bytes", "stored", "source"}};
  config::Json list = config::Json::array();
  const EraMemory memory = TRY(home->look(context));
  for (const auto& s : memory.snapshots) {
    rows.push_back({short_hex(s.name.view()), s.dataset, local_time(s.started_ns / 1'000'000'000),
                    std::to_string(s.totals.files), human_bytes(s.totals.bytes), human_bytes(s.stored_bytes),
                    printable(s.source)});
    list.push(config::Json::object()
                  .set("snapshot", s.name.hex())
                  .set("dataset", s.dataset)
                  .set("number", s.number)
                  .set("started_ns", s.started_ns)
                  .set("files", s.totals.files)
                  .set("bytes", s.totals.bytes)
                  .set("stored_bytes", s.stored_bytes)
                  .set("unreadable", s.totals.unreadable)
                  .set("source", s.source));
  }
  show(context, rows, "lllrrrl", std::move(list));
  return kOk;
}

// What vaults show of a registry, and what a release, if there is one, opens of it.
struct Listing {
  engine::RegistryHoldings holdings;
  std::map<format::ObjectName, engine::DatasetSnapshot> opened;
};

Result<Listing> look(const Context& context, SiteFolder& site, const OpenSettings& open) {
  Listing listing;
  if (open.release.empty()) {
    listing.holdings = TRY(site.find_holdings(context));
    site.note_findings(context, listing.holdings);
    return listing;
  }
  ReleasedRegistry released = TRY(open_release(context, site, open));
  listing.holdings = released.holdings;
  engine::set_aside_unreleased(released.holdings, released.era, released.periods);
  const auto record_of = [&](const engine::FoundSnapshot& found) {
    return repo::open_snapshot(*released.opener, found.object);
  };
  engine::DatasetSurvey survey =
      TRY(engine::survey_datasets(context.env.threads, released.holdings.snapshots, record_of, context.stop));
  for (const engine::LostSnapshot& lost : survey.lost) {
    context.note("snapshot " + short_hex(lost.snapshot.object.name.view()) +
                 " cannot be opened: " + lost.why.message());
  }
  const auto add = [&](std::vector<engine::DatasetSnapshot>& snapshots) {
    for (engine::DatasetSnapshot& each : snapshots) listing.opened.emplace(each.found.object.name, std::move(each));
  };
  for (auto& [dataset, snapshots] : survey.datasets) add(snapshots);
  add(survey.of_other_kinds);
  return listing;
}

Result<ExitCode> show_at_site(const Context& context, const SnapshotsSettings& settings) {
  const auto site = TRY(SiteFolder::open(context, settings.place));
  const Listing listing = TRY(look(context, *site, settings.open));
  const bool has_release = !settings.open.release.empty();
  std::vector<std::vector<std::string>> rows = {{"snapshot", "era", "periods", "taken", "complete at"}};
  if (has_release) rows.front().insert(rows.front().end(), {"dataset", "kind"});
  config::Json list = config::Json::array();
  for (const engine::FoundSnapshot& s : listing.holdings.snapshots) {
    std::string where;
    for (const std::string& vault : s.complete_at) append_item(where, vault);
    rows.push_back({short_hex(s.object.name.view()), std::to_string(s.era.value()),
                    std::to_string(s.oldest_period.value()) + "-" + std::to_string(s.object.period.value()),
                    local_time(s.taken_at_seconds), where});
    config::Json json = config::Json::object();
    json.set("snapshot", s.object.name.hex())
        .set("era", s.era.value())
        .set("oldest_period", s.oldest_period.value())
        .set("period", s.object.period.value())
        .set("taken_at", s.taken_at_seconds)
        .set("complete_at", where);
    if (const auto opened = listing.opened.find(s.object.name); opened != listing.opened.end()) {
      const std::string kind(kind_in_words(opened->second.kind));
      rows.back().insert(rows.back().end(), {printable(opened->second.dataset), kind});
      json.set("dataset", opened->second.dataset).set("kind", kind);
    } else if (has_release) {
      rows.back().insert(rows.back().end(), {"not opened", ""});
    }
    list.push(std::move(json));
  }
  show(context, rows, has_release ? "lrlllll" : "lrlll", std::move(list));
  return kOk;
}

}  // namespace

Result<ExitCode> run(const Context& context, const SnapshotsSettings& settings) {
  if (settings.place.home.empty()) return show_at_site(context, settings);
  return show_at_home(context, settings.place.home);
}

}  // namespace exclave::cli
