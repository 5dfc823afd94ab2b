#include "crypto/tree_hash.h"

#include <algorithm>
#include <array>

namespace exclave::crypto {
namespace {

constexpr std::array<Byte, 1> kLeafPrefix = {0x00};
constexpr std::array<Byte, 1> kNodePrefix = {0x01};

Hash256 hash_node(Sha256Hasher& hasher, const Hash256& left, const Hash256& right) {
  std::array<Byte, 1 + 2 * Hash256::kSize> node;
  node[0] = kNodePrefix[0];
  std::copy(left.view().begin(), left.view().end(), node.begin() + 1);
  std::copy(right.view().begin(), right.view().end(), node.begin() + 1 + Hash256::kSize);
  hasher.update(node);
  return hasher.finish();
}

}  // namespace

TreeHasher::TreeHasher() = default;

// Each stretch goes from the caller's memory straight into SHA-256: a whole block in one call when the caller has one.
void TreeHasher::update(ByteView data) {
  while (!data.empty()) {
    if (in_block_ == 0) leaf_.update(kLeafPrefix);
    const std::size_t take = std::min(data.size(), kTreeBlockBytes - in_block_);
    leaf_.update(data.first(take));
    data = data.subspan(take);
    in_block_ += take;
    if (in_block_ == kTreeBlockBytes) end_block();
  }
}

// Adds the leaf, then joins equal neighbours, as carries ripple through a binary counter.
void TreeHasher::end_block() {
  Subtree right{leaf_.finish(), 1};
  while (!stack_.empty() && stack_.back().leaves == right.leaves) {
    right = {hash_node(node_, stack_.back().root, right.root), 2 * right.leaves};
    stack_.pop_back();
  }
  stack_.push_back(right);
  in_block_ = 0;
}

Hash256 TreeHasher::finish() {
  if (in_block_ > 0) end_block();
  if (stack_.empty()) return node_.finish();  // nothing was fed to it: SHA-256("")
  // RFC 6962 splits at the largest power of two below the number of leaves: the stack is exactly that chain of splits.
  Hash256 root = stack_.back().root;
  stack_.pop_back();
  while (!stack_.empty()) {
    root = hash_node(node_, stack_.back().root, root);
    stack_.pop_back();
  }
  return root;
}

Hash256 tree_hash(ByteView data) {
  TreeHasher hasher;
  hasher.update(data);
  return hasher.finish();
}

Hash256 tree_node(const Hash256& left, const Hash256& right) {
  Sha256Hasher hasher;
  return hash_node(hasher, left, right);
}

Hash256 tree_leaf(ByteView block) {
  Sha256Hasher hasher;
  hasher.update(kLeafPrefix);
  hasher.update(block);
  return hasher.finish();
}

}  // namespace exclave::crypto
