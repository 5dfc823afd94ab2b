// Copy check: does the file of an object bear its name?
// Hides: which errors of a disk say something about the file, and which only that the machine has trouble.
// Threads: pure but for the reads.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "store/object_store.h"

namespace exclave::vault::detail {

// nullopt: it is whole. Otherwise what is wrong with it: it is gone, cannot be read (Corrupt), has another size or other
// bytes. Every other error of the store's is this call's own, as are those of `step`, which is called with the size of
// each piece before it is read: nothing is known of the file then.
Result<std::optional<std::string>> find_damage(store::ObjectReader& objects, const format::ObjectName& name,
                                               std::uint64_t bytes, const std::function<Status(std::size_t)>& step);

}  // namespace exclave::vault::detail
