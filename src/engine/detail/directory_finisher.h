// DirectoryFinisher: gives restored directories their attributes, deepest first: setting a parent's time or mode early
// would be undone, or lock us out.
// Hides: which directories are open; a tree of any depth costs kOpenLevels descriptors.
//
// Threads: one. Precondition: directories come in walk order.
// Errors: those of opening a directory; attributes that are refused become problems.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/detail/attribute_setter.h"

namespace exclave::engine {

class DirectoryFinisher {
 public:
  DirectoryFinisher(AttributeSetter& attributes, RestoreFindings& findings, std::shared_ptr<env::Directory> root)
      : attributes_(attributes), findings_(findings), root_(std::move(root)) {}

  Status add(const format::ListingEntry& entry);
  Status finish();

 private:
  struct Waiting {
    format::ListingEntry entry;
    std::shared_ptr<env::Directory> directory;  // null while closed
  };

  Status leave_until(std::string_view path);
  Status open_last();
  Status leave();

  AttributeSetter& attributes_;
  RestoreFindings& findings_;
  std::shared_ptr<env::Directory> root_;
  std::vector<Waiting> waiting_;
};

}  // namespace exclave::engine
