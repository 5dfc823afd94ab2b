// Trees of files for tests: making them, and comparing two of them in everything that a restore promises.
// Hides: how a difference is found and worded.
//
//   differences(files, "a", "b") -> {"x/y: mode 644 became 600", ...}      empty: equal
//
// Compared: names, types, modes, owners, sizes, modification times, contents with their holes, link targets, device
// numbers, extended attributes (POSIX ACLs among them), and which names are one file.
// Threads: one.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "env/env.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::realm_tests {

class TreeComparer {
 public:
  // Contents of the root directories' own attributes are compared too.
  std::vector<std::string> compare(env::FileSystem& wanted_in, const std::string& wanted, env::FileSystem& found_in,
                                   const std::string& found) {
    const auto a = conformance::must(wanted_in.open_directory(wanted));
    const auto b = conformance::must(found_in.open_directory(found));
    compare_info("", conformance::must(a->info()), conformance::must(b->info()));
    if (conformance::must(a->own_xattrs()) != conformance::must(b->own_xattrs())) differ("", "xattrs differ");
    compare_directories("", *a, *b);
    return std::move(differences_);
  }
  std::uint64_t entries() const { return entries_; }

 private:
  void differ(const std::string& path, const std::string& what) {
    if (differences_.size() < 50) differences_.push_back("'" + path + "': " + what);
  }
  template <typename T>
  void same(const std::string& path, std::string_view what, const T& wanted, const T& found) {
    if (wanted == found) return;
    differ(path, std::string(what) + " " + std::to_string(wanted) + " became " + std::to_string(found));
  }

  void compare_info(const std::string& path, const env::FileInfo& a, const env::FileInfo& b) {
    ++entries_;
    same(path, "type", static_cast<int>(a.type), static_cast<int>(b.type));
    same(path, "mode", a.mode, b.mode);
    same(path, "user", a.user, b.user);
    same(path, "group", a.group, b.group);
    same(path, "mtime", a.modified.nanoseconds, b.modified.nanoseconds);
    same(path, "major", a.device_major, b.device_major);
    same(path, "minor", a.device_minor, b.device_minor);
    if (a.type == env::FileType::Directory) return;
    same(path, "size", a.size, b.size);
    same(path, "links", a.link_count, b.link_count);
    const auto [twin, inserted] = twins_.emplace(a.inode, b.inode);
    if (!inserted && twin->second != b.inode) differ(path, "is no longer the same file as its other name");
  }

  void compare_directories(const std::string& path, env::Directory& a, env::Directory& b) {
    const std::set<std::string> wanted = names(a);
    const std::set<std::string> found = names(b);
    for (const std::string& name : found) {
      if (!wanted.contains(name)) differ(env::join_path(path, name), "was not there before");
    }
    for (const std::string& name : wanted) {
      if (!found.contains(name)) {
        differ(env::join_path(path, name), "is missing");
        continue;
      }
      compare_entries(env::join_path(path, name), name, a, b);
    }
  }
  static std::set<std::string> names(env::Directory& directory) {
    std::set<std::string> all;
    for (auto& entry : conformance::must(directory.entries())) all.insert(entry.name);
    return all;
  }

  void compare_entries(const std::string& path, const std::string& name, env::Directory& a, env::Directory& b) {
    const env::FileInfo wanted = conformance::must(a.stat(name));
    const env::FileInfo found = conformance::must(b.stat(name));
    compare_info(path, wanted, found);
    if (wanted.type != found.type) return;
    if (conformance::must(a.xattrs(name)) != conformance::must(b.xattrs(name))) differ(path, "xattrs differ");
    switch (wanted.type) {
      case env::FileType::Directory: {
        const auto below_a = conformance::must(a.open_directory(name));
        const auto below_b = conformance::must(b.open_directory(name));
        compare_directories(path, *below_a, *below_b);
        return;
      }
      case env::FileType::Symlink:
        if (conformance::must(a.read_link(name)) != conformance::must(b.read_link(name)))
          differ(path, "target differs");
        return;
      case env::FileType::Regular:
        if (wanted.size == found.size)
          compare_content(path, wanted.size, *conformance::must(a.open_file(name)),
                          *conformance::must(b.open_file(name)));
        return;
      case env::FileType::Fifo:
      case env::FileType::Socket:
      case env::FileType::CharDevice:
      case env::FileType::BlockDevice:
        return;
    }
  }

  // Bytes where either has data; where both have holes they are equal.
  void compare_content(const std::string& path, std::uint64_t size, env::ReadableFile& a, env::ReadableFile& b) {
    std::uint64_t at = 0;
    Bytes left(1 << 20);
    Bytes right(1 << 20);
    while (at < size) {
      const auto in_a = conformance::must(a.next_data(at));
      const auto in_b = conformance::must(b.next_data(at));
      if (!in_a.has_value() && !in_b.has_value()) return;
      at = std::max(at, std::min(in_a.has_value() ? in_a->begin : size, in_b.has_value() ? in_b->begin : size));
      const std::size_t got_a = conformance::must(a.read_at(at, left));
      const std::size_t got_b = conformance::must(b.read_at(at, right));
      if (got_a != got_b || !equal(ByteView(left).first(got_a), ByteView(right).first(got_b))) {
        return differ(path, "content differs near byte " + std::to_string(at));
      }
      if (got_a == 0) return;
      at += got_a;
    }
  }

  std::vector<std::string> differences_;
  std::map<std::uint64_t, std::uint64_t> twins_;
  std::uint64_t entries_ = 0;
};

inline std::vector<std::string> differences(env::FileSystem& files, const std::string& wanted,
                                            const std::string& found) {
  return TreeComparer().compare(files, wanted, files, found);
}

// Bytes that do not compress and never repeat between seeds.
inline Bytes noise(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (std::size_t i = 0; i < size; i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    for (std::size_t k = 0; k < 8 && i + k < size; ++k) bytes[i + k] = static_cast<Byte>(state >> (8 * k));
  }
  return bytes;
}

// Writes a file through env (any world), replacing one that is there.
inline void write_file(env::FileSystem& files, const std::string& path, ByteView content, std::uint32_t mode = 0644) {
  const auto directory = conformance::must(files.open_directory(env::parent_path(path)));
  const std::string_view name = env::base_name(path);
  ignore(directory->remove(name), "usually it is not there");
  const auto file = conformance::must(directory->create_file(name, mode));
  conformance::must(file->write_at(0, content));
}

}  // namespace exclave::realm_tests
