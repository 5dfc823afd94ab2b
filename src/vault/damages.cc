#include "vault/damages.h"

namespace exclave::vault {

Result<std::unique_ptr<Damages>> Damages::open(Records& records) {
  std::unique_ptr<Damages> damages(new Damages(records));
  std::map<format::ObjectName, Heads> found;
  TRY(records.scan_damages([&](const format::ObjectName& object, const format::StreamId& stream,
                               const HeadRow& head) -> Result<table::Visit> {
    found[object].emplace(stream, head);
    return table::Visit::Continue;
  }));
  const MutexLock lock(damages->mutex_);
  damages->damaged_ = std::move(found);
  return damages;
}

std::uint64_t Damages::count() const {
  const MutexLock lock(mutex_);
  return damaged_.size();
}

bool Damages::has(const format::ObjectName& object) const {
  const MutexLock lock(mutex_);
  return damaged_.contains(object);
}

std::vector<format::ObjectName> Damages::some(std::size_t limit) const {
  std::vector<format::ObjectName> names;
  const MutexLock lock(mutex_);
  for (const auto& [name, heads] : damaged_) {
    if (names.size() == limit) break;
    names.push_back(name);
  }
  return names;
}

HeadRow Damages::vouched(const format::StreamId& stream, const HeadRow& head) const {
  HeadRow least = head;
  const MutexLock lock(mutex_);
  for (const auto& [name, heads] : damaged_) {
    const auto found = heads.find(stream);
    if (found != heads.end() && found->second.next < least.next) least = found->second;
  }
  return least;
}

Status Damages::note(const std::vector<Object>& objects) {
  std::map<format::RegistryId, std::map<format::ObjectName, Heads>> news;
  for (const auto& [object, registry] : objects) {
    if (!has(object)) news[registry][object] = {};
  }
  Records::Change change(records_);
  for (auto& [registry, found] : news) {
    TRY(find_streams(registry, found));
    for (auto& [object, heads] : found) {
      if (heads.empty()) heads.emplace(format::StreamId(), HeadRow{});  // no entry names it
      for (const auto& [stream, head] : heads) change.put_damage(object, stream, head);
    }
  }
  if (news.empty()) return {};
  TRY(records_.commit(change));
  const MutexLock lock(mutex_);
  for (auto& [registry, found] : news) damaged_.merge(found);
  return {};
}

Status Damages::find_streams(const format::RegistryId& registry, std::map<format::ObjectName, Heads>& objects) const {
  return records_.scan_streams(registry, {}, [&](const format::StreamId& stream) -> Result<table::Visit> {
    const HeadRow head = TRY(records_.head(stream)).value_or(HeadRow{});
    TRY(records_.scan_entries(stream, {}, [&](format::EntryIndex, const EntryRow& entry) -> Result<table::Visit> {
      const auto found = objects.find(entry.object);
      if (found != objects.end()) found->second.emplace(stream, head);
      return table::Visit::Continue;
    }));
    return table::Visit::Continue;
  });
}

Status Damages::clear(const format::ObjectName& object) {
  Records::Change change(records_);
  {
    const MutexLock lock(mutex_);
    const auto found = damaged_.find(object);
    if (found == damaged_.end()) return {};
    for (const auto& [stream, head] : found->second) change.erase_damage(object, stream);
  }
  TRY(records_.commit(change));
  const MutexLock lock(mutex_);
  damaged_.erase(object);
  return {};
}

}  // namespace exclave::vault
