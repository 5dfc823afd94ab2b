#include "engine/detail/directory_itself.h"

#include "base/text.h"

namespace exclave::engine {
namespace {

// Who may not look into the directory above may yet come through it; root may do both.
Result<std::unique_ptr<env::Directory>> open_by_path(env::FileSystem& files, std::string_view path) {
  auto opened = TRY(files.open_directory(path));
  const env::FileInfo found = TRY(opened->info());
  const env::FileInfo named = TRY(files.stat(path));
  if (named.type == env::FileType::Directory && is_same_file(named, found)) return opened;
  return Error(Code::InvalidInput, "'" + printable(path) + "' is a link, or no directory");
}

}  // namespace

bool is_same_file(const env::FileInfo& one, const env::FileInfo& other) {
  return one.inode == other.inode && one.device == other.device;
}

std::string_view without_slashes(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

Status check_names_itself(std::string_view path, std::string_view what) {
  const std::string_view name = env::base_name(without_slashes(path));
  if (!name.empty() && name != "." && name != "..") return {};
  return Error(Code::InvalidInput, std::string(what) + " '" + printable(path) + "' does not say the directory's name")
      .hint("name the directory itself: what belongs to it lies beside it, under its name");
}

Result<std::unique_ptr<env::Directory>> open_itself(env::FileSystem& files, std::string_view path) {
  DirectoryInPlace place = TRY(open_in_place(files, path));
  return std::move(place.itself);
}

Result<DirectoryInPlace> open_in_place(env::FileSystem& files, std::string_view path) {
  path = without_slashes(path);
  DirectoryInPlace place;
  auto above = files.open_directory(env::parent_path(path));
  if (!above.ok() && above.error().code() != Code::Denied) return above.take_error();
  if (above.ok()) place.above = above.take();
  place.itself =
      place.above != nullptr ? TRY(place.above->open_directory(env::base_name(path))) : TRY(open_by_path(files, path));
  return place;
}

}  // namespace exclave::engine
