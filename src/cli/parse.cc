#include "cli/parse.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "base/text.h"

namespace exclave::cli {
namespace {

constexpr int kUsageExitCode = 2;

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 partial, 10 not found, 11 locked, 12 key refused,\n"
    "            13 corruption found, 14 unreachable, 130 interrupted.\n"
    "Start with: README.md (ten minutes), docs/operations/ (by role).";

class Parser {
 public:
  Parser() : app_("Keeps a realm's records alive outside its borders.", "exclave") {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "exclave 0.1.0");
    app_.footer(kFooter);
    app_.fallthrough();
    app_.add_flag("--json", json_, "print one JSON object on standard output");
    app_.add_flag("-q,--quiet", quiet_, "no progress");
    add_realm();
    add_daemons();
    add_capture();
    add_looking();
    add_release();
    add_restore();
    add_wal();
  }

  std::variant<Invocation, Ended> parse(std::vector<std::string> arguments) {
    if (auto unknown = unknown_command(arguments)) return std::move(*unknown);
    try {
      std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
      app_.parse(arguments);
    } catch (const CLI::ParseError& error) {
      std::ostringstream out;
      std::ostringstream err;
      const int code = app_.exit(error, out, err);
      if (code == 0) return Ended{0, out.str()};
      std::string text = err.str();
      if (text.find("--help") == std::string::npos) text += "Run with --help for more information.\n";
      return Ended{kUsageExitCode, "exclave: " + text};
    }
    return Invocation{(*chosen_)(), json_, quiet_};
  }

 private:
  // CLI11 would only say that a command is missing.
  std::optional<Ended> unknown_command(const std::vector<std::string>& arguments) const {
    if (arguments.empty() || arguments.front().starts_with('-')) return std::nullopt;
    const std::string& name = arguments.front();
    const auto has_name = [&](const CLI::App* command) { return command->get_name() == name; };
    if (!app_.get_subcommands(has_name).empty()) return std::nullopt;
    return Ended{kUsageExitCode,
                 "exclave: there is no command '" + printable(name) + "'\nRun with --help for more information.\n"};
  }

  // A subcommand whose settings live as long as the parser.
  template <typename Settings, typename Fill>
  void add(CLI::App& parent, const std::string& name, const std::string& description, Fill&& fill) {
    CLI::App* command = parent.add_subcommand(name, description);
    auto settings = std::make_shared<Settings>();
    fill(*command, *settings);
    command->callback([this, settings] { chosen_ = [settings] { return CommandSettings(*settings); }; });
  }

  // One value each time it is given: what follows is no further value, but a path.
  static CLI::Option* add_list(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                               const std::string& description) {
    return command.add_option(name, values, description)->allow_extra_args(false);
  }
  static void add_place(CLI::App& command, PlaceSettings& place) {
    auto* home = command.add_option("--home", place.home, "the agent's directory");
    auto* site = command.add_option("--site", place.site, "an executing site's directory");
    command.add_option("--registry", place.registry, "which registry (at a site with several)");
    home->excludes(site);
    command.parse_complete_callback([home, site] {
      if (home->empty() && site->empty()) throw CLI::RequiredError("--home DIRECTORY or --site DIRECTORY");
    });
  }
  static void add_release_files(CLI::App& command, OpenSettings& open) {
    command.add_option("--release", open.release, "the release request the officials approved");
    add_approvals(command, open);
  }
  static void add_approvals(CLI::App& command, OpenSettings& open) {
    add_list(command, "--approval", open.approvals, "an official's approval (give it once for each)");
  }
  static void add_open(CLI::App& command, OpenSettings& open) {
    add_release_files(command, open);
    add_dataset(command, open);
  }
  // At a site nothing can be opened without one; at home none is of use.
  static void need_release_at_site(CLI::App& command) {
    command.get_option("--site")->needs(command.get_option("--release"));
  }
  static void add_dataset(CLI::App& command, OpenSettings& open) {
    command.add_option("--dataset", open.dataset,
                       "whose latest snapshot or listing (default: at a site the only one there is; at home: files)");
  }

  void add_realm() {
    CLI::App* realm = app_.add_subcommand("realm", "create a realm")->require_subcommand(1);
    add<RealmCreateSettings>(
        *realm, "create", "make keys, policy and share books, one folder per person and machine",
        [](CLI::App& command, RealmCreateSettings& s) {
          command.add_option("directory", s.directory, "a directory that does not exist yet")->required();
          command.add_option("--name", s.name, "the realm's name, for people")->required();
          add_list(command, "--official", s.officials, "an official's name (give it once for each)")->required();
          add_list(command, "--vault", s.vaults, "NAME=HOST:PORT or NAME=dir:PATH (give it once for each)")->required();
          add_list(command, "--registry", s.registries, "a registry's name (give it once for each)")->required();
          command.add_option("--threshold", s.threshold, "officials needed to open anything");
          command.add_option("--site", s.site, "the executing site's name")->capture_default_str();
          command.add_option("--quota", s.quota, "per registry and vault")->capture_default_str();
          command.add_option("--retention", s.retention, "how long objects are kept")->capture_default_str();
          command.add_option("--period", s.period, "the unit of release")->capture_default_str();
          command.add_option("--periods", s.periods, "periods of the first era")
              ->capture_default_str()
              ->check(CLI::Range(1, 80));
          command.add_option("--eras", s.eras, "eras to open at once")->capture_default_str()->check(CLI::Range(2, 20));
        });
    CLI::App* ceremony = app_.add_subcommand("ceremony", "open further eras")->require_subcommand(1);
    add<EraSettings>(*ceremony, "era", "make the keys of a registry's next era", [](CLI::App& command, EraSettings& s) {
      command.add_option("realm", s.realm, "the realm's directory, as made by `realm create`")->required();
      command.add_option("--registry", s.registry, "which registry")->required();
      command.add_option("--eras", s.eras, "how many")->capture_default_str()->check(CLI::Range(1, 20));
      command.add_option("--period", s.period, "the unit of release")->capture_default_str();
      command.add_option("--periods", s.periods, "periods per era")->capture_default_str()->check(CLI::Range(1, 80));
    });
  }

  void add_daemons() {
    add<VaultSettings>(app_, "vault", "run a vault in the foreground (SIGTERM drains and ends it)",
                       [](CLI::App& command, VaultSettings& s) {
                         command.add_option("directory", s.directory, "the vault's directory")->required();
                         command.add_option("--listen", s.listen, "HOST:PORT, if it differs from the policy's address");
                         command
                             .add_option("--repair-every", s.repair_every,
                                         "how often gaps are filled from the other vaults ('never': not at all)")
                             ->capture_default_str();
                         command
                             .add_option("--scrub-every", s.scrub_every,
                                         "how often every byte held is read and checked ('never': not at all)")
                             ->capture_default_str();
                       });
    add<RepairSettings>(app_, "repair", "fill a stopped vault's gaps from the other vaults, once",
                        [](CLI::App& command, RepairSettings& s) {
                          command.add_option("directory", s.directory, "the vault's directory")->required();
                          command.add_flag("--scrub", s.scrub, "read every byte held and replace what is damaged");
                        });
    CLI::App* agent =
        app_.add_subcommand("agent", "protect databases; care for an agent's keys and state")->require_subcommand(1);
    add<AgentRunSettings>(*agent, "run", "stream the databases of agent.toml in the foreground (SIGTERM ends it)",
                          [](CLI::App& command, AgentRunSettings& s) {
                            command.add_option("--home", s.home, "the agent's directory")->required();
                            command.add_option("--config", s.config, "instead of HOME/agent.toml");
                          });
    add<RecoverSettings>(*agent, "recover",
                         "open the next era with the operator's offline key file, after the agent's disk was lost",
                         [](CLI::App& command, RecoverSettings& s) {
                           command.add_option("--home", s.home, "the agent's directory")->required();
                           command.add_option("--keys", s.keys, "the next era's key file")->required();
                         });
  }

  void add_capture() {
    add<BackupSettings>(
        app_, "backup", "capture a file tree, or a database's base backup, into the vaults",
        [](CLI::App& command, BackupSettings& s) {
          command.add_option("--home", s.home, "the agent's directory")->required();
          auto* source = command.add_option("source", s.source, "the directory to capture");
          auto* database = command.add_option("--database", s.database,
                                              "instead: take a base backup of this dataset of HOME/agent.toml");
          auto* dataset = command.add_option("--dataset", s.dataset, "the dataset's name")->capture_default_str();
          auto* excludes = add_list(command, "--exclude", s.excludes, "leave out what matches (give it once for each)");
          auto* border = command.add_flag("--one-file-system", s.one_file_system, "do not enter other file systems");
          auto* content =
              command.add_flag("--verify-content", s.verify_content, "read every file, also unchanged ones");
          auto* moved = command.add_flag("--moved", s.moved, "the dataset's tree lies in another directory now");
          auto* dry_run = command.add_flag("--dry-run", s.dry_run, "look, but send nothing");
          for (CLI::Option* of_trees : {source, dataset, excludes, border, content, moved, dry_run})
            database->excludes(of_trees);
          command
              .add_flag("--keep-bad-pages", s.keep_bad_pages,
                        "keep a base backup whose pages do not bear their checksums (exit code 3)")
              ->needs(database);
          command.add_flag("--wait-all", s.wait_all, "end only when every vault holds everything");
          command.add_flag("--stages", s.stages, "print where the time went");
        });
    add<CutSettings>(app_, "cut", "take one instant over a group of databases, now (its agent runs)",
                     [](CLI::App& command, CutSettings& s) {
                       command.add_option("--home", s.home, "the coordinating agent's directory")->required();
                       command.add_option("group", s.group, "the group's name in agent.toml")->required();
                     });
    add<IngestSettings>(app_, "ingest", "capture standard input, or a command's output, if it ends cleanly",
                        [](CLI::App& command, IngestSettings& s) {
                          command.add_option("--home", s.home, "the agent's directory")->required();
                          command.add_option("dataset", s.dataset, "the dataset's name")->required();
                          command.add_option("command", s.command, "a command and its arguments, after --");
                          command.add_flag("--wait-all", s.wait_all, "end only when every vault holds everything");
                        });
  }

  void add_looking() {
    add<StatusSettings>(
        app_, "status", "could we restore, from where, how old", [](CLI::App& command, StatusSettings& s) {
          add_place(command, s.place);
          command.add_option("--max-age", s.max_age,
                             "at home: an alarm for each dataset whose last snapshot is older, such as 26h");
        });
    add<SnapshotsSettings>(app_, "snapshots", "list snapshots; at a site with a release also their datasets",
                           [](CLI::App& command, SnapshotsSettings& s) {
                             add_place(command, s.place);
                             add_release_files(command, s.open);
                           });
    add<ListSettings>(app_, "ls", "list a snapshot's entries", [](CLI::App& command, ListSettings& s) {
      add_place(command, s.place);
      add_open(command, s.open);
      need_release_at_site(command);
      command.add_option("--snapshot", s.snapshot, "'latest' or the first digits of its name")->capture_default_str();
      command.add_flag("-l,--long", s.detailed, "mode, owner, size and time");
      command.add_option("paths", s.paths, "paths or patterns");
    });
    add<VerifySettings>(
        app_, "verify", "check that the vaults hold what they gave receipts for",
        [](CLI::App& command, VerifySettings& s) {
          add_place(command, s.place);
          add_open(command, s.open);
          command.add_option("--snapshot", s.snapshot, "with released keys: which snapshot to open whole")
              ->capture_default_str();
          command.add_flag("--read-all", s.read_all, "read every byte of every object and check its name");
        });
    add<NameSettings>(app_, "name", "print the name a vault must give a file", [](CLI::App& command, NameSettings& s) {
      command.add_option("file", s.file, "an object's file")->required();
    });
  }

  void add_release() {
    CLI::App* release =
        app_.add_subcommand("release", "open periods to a site, with the officials")->require_subcommand(1);
    add<ReleaseRequestSettings>(
        *release, "request", "at the site: ask for the periods a snapshot needs",
        [](CLI::App& command, ReleaseRequestSettings& s) {
          add_place(command, s.place);
          auto* snapshot = command.add_option("--snapshot", s.snapshot, "'latest' or the first digits of its name")
                               ->capture_default_str();
          command.add_flag("--all", s.all, "what all snapshots of the latest one's era need: for `restore --all`")
              ->excludes(snapshot);
          command.add_option("--reason", s.reason, "what the officials will read")->required();
          command.add_option("--valid", s.valid, "how long the request may be approved")->capture_default_str();
          command.add_option("--out", s.output, "the request's file")->required();
        });
    add<ReleaseShowSettings>(*release, "show", "print what a request asks for",
                             [](CLI::App& command, ReleaseShowSettings& s) {
                               command.add_option("--official", s.official, "the official's directory")->required();
                               command.add_option("request", s.release, "the request's file")->required();
                             });
    add<ReleaseApproveSettings>(*release, "approve", "at an official's station: read, sign, and release the share",
                                [](CLI::App& command, ReleaseApproveSettings& s) {
                                  command.add_option("--official", s.official, "the official's directory")->required();
                                  command.add_option("request", s.release, "the request's file")->required();
                                  command.add_option("--out", s.output, "the approval's file")->required();
                                  command.add_flag("--yes", s.yes, "do not ask (the official has read the request)");
                                  command.add_flag("--paper", s.paper, "open the share with the paper key");
                                });
    add<ReleaseCloseSettings>(
        *release, "close", "at the site: erase the key to which the officials' shares were wrapped",
        [](CLI::App& command, ReleaseCloseSettings& s) {
          command.add_option("--site", s.site, "the executing site's directory")->required();
          command.add_option("request", s.request, "the request's file, or the first digits of its id")->required();
        });
  }

  void add_restore() {
    add<RestoreSettings>(app_, "restore", "at a site: restore a snapshot from the vaults' bytes alone",
                         [](CLI::App& command, RestoreSettings& s) {
                           add_place(command, s.place);
                           add_list(command, "--release", s.releases,
                                    "the release request the officials approved (with --all: once for each registry)");
                           need_release_at_site(command);
                           add_approvals(command, s.open);
                           add_dataset(command, s.open);
                           auto* snapshot =
                               command.add_option("--snapshot", s.snapshot, "'latest' or the first digits of its name")
                                   ->capture_default_str();
                           auto* all = command.add_flag("--all", s.all,
                                                        "all datasets of a registry, or of several, at one point of "
                                                        "their databases, each in a directory of its name below the "
                                                        "target (of several: REGISTRY/DATASET)");
                           add_list(command, "--leave-out", s.leave_out,
                                    "with --all: a dataset that is not wanted, or that cannot come back (of several "
                                    "registries: REGISTRY/DATASET)");
                           command.get_option("--leave-out")->needs(all);
                           command.add_option("--target", s.target, "a fresh directory")->required();
                           command
                               .add_option("--to", s.to,
                                           "of a database: 'latest', a position (16/B374D848), a time "
                                           "(2026-11-21T22:34:17Z), cut:ID, or name:LABEL")
                               ->capture_default_str();
                           command.add_option("--wal", s.wal,
                                              "of a database: where its log goes (default: TARGET.wal; with --all: a "
                                              "directory for those of all)");
                           command.add_flag("--accept-unproven-end", s.accept_unproven_end,
                                            "of a database: go on though too few vaults show where its log ends");
                           command.add_flag("--no-sync", s.no_sync, "do not wait until everything is on disk");
                           auto* stages = command.add_flag("--stages", s.stages, "print where the time went");
                           auto* paths = command.add_option("paths", s.paths, "only these paths or patterns");
                           for (CLI::Option* of_one : {snapshot, stages, paths, command.get_option("--dataset")})
                             all->excludes(of_one);
                         });
  }

  void add_wal() {
    CLI::App* wal = app_.add_subcommand("wal", "what a restored database server calls")->require_subcommand(1);
    add<WalFetchSettings>(*wal, "fetch",
                          "hand over a file of the log (exit code 1: it is proven that there is none; 200: trouble)",
                          [](CLI::App& command, WalFetchSettings& s) {
                            command.add_option("directory", s.directory, "as `restore` filled it")->required();
                            command.add_option("name", s.name, "the file's name: %f")->required();
                            command.add_option("target", s.target, "where the server wants it: %p")->required();
                          });
  }

  CLI::App app_;
  bool json_ = false;
  bool quiet_ = false;
  std::optional<std::function<CommandSettings()>> chosen_;
};

}  // namespace

std::variant<Invocation, Ended> parse_command_line(const std::vector<std::string>& arguments) {
  return Parser().parse(arguments);
}

}  // namespace exclave::cli
