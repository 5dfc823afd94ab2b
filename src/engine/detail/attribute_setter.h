// AttributeSetter: gives what was restored the attributes it had, as far as this user and this file system allow.
// Hides: what is tried again with less when something is refused.
//
// I1  Without the right to change owners, all but those is set, and set-id bits stay off: they would serve the wrong
//     owner. Learnt once; skipped_owner() says so at the end.
// I2  An extended attribute that is refused (some need root, some another file system) is reported as a problem and
//     holds up none of the others.
// Threads: any.
// Errors: of `set`, but for the refusals above.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "engine/detail/restore_findings.h"
#include "env/file_system.h"
#include "format/listing.h"

namespace exclave::engine {

env::FileAttributes attributes_of(const format::ListingEntry& entry);

class AttributeSetter {
 public:
  // Sets what it is given on one file, directory or name.
  using Set = std::function<Status(const env::FileAttributes&)>;

  // `owner`: of everything, instead of who owned it at home.
  AttributeSetter(RestoreFindings& findings, std::optional<env::FileOwner> owner)
      : findings_(findings), owner_(owner) {}
  Status apply(const std::string& path, env::FileAttributes attributes, const Set& set);
  // The same at the end of a file: what is refused altogether is a problem of this file, not the end of the restore.
  Status apply_or_note(const std::string& path, env::FileAttributes attributes, const Set& set);
  bool skipped_owner() const { return skip_owner_.load(std::memory_order_relaxed); }

 private:
  Status apply_but_owner(env::FileAttributes& attributes, const Set& set);

  RestoreFindings& findings_;
  const std::optional<env::FileOwner> owner_;
  std::atomic<bool> skip_owner_{false};
};

}  // namespace exclave::engine
