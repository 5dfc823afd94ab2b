#include "env/file_system.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::env {

std::string join_path(std::string_view directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  std::string path(directory);
  if (path.back() != '/') path += '/';
  return path.append(name);
}

std::string_view parent_path(std::string_view path) {
  const std::size_t at = path.rfind('/');
  if (at == std::string_view::npos) return ".";
  return at == 0 ? path.substr(0, 1) : path.substr(0, at);
}

std::string_view without_slashes(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool is_same_file(const FileInfo& one, const FileInfo& other) {
  return one.inode == other.inode && one.device == other.device;
}

std::string_view base_name(std::string_view path) {
  const std::size_t at = path.rfind('/');
  return at == std::string_view::npos ? path : path.substr(at + 1);
}

Result<Bytes> read_whole(ReadableFile& file, std::string_view name, std::uint64_t limit) {
  const auto too_large = [&] {
    return Error(Code::Exhausted, "'" + printable(name) + "' is larger than " + std::to_string(limit) + " bytes");
  };
  const std::uint64_t size = TRY(file.info()).size;
  if (size > limit) return too_large();
  // One byte of room shows that the file ends; files of /proc have no size and grow the buffer.
  Bytes content(static_cast<std::size_t>(size) + 1);
  std::size_t done = 0;
  while (true) {
    const std::size_t got = TRY(file.read_at(done, MutableByteView(content).subspan(done)));
    done += got;
    if (done > limit) return too_large();
    if (got == 0 || (done < content.size() && done == size)) break;
    if (done == content.size()) content.resize(std::min<std::uint64_t>(content.size() * 2 + 4096, limit + 1));
  }
  content.resize(done);
  return content;
}

Status create_file_durably(FileSystem& files, std::string_view path, ByteView content, std::uint32_t mode) {
  auto draft = TRY(files.draft(parent_path(path), mode));
  TRY(draft->file().append(content));
  return draft->publish_new(base_name(path));
}

Status replace_file_durably(FileSystem& files, std::string_view path, ByteView content, std::uint32_t mode) {
  auto draft = TRY(files.draft(parent_path(path), mode));
  TRY(draft->file().append(content));
  return draft->publish_replacing(base_name(path));
}

Status create_same_durably(FileSystem& files, std::string_view path, ByteView content, std::uint32_t mode) {
  // Looked at first: a draft that is not needed is one that a failing disk cannot remove.
  const auto there = files.read_file(path, content.size());
  if (there.ok() && equal(there.value(), content)) return files.sync_directory(parent_path(path));
  Status created = create_file_durably(files, path, content, mode);
  if (created.ok() || created.error().code() != Code::AlreadyExists) return created;
  const auto present = files.read_file(path, content.size());
  const bool is_longer = !present.ok() && present.error().code() == Code::Exhausted;
  if (!present.ok() && !is_longer) return present.error();
  if (is_longer || !equal(present.value(), content)) return created;
  // An earlier run may have died between giving the name and syncing the directory.
  return files.sync_directory(parent_path(path));
}

}  // namespace exclave::env
