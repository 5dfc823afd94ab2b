// DatasetFinder: the latest snapshot of a dataset. Only an opened snapshot tells its dataset, so that they are opened from
// the newest on. Hides: how many are opened, and what becomes of those that cannot be.
//
//   newest  . x . . o . . .  oldest      x cannot be opened: it may be the one that is looked for
//                   ^ the latest of the dataset
//
// I1  Snapshots are opened until one of the dataset is found, however many others lie before it.
// I2  One that cannot be opened is `lost` then, so that choose_snapshot refuses. After the first such only
//     kLooksPastLost more are opened: they serve a hint, and hosts that withhold much must not make that take days.
// Errors: NotFound (no snapshot of the dataset; the hint names those there are), the reason of the newest that could not
//     be opened (none can be).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/snapshot_finder.h"

namespace exclave::engine {

inline constexpr std::size_t kLooksPastLost = 20;
// Opened beyond a dataset that nobody named, to tell which others there are.
inline constexpr std::size_t kLooksForOthers = 20;

// Opens a snapshot and says of which dataset it is.
using TellDataset = std::function<Result<std::string>(const FoundSnapshot&)>;

struct LatestOfDataset {
  std::string dataset;              // as wanted, or the newest snapshot's
  std::vector<std::string> others;  // datasets that were seen on the way, by name
};

// Leaves the latest snapshot of `wanted` in holdings.snapshots, alone; "" stands for the newest snapshot's dataset. What
// could not be opened before it is in holdings.lost. Precondition: holdings.snapshots is not empty.
Result<LatestOfDataset> keep_latest_of_dataset(RegistryHoldings& holdings, const std::string& wanted,
                                               const TellDataset& tell);

}  // namespace exclave::engine
