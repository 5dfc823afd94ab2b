// Settings: what one invocation asks for, typed. parse.h fills them from the command line; commands take them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace exclave::cli {

struct RealmCreateSettings {
  std::string directory;
  std::string name;
  std::vector<std::string> officials;
  std::vector<std::string> vaults;  // NAME=ADDRESS
  std::vector<std::string> registries;
  std::string site = "rebuild";
  std::uint32_t threshold = 0;  // 0: a majority of the officials
  std::string quota = "1 TB";
  std::string retention = "3650 days";
  std::string period = "7 days";
  std::uint32_t periods = 54;  // of the era in which agents begin; those in reserve have as many as an era can have
  std::uint32_t eras = 2;
};

struct EraSettings {  // ceremony era
  std::string realm;
  std::string registry;
  std::uint32_t eras = 1;
  std::string period = "7 days";
  std::uint32_t periods = 80;  // the most: it ages from now on, and will be used when another has run out
};

struct VaultSettings {
  std::string directory;
  std::string listen;  // empty: the address in the policy
  std::string repair_every = "15 min";
  std::string scrub_every = "7 days";
};

struct RepairSettings {
  std::string directory;  // a vault's
  bool scrub = false;
};

struct BackupSettings {
  std::string home;
  std::string source;    // a directory; or
  std::string database;  // a dataset of agent.toml
  bool keep_bad_pages = false;
  std::string dataset = "files";
  std::vector<std::string> excludes;
  bool one_file_system = false;
  bool verify_content = false;
  bool moved = false;
  bool dry_run = false;
  bool wait_all = false;
  bool stages = false;
};

struct AgentRunSettings {
  std::string home;
  std::string config;  // empty: HOME/agent.toml
};

struct CutSettings {
  std::string home;
  std::string group;
};

struct WalFetchSettings {  // what a restored server's restore_command runs
  std::string directory;
  std::string name;
  std::string target;
};

struct IngestSettings {
  std::string home;
  std::string dataset;
  std::vector<std::string> command;  // empty: standard input
  bool wait_all = false;
};

// Where a command looks from: an agent's home or a site's directory. Exactly one is set.
struct PlaceSettings {
  std::string home;
  std::string site;
  std::string registry;  // at a site; may be left out if the policy has one
};

struct StatusSettings {
  PlaceSettings place;
  std::string max_age;  // of each dataset's last snapshot; empty: any
};

struct OpenSettings {  // how a site opens what was released, and which dataset's latest snapshot it means
  std::string dataset;
  std::string release;
  std::vector<std::string> approvals;
};

struct SnapshotsSettings {
  PlaceSettings place;
  OpenSettings open;  // at a site: to tell of which dataset each is
};

struct ListSettings {
  PlaceSettings place;
  OpenSettings open;
  std::string snapshot = "latest";
  std::vector<std::string> paths;
  bool detailed = false;
};

struct ReleaseRequestSettings {
  PlaceSettings place;
  std::string snapshot = "latest";
  bool all = false;  // periods of every snapshot of the latest one's era
  std::string reason;
  std::string valid = "24 h";
  std::string output;
};

struct ReleaseShowSettings {
  std::string official;
  std::string release;
};

struct ReleaseApproveSettings {
  std::string official;
  std::string release;
  std::string output;
  bool yes = false;
  bool paper = false;  // open the share with the paper key
};

struct ReleaseCloseSettings {
  std::string site;
  std::string request;  // its file, or the first digits of its id
};

struct RestoreSettings {
  PlaceSettings place;
  OpenSettings open;
  std::string snapshot = "latest";
  std::vector<std::string> releases;  // several: with all, one for each registry. open.release is not looked at
  bool all = false;  // every dataset, each in TARGET/DATASET; of several registries TARGET/REGISTRY/DATASET
  std::vector<std::string> leave_out;  // with all: DATASET, or REGISTRY/DATASET of several registries
  std::string target;
  std::string
      wal;  // of a database: where its log goes; empty: TARGET.wal. With all: WAL/DATASET, or WAL/REGISTRY/DATASET
  std::string to = "latest";
  bool accept_unproven_end = false;
  std::vector<std::string> paths;
  bool no_sync = false;
  bool stages = false;
};

struct VerifySettings {
  PlaceSettings place;
  OpenSettings open;
  std::string snapshot = "latest";
  bool read_all = false;
};

struct RecoverSettings {  // agent recover
  std::string home;
  std::string keys;
};

struct NameSettings {
  std::string file;
};

using CommandSettings =
    std::variant<RealmCreateSettings, EraSettings, VaultSettings, AgentRunSettings, CutSettings, WalFetchSettings,
                 BackupSettings, IngestSettings, StatusSettings, RepairSettings, SnapshotsSettings, ListSettings,
                 ReleaseRequestSettings, ReleaseShowSettings, ReleaseApproveSettings, ReleaseCloseSettings,
                 RestoreSettings, VerifySettings, RecoverSettings, NameSettings>;

struct Invocation {
  CommandSettings command;
  bool json = false;
  bool quiet = false;
};

}  // namespace exclave::cli
