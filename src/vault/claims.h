// Claims: what puts in progress have taken for themselves, so that no two of them race for one place or one quota.
// Hides: the sets, in memory only; a crash forgets them together with the uploads they stood for.
//
// I1  At most one put at a time holds a stream's index, and of each registry at most one an object's name: nobody keeps another
//     registry's object waiting by naming it.
// I2  The bytes of a registry's puts in progress count against its quota as if they were stored.
// Threads: from any thread.
// Errors: Unavailable (another connection is putting the same thing right now).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "base/mutex.h"
#include "format/ids.h"

namespace exclave::vault {

class Claims {
 public:
  // Held for the time of one put; gives everything back when dropped.
  class Claim {
   public:
    Claim(Claim&& other) noexcept;
    Claim& operator=(Claim&&) = delete;
    ~Claim();
    // Counts bytes against its registry's quota: ok if `used` + those of all claims + `bytes` <= `quota`.
    Status reserve(std::uint64_t bytes, std::uint64_t used, std::uint64_t quota);

   private:
    friend class Claims;
    using Place = std::pair<format::StreamId, format::EntryIndex>;
    using Object = std::pair<format::RegistryId, format::ObjectName>;
    Claim(Claims& claims, Place place, Object object)
        : claims_(&claims), place_(std::move(place)), object_(std::move(object)) {}

    Claims* claims_;  // null once moved from
    Place place_;
    Object object_;
    std::uint64_t bytes_ = 0;
  };

  // The bytes of this registry's puts in progress.
  std::uint64_t reserved(const format::RegistryId& registry);

  Result<Claim> take(const format::RegistryId& registry, const format::StreamId& stream, format::EntryIndex index,
                     const format::ObjectName& object);

 private:
  Mutex mutex_;
  std::set<Claim::Place> places_ GUARDED_BY(mutex_);
  std::set<Claim::Object> objects_ GUARDED_BY(mutex_);
  std::map<format::RegistryId, std::uint64_t> bytes_ GUARDED_BY(mutex_);
};

}  // namespace exclave::vault
