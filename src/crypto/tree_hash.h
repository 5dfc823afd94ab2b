// Tree hash: the name of an object. RFC 6962 Merkle tree (SHA-256, 0x00 leaf, 0x01 node) over 64 KiB blocks of a file.
// Hides: how blocks combine while the bytes stream past.
//
//   name := MTH(block_0, ..., block_n-1)      block_i = bytes [i * 65536, (i+1) * 65536), the last one shorter
//   an empty file has the name SHA-256("")
//
// I1  Any split of the input into updates gives the same name.
// Threads: a hasher by one thread.
// Source: RFC 6962 section 2.1, docs/formats/object.md.
#pragma once

#include <vector>

#include "crypto/hash.h"

namespace exclave::crypto {

inline constexpr std::size_t kTreeBlockBytes = 65536;

class TreeHasher {
 public:
  TreeHasher();
  void update(ByteView data);
  Hash256 finish();  // and is ready for the next file

 private:
  struct Subtree {
    Hash256 root;
    std::uint64_t leaves = 0;
  };
  void end_block();

  Sha256Hasher leaf_;
  std::size_t in_block_ = 0;
  std::vector<Subtree> stack_;  // complete subtrees, sizes falling from left to right
  Sha256Hasher node_;
};

Hash256 tree_hash(ByteView data);
// Interior hash of RFC 6962: SHA-256(0x01 || left || right).
Hash256 tree_node(const Hash256& left, const Hash256& right);
Hash256 tree_leaf(ByteView block);

}  // namespace exclave::crypto
