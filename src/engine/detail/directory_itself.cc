#include "engine/detail/directory_itself.h"

#include "base/text.h"

namespace exclave::engine {
namespace {

// Who may not look into the directory above may yet come through it; root may do both.
Result<std::unique_ptr<env::Directory>> open_by_path(env::FileSystem& files, std::string_view path) {
  auto opened = TRY(files.open_directory(path));
  const env::FileInfo found = TRY(opened->info());
  const env::FileInfo named = TRY(files.stat(path));
  if (named.type == env::FileType::Directory && env::is_same_file(named, found)) return opened;
  return Error(Code::InvalidInput, "'" + printable(path) + "' is a link, or no directory");
}

}  // namespace

Status check_names_itself(std::string_view path, std::string_view what) {
  const std::string_view name = env::base_name(env::without_slashes(path));
  if (!name.empty() && name != "." && name != "..") return {};
  return Error(Code::InvalidInput, std::string(what) + " '" + printable(path) + "' does not say the directory's name")
      .hint("name the directory itself: what belongs to it lies beside it, under its name");
}

Result<std::unique_ptr<env::Directory>> open_itself(env::FileSystem& files, std::string_view path) {
  DirectoryInPlace place = TRY(open_in_place(files, path));
  return std::move(place.itself);
}

Result<DirectoryInPlace> open_in_place(env::FileSystem& files, std::string_view path) {
  path = env::without_slashes(path);
  DirectoryInPlace place;
  auto above = files.open_directory(env::parent_path(path));
  if (!above.ok() && above.error().code() != Code::Denied) return above.take_error();
  if (above.ok()) place.above = above.take();
  place.itself =
      place.above != nullptr ? TRY(place.above->open_directory(env::base_name(path))) : TRY(open_by_path(files, path));
  return place;
}

Status lock_itself(env::Directory& directory, Error held) {
  Status locked = directory.lock();
  if (locked.ok() || locked.error().code() == Code::Unsupported) return {};
  return locked.error().code() == Code::Conflict ? Status(std::move(held)) : std::move(locked);
}

}  // namespace exclave::engine
