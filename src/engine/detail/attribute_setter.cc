#include "engine/detail/attribute_setter.h"

#include <utility>

namespace exclave::engine {
namespace {

bool is_refusal(const Error& error) {
  return error.code() == Code::Denied || error.code() == Code::Unsupported || error.code() == Code::InvalidInput;
}

void drop_owner(env::FileAttributes& attributes) {
  attributes.owner.reset();
  if (attributes.mode.has_value()) attributes.mode = *attributes.mode & 01777U;
}

}  // namespace

env::FileAttributes attributes_of(const format::ListingEntry& entry) {
  env::FileAttributes attributes;
  if (entry.type != format::EntryType::Symlink) attributes.mode = entry.mode;
  attributes.owner = {entry.owner.user, entry.owner.group};
  attributes.modified = env::Timestamp{entry.modified_ns};
  for (const format::ExtendedAttribute& xattr : entry.xattrs) attributes.xattrs.push_back({xattr.name, xattr.value});
  return attributes;
}

Status AttributeSetter::apply(const std::string& path, env::FileAttributes attributes, const Set& set) {
  if (owner_.has_value()) attributes.owner = owner_;
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
  if (skipped_owner()) drop_owner(attributes);
  Status done = set(attributes);
  if (done.ok() || done.error().code() != Code::Denied || !attributes.owner.has_value()) return done;
  env::FileAttributes ownerless = attributes;
  drop_owner(ownerless);
  Status without = set(ownerless);
  if (!without.ok()) return without;
  skip_owner_.store(true, std::memory_order_relaxed);
  attributes = std::move(ownerless);
  return {};
}

}  // namespace exclave::engine
