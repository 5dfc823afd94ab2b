#include "engine/detail/linked_names.h"

#include <utility>

#include "engine/detail/directory_itself.h"
#include "format/binary.h"

namespace exclave::engine {
namespace {

// Small files lie in groups, and two reads of one may lie in two: their content id tells, not their slices.
crypto::Hash256 hash_of_content(const format::ListingEntry& entry) {
  format::BinaryWriter all;
  all.u8(entry.content.has_value() ? 1 : 0);
  if (entry.content.has_value()) {
    all.id(*entry.content);
  } else {
    all.varint(entry.slices.size());
    for (const format::Slice& slice : entry.slices) {
      all.id(slice.chunk);
      all.u32(slice.offset);
      all.u32(slice.length);
    }
    all.u8(entry.sparse ? 1 : 0);
    for (const format::DataExtent& extent : entry.extents) {
      all.u64(extent.offset);
      all.u64(extent.length);
    }
  }
  all.text(entry.link_target);
  all.u32(entry.device_major);
  all.u32(entry.device_minor);
  return crypto::sha256(all.view());
}

LinkedFile file_of(const format::ListingEntry& entry) {
  CHECK(entry.hard_link.has_value());
  return {*entry.hard_link, entry.type, entry.size, entry.modified_ns, hash_of_content(entry)};
}

bool is_unreadable(const format::ListingEntry& entry) {
  return entry.problem == format::EntryProblem::Unreadable;
}

}  // namespace

Status unless_missing(Error error) {
  return error.code() == Code::NotFound ? Status() : Status(std::move(error));
}

std::map<LinkedFile, std::string>::const_iterator LinkedNames::find(const format::ListingEntry& entry,
                                                                    const LinkedFile& file) const {
  if (!is_unreadable(entry)) return firsts_.find(file);
  const LinkedFile any{file.inode, file.type, file.size, file.modified_ns, {}};
  const auto found = firsts_.lower_bound(any);
  if (found == firsts_.end()) return found;
  const LinkedFile& like = found->first;
  const bool is_like =
      like.inode == any.inode && like.type == any.type && like.size == any.size && like.modified_ns == any.modified_ns;
  return is_like ? found : firsts_.end();
}

LinkedNames::Name LinkedNames::add(const format::ListingEntry& entry) {
  Name name{file_of(entry), std::nullopt, std::nullopt};
  if (const auto found = find(entry, name.file); found != firsts_.end()) {
    name.file = found->first;
    name.first = found->second;
    return name;
  }
  const auto other = firsts_.lower_bound({name.file.inode, format::EntryType{0}, 0, INT64_MIN, {}});
  if (other != firsts_.end() && other->first.inode == name.file.inode) name.unlike = other->second;
  if (!is_unreadable(entry)) firsts_.emplace(name.file, entry.path);
  return name;
}

void LinkedNames::note_left_out(const LinkedFile& file) {
  const MutexLock lock(mutex_);
  left_out_.insert(file);
}

Status LinkedNames::remove_left_out(const SnapshotContent& content, const TargetTree& tree, RestoreFindings& findings) {
  std::set<LinkedFile> left_out;
  {
    const MutexLock lock(mutex_);
    left_out.swap(left_out_);
  }
  if (left_out.empty()) return {};
  // By what the first name stands for: a name that was taken when its turn came belongs to somebody else's file.
  std::map<LinkedFile, env::FileInfo> ours;
  return content.for_each_entry([&](const format::ListingEntry& entry) -> Status {
    if (!entry.hard_link.has_value() || entry.type == format::EntryType::Directory) return {};
    const auto found = find(entry, file_of(entry));
    if (found == firsts_.end() || !left_out.contains(found->first)) return {};
    const auto& [file, first] = *found;
    const bool is_first = entry.path == first;
    const auto our = ours.find(file);
    if (!is_first && our == ours.end()) return {};
    const auto directory = tree.reach(directory_of(entry.path));
    if (!directory.ok()) return unless_missing(directory.error());
    const std::string_view name = env::base_name(entry.path);
    const auto info = directory.value()->stat(name);
    if (!info.ok()) return unless_missing(info.error());
    if (is_first) {
      ours.emplace(file, info.value());
    } else if (!env::is_same_file(info.value(), our->second)) {
      return {};
    } else {
      findings.note_left_out_link(entry.path, first);
    }
    return findings.of_target(directory.value()->remove(name));
  });
}

}  // namespace exclave::engine
