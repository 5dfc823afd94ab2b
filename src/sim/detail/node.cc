#include "sim/detail/node.h"

#include <utility>

#include "base/check.h"

namespace exclave::sim::detail {

NodePtr Names::find(std::string_view name) const {
  const auto found = now_.find(name);
  return found == now_.end() ? nullptr : found->second;
}

void Names::apply(Map& map, const Change& change) {
  if (!change.vanishes.empty()) map.erase(change.vanishes);
  if (!change.appears.empty()) map.insert_or_assign(change.appears, change.node);
}

void Names::change(Change change) {
  apply(now_, change);
  unsynced_.push_back(std::move(change));
}

void Names::set(std::string_view name, NodePtr node) {
  change({.appears = std::string(name), .node = std::move(node), .vanishes = {}});
}

void Names::erase(std::string_view name) {
  change({.appears = {}, .node = nullptr, .vanishes = std::string(name)});
}

void Names::rename(std::string_view from, std::string_view to) {
  NodePtr node = find(from);
  CHECK(node != nullptr);
  change({.appears = std::string(to), .node = std::move(node), .vanishes = std::string(from)});
}

void Names::sync() {
  for (const Change& change : unsynced_) apply(disk_, change);
  unsynced_.clear();
}

void Names::power_loss(Rng& rng, std::uint32_t keep_percent) {
  for (const Change& change : unsynced_) {
    if (rng.percent(keep_percent)) apply(disk_, change);
  }
  unsynced_.clear();
  now_ = disk_;
}

void Node::sync() {
  if (type == env::FileType::Regular) content.sync();
  if (type == env::FileType::Directory) names.sync();
  if (attributes_dirty) attributes_on_disk = attributes;
  attributes_dirty = false;
}

}  // namespace exclave::sim::detail
