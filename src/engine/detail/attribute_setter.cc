#include "engine/detail/attribute_setter.h"

#include <utility>

namespace exclave::engine {
namespace {

bool is_refusal(const Error& error) {
  return error.code() == Code::Denied || error.code() == Code::Unsupported || error.code() == Code::InvalidInput;
}

constexpr std::uint32_t kSetIdBits = 06000;
constexpr std::string_view kCapabilities = "security.capability";  // what a program may do, whoever starts it

void drop_owner(env::FileAttributes& attributes) {
  attributes.owner.reset();
  if (attributes.mode.has_value()) attributes.mode = *attributes.mode & ~kSetIdBits;
}

}  // namespace

env::FileAttributes AttributeSetter::attributes_for(const format::ListingEntry& entry) {
  env::FileAttributes attributes;
  if (entry.type != format::EntryType::Symlink) attributes.mode = entry.mode;
  attributes.owner = {entry.owner.user, entry.owner.group};
  attributes.modified = env::Timestamp{entry.modified_ns};
  for (const format::ExtendedAttribute& xattr : entry.xattrs) attributes.xattrs.push_back({xattr.name, xattr.value});
  if (!owner_.has_value()) return attributes;
  attributes.owner = owner_;
  // A directory's hand down its group, and give no rights.
  const bool is_set_id = entry.type != format::EntryType::Directory && (entry.mode & kSetIdBits) != 0;
  if (is_set_id && attributes.mode.has_value()) attributes.mode = *attributes.mode & ~kSetIdBits;
  const bool is_capable =
      std::erase_if(attributes.xattrs, [](const env::Xattr& xattr) { return xattr.name == kCapabilities; }) > 0;
  if (is_set_id) findings_.note_problem(entry.path, "its set-id bits were left off, as it is given to another owner");
  if (is_capable) findings_.note_problem(entry.path, "its capabilities were left off, as it is given to another owner");
  return attributes;
}

Status AttributeSetter::apply(const std::string& path, env::FileAttributes attributes, const Set& set) {
  Status done = apply_but_owner(attributes, set);
  if (done.ok() || !is_refusal(done.error()) || attributes.xattrs.empty()) return done;
  const std::vector<env::Xattr> xattrs = std::exchange(attributes.xattrs, {});
  TRY(apply_but_owner(attributes, set));
  for (const env::Xattr& xattr : xattrs) {
    Status one = set({attributes.mode, {}, {}, {xattr}});  // an ACL changes the mode
    if (!one.ok() && !is_refusal(one.error())) return one;
    if (!one.ok()) findings_.note_problem(path, one.error().message());
  }
  return {};
}

Status AttributeSetter::apply_or_note(const std::string& path, env::FileAttributes attributes, const Set& set) {
  Status applied = apply(path, std::move(attributes), set);
  if (applied.ok()) return applied;
  if (applied.error().code() == Code::Exhausted || applied.error().code() == Code::Unavailable) return applied;
  findings_.note_problem(path, applied.error().message());
  return {};
}

Status AttributeSetter::apply_but_owner(env::FileAttributes& attributes, const Set& set) {
  if (attributes.owner.has_value() && is_refused(*attributes.owner)) drop_owner(attributes);
  Status done = set(attributes);
  if (done.ok() || done.error().code() != Code::Denied || !attributes.owner.has_value()) return done;
  env::FileAttributes ownerless = attributes;
  drop_owner(ownerless);
  Status without = set(ownerless);
  if (!without.ok()) return without;
  note_refused(*attributes.owner);
  attributes = std::move(ownerless);
  return {};
}

bool AttributeSetter::is_refused(const env::FileOwner& owner) const {
  const MutexLock lock(mutex_);
  return refused_.contains(owner);
}

void AttributeSetter::note_refused(const env::FileOwner& owner) {
  const MutexLock lock(mutex_);
  if (refused_.size() < kMostRefusedOwners) refused_.insert(owner);
}

bool AttributeSetter::skipped_owner() const {
  const MutexLock lock(mutex_);
  return !refused_.empty();
}

}  // namespace exclave::engine
