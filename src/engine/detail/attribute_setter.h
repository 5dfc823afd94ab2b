// AttributeSetter: gives what was restored the attributes it had, as far as this user and this file system allow.
// Hides: what is tried again with less when something is refused.
//
// I1  Where an owner is refused (who is not root may set none; a container or a server may not know this one), all else
//     is set, and set-id bits stay off: they would serve the wrong owner. Learnt once for each owner; skipped_owner()
//     says so at the end.
// I2  An extended attribute that is refused (some need root, some another file system) is reported as a problem and
//     holds up none of the others.
// I3  Who is given everything, instead of those who owned it at home, is given no rights that root alone could hand
//     out: no set-id bits and no capabilities of programs. That is a problem of the file.
// Threads: any.
// Errors: of `set`, but for the refusals above.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "base/mutex.h"
#include "engine/detail/restore_findings.h"
#include "env/file_system.h"
#include "format/listing.h"

namespace exclave::engine {

class AttributeSetter {
 public:
  // Sets what it is given on one file, directory or name.
  using Set = std::function<Status(const env::FileAttributes&)>;

  // `owner`: of everything, instead of who owned it at home.
  AttributeSetter(RestoreFindings& findings, std::optional<env::FileOwner> owner)
      : findings_(findings), owner_(owner) {}
  // What the entry is to have here (I3).
  env::FileAttributes attributes_for(const format::ListingEntry& entry);
  Status apply(const std::string& path, env::FileAttributes attributes, const Set& set);
  // The same at the end of a file: what is refused altogether is a problem of this file, not the end of the restore.
  Status apply_or_note(const std::string& path, env::FileAttributes attributes, const Set& set);
  bool skipped_owner() const;
  // Everything goes to another owner than it had (I3).
  bool gives_away() const { return owner_.has_value(); }

 private:
  static constexpr std::size_t kMostRefusedOwners = 4096;  // that are remembered

  Status apply_but_owner(env::FileAttributes& attributes, const Set& set);
  bool is_refused(const env::FileOwner& owner) const;
  void note_refused(const env::FileOwner& owner);

  RestoreFindings& findings_;
  const std::optional<env::FileOwner> owner_;
  mutable Mutex mutex_;
  std::set<env::FileOwner> refused_ GUARDED_BY(mutex_);
};

}  // namespace exclave::engine
