#include "engine/detail/target_tree.h"

#include "base/text.h"
#include "engine/detail/tree_walker.h"

namespace exclave::engine {

std::string_view directory_of(std::string_view path) {
  return path.find('/') == std::string_view::npos ? std::string_view() : env::parent_path(path);
}

namespace {

// An unfinished restore may have closed it already, which would lock out everyone but root.
Status open_to_us(env::Directory& parent, std::string_view name) {
  const auto present = TRY(parent.pin(name));
  if (TRY(present->info()).type != env::FileType::Directory) return {};  // and is left alone: it cannot be entered
  env::FileAttributes private_to_us;
  private_to_us.mode = env::kPrivateDirectory;
  return present->set_attributes(private_to_us);
}

}  // namespace

Result<std::shared_ptr<env::Directory>> TargetTree::reach(std::string_view path) const {
  std::shared_ptr<env::Directory> at = root_.directory;
  for (const std::string_view step : split(path, '/')) {
    if (step.empty()) continue;
    at = std::shared_ptr<env::Directory>(TRY(at->open_directory(step)));
  }
  return at;
}

Result<TargetTree::Place> TargetTree::parent_of(std::string_view path) {
  const std::string_view wanted = directory_of(path);
  while (!levels_.empty() && levels_.back().path != wanted) levels_.pop_back();
  if (wanted.empty()) return root_;
  if (levels_.empty()) return Error(Code::Corrupt, "listing: '" + printable(path) + "' comes without its directory");
  Place& place = levels_.back().place;
  if (place.directory == nullptr) place.directory = TRY(reach(wanted));
  return place;
}

Status TargetTree::make_directory(std::string_view path) {
  const Place above = TRY(parent_of(path));
  const std::shared_ptr<env::Directory>& parent = above.directory;
  const std::string_view name = env::base_name(path);
  Status created = parent->create_directory(name, env::kPrivateDirectory);
  const bool is_new = created.ok();
  if (!is_new) {
    if (created.error().code() != Code::AlreadyExists) return created;
    TRY(open_to_us(*parent, name));
  }
  auto entered = parent->open_directory(name);
  if (!entered.ok() && entered.error().code() == Code::InvalidInput) {
    // Not a name that cannot be: a link or a file that somebody put there. Nobody follows it.
    return Error(Code::Precondition, "something else has its name in the target: " + entered.error().message())
        .hint("remove it and run the restore again");
  }
  std::shared_ptr<env::Directory> opened(TRY(std::move(entered)));
  if (!is_new) TRY(opened->drop_acls());  // a new one has none: there was none to inherit
  levels_.push_back({std::string(path), {std::move(opened), is_new}});
  if (levels_.size() > kOpenLevels) levels_[levels_.size() - 1 - kOpenLevels].place.directory.reset();
  return {};
}

}  // namespace exclave::engine
