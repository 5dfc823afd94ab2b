#include "cli/era_writer.h"

#include "base/text.h"
#include "cli/folders.h"

namespace exclave::cli {
namespace {

// An agent would seal for years under keys that a disk or a hand had changed on the way.
Status write_keys_and_read_back(env::FileSystem& files, const std::string& path,
                                const custody::CeremonyResult& result) {
  TRY(custody::write_agent_keys(files, path, result.agent_keys));
  const custody::AgentKeys read = TRY(custody::read_agent_keys(files, path));
  const bool is_whole = read.periods.size() == result.era.era.periods.size();
  if (is_whole && custody::check_agent_keys(read, result.era.era, path).ok()) return {};
  return Error(Code::Corrupt, "'" + printable(path) + "' does not hold what was written to it")
      .hint("hold the ceremony on another disk");
}

}  // namespace

Status write_era(env::FileSystem& files, const std::string& realm_directory, const std::string& registry,
                 const std::string& keeper, const custody::CeremonyResult& result) {
  const auto at = [&](const std::string& path) { return env::join_path(realm_directory, path); };
  const policy::Era& era = result.era.era;
  for (const custody::ShareLeafFile& leaf : result.leaves) {
    const std::string book = at("officials/" + leaf.official + "/share-book");
    TRY(files.make_directories(book, env::kPrivateDirectory));
    TRY(env::replace_file_durably(files, env::join_path(book, custody::leaf_file_name(era.registry, era.number)),
                                  as_bytes(leaf.document), env::kPrivateFile));
    // Without the document no official could approve a release of what this leaf opens.
    const std::string acts = acts_folder(at("officials/" + leaf.official));
    TRY(files.make_directories(acts, env::kPrivateDirectory));
    TRY(env::replace_file_durably(files, env::join_path(acts, era_act_name(registry, era.number)),
                                  as_bytes(result.era.document), 0644));
  }
  const std::string folder = at(keeper + "/" + registry);
  TRY(files.make_directories(folder, env::kPrivateDirectory));
  return write_keys_and_read_back(files, env::join_path(folder, era_keys_name(era.number)), result);
}

}  // namespace exclave::cli
