#include "engine/dataset_finder.h"

#include <optional>
#include <set>

#include "base/text.h"

namespace exclave::engine {
namespace {

std::string joined(const std::set<std::string>& names) {
  std::string all;
  for (const std::string& name : names) append_item(all, printable(name));
  return all;
}

Error not_found(const std::string& wanted, const std::set<std::string>& others, const std::vector<LostSnapshot>& lost) {
  if (!lost.empty()) {
    const LostSnapshot& newest = lost.front();
    return Error(newest.why.code(), "no snapshot" + (wanted.empty() ? "" : " of dataset '" + printable(wanted) + "'") +
                                        " can be opened; the newest one, " +
                                        newest.snapshot.object.name.hex().substr(0, 12) + ": " + newest.why.message())
        .hint("look at all of it: exclave verify --site DIRECTORY --read-all");
  }
  return Error(Code::NotFound, "the released periods hold no snapshot of dataset '" + printable(wanted) + "'")
      .hint("they hold: " + joined(others));
}

}  // namespace

Result<LatestOfDataset> keep_latest_of_dataset(RegistryHoldings& holdings, const std::string& wanted,
                                               const TellDataset& tell) {
  CHECK(!holdings.snapshots.empty());
  std::string dataset = wanted;
  std::optional<FoundSnapshot> found;
  std::set<std::string> others;
  std::vector<LostSnapshot> lost;
  std::size_t looks_left = holdings.snapshots.size();
  for (auto each = holdings.snapshots.rbegin(); each != holdings.snapshots.rend() && looks_left > 0; ++each) {
    --looks_left;
    auto told = tell(*each);
    if (!told.ok()) {
      if (found.has_value()) continue;  // older than what was looked for
      if (lost.empty()) looks_left = std::min(looks_left, kLooksPastLost);
      lost.push_back({*each, told.take_error()});
      continue;
    }
    if (dataset.empty()) dataset = told.value();
    if (told.value() != dataset) {
      others.insert(told.value());
    } else if (!found.has_value()) {
      found = *each;
      looks_left = std::min(looks_left, wanted.empty() ? kLooksForOthers : 0);
    }
  }
  if (!found.has_value()) return not_shown(holdings, not_found(wanted, others, lost));
  holdings.snapshots = {*found};
  for (LostSnapshot& one : lost) holdings.lost.push_back(std::move(one));
  return LatestOfDataset{dataset, {others.begin(), others.end()}};
}

}  // namespace exclave::engine
