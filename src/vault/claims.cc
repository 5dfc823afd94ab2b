#include "vault/claims.h"

namespace exclave::vault {

Claims::Claim::Claim(Claim&& other) noexcept
    : claims_(std::exchange(other.claims_, nullptr)),
      place_(std::move(other.place_)),
      object_(std::move(other.object_)),
      bytes_(other.bytes_) {}

Claims::Claim::~Claim() {
  if (claims_ == nullptr) return;
  const MutexLock lock(claims_->mutex_);
  claims_->places_.erase(place_);
  claims_->objects_.erase(object_);
  if (bytes_ == 0) return;
  const auto reserved = claims_->bytes_.find(object_.first);
  reserved->second -= bytes_;
  if (reserved->second == 0) claims_->bytes_.erase(reserved);
}

Status Claims::Claim::reserve(std::uint64_t bytes, std::uint64_t used, std::uint64_t quota) {
  const format::RegistryId& registry = object_.first;
  CHECK(bytes_ == 0 && bytes > 0);
  const MutexLock lock(claims_->mutex_);
  const auto found = claims_->bytes_.find(registry);
  const std::uint64_t reserved = found == claims_->bytes_.end() ? 0 : found->second;
  // Subtractions that cannot wrap: the quota may be anything.
  if (used > quota || reserved > quota - used || bytes > quota - used - reserved) {
    return Error(Code::Exhausted, "quota of registry " + registry.hex() + ": " + std::to_string(used) + " bytes of " +
                                      std::to_string(quota) + " are used, " + std::to_string(reserved) +
                                      " are on their way, " + std::to_string(bytes) + " more were asked for")
        .hint("the realm's officials can raise the registry's quota with a new policy version");
  }
  claims_->bytes_[registry] += bytes;
  bytes_ = bytes;
  return {};
}

std::uint64_t Claims::reserved(const format::RegistryId& registry) {
  const MutexLock lock(mutex_);
  const auto found = bytes_.find(registry);
  return found == bytes_.end() ? 0 : found->second;
}

Result<Claims::Claim> Claims::take(const format::RegistryId& registry, const format::StreamId& stream,
                                   format::EntryIndex index, const format::ObjectName& object) {
  const MutexLock lock(mutex_);
  Claim claim(*this, {stream, index}, {registry, object});
  const bool place_is_free = places_.insert(claim.place_).second;
  if (!place_is_free || !objects_.insert(claim.object_).second) {
    if (place_is_free) places_.erase(claim.place_);
    claim.claims_ = nullptr;
    return Error(Code::Unavailable, "entry " + std::to_string(index.value()) + " of stream " +
                                        stream.hex().substr(0, 16) + " is being put by another connection");
  }
  return claim;
}

}  // namespace exclave::vault
