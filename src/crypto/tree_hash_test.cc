#include "crypto/tree_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

namespace exclave::crypto {
namespace {

// RFC 6962 section 2.1, word by word.
Hash256 oracle(const std::vector<Hash256>& leaves) {
  if (leaves.empty()) return sha256({});
  if (leaves.size() == 1) return leaves[0];
  const auto k = static_cast<std::ptrdiff_t>(std::bit_floor(leaves.size() - 1));
  const Hash256 left = oracle({leaves.begin(), leaves.begin() + k});
  const Hash256 right = oracle({leaves.begin() + k, leaves.end()});
  Bytes node = {0x01};
  append(node, left.view());
  append(node, right.view());
  return sha256(node);
}

Hash256 oracle_of_file(ByteView data) {
  std::vector<Hash256> leaves;
  while (!data.empty()) {
    const std::size_t take = std::min(data.size(), kTreeBlockBytes);
    Bytes leaf = {0x00};
    append(leaf, data.first(take));
    leaves.push_back(sha256(leaf));
    data = data.subspan(take);
  }
  return oracle(leaves);
}

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<Byte>(i * 31 + i / kTreeBlockBytes);
  return bytes;
}

// The inputs and roots that the Certificate Transparency code base and its descendants all test.
TEST(TreeHash, leaves_and_nodes_give_the_well_known_roots_of_rfc_6962) {
  const char* inputs[] = {
      "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
  const char* roots[] = {
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  };
  std::vector<Hash256> leaves;
  for (std::size_t i = 0; i < std::size(inputs); ++i) {
    leaves.push_back(tree_leaf(from_hex(inputs[i]).take()));
    EXPECT_EQ(oracle(leaves).hex(), roots[i]) << i + 1 << " leaves";
  }
  const Hash256 left = tree_node(tree_node(leaves[0], leaves[1]), tree_node(leaves[2], leaves[3]));
  const Hash256 right = tree_node(tree_node(leaves[4], leaves[5]), tree_node(leaves[6], leaves[7]));
  EXPECT_EQ(tree_node(left, right).hex(), roots[7]);
}

TEST(TreeHash, empty_file_has_the_name_of_nothing) {
  EXPECT_EQ(tree_hash({}).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(TreeHash, every_number_of_blocks_up_to_70_equals_the_recursive_definition) {
  const Bytes data = pattern(70 * kTreeBlockBytes);
  for (std::size_t blocks = 1; blocks <= 70; ++blocks) {
    const ByteView file = ByteView(data).first(blocks * kTreeBlockBytes);
    EXPECT_EQ(tree_hash(file), oracle_of_file(file)) << blocks << " whole blocks";
    const ByteView shorter = file.first(file.size() - 1 - blocks * 17);
    EXPECT_EQ(tree_hash(shorter), oracle_of_file(shorter)) << blocks << " blocks, the last one short";
  }
}

TEST(TreeHash, lengths_around_the_block_size_equal_the_recursive_definition) {
  const Bytes data = pattern(2 * kTreeBlockBytes + 2);
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{2}, kTreeBlockBytes - 1, kTreeBlockBytes, kTreeBlockBytes + 1,
        2 * kTreeBlockBytes - 1, 2 * kTreeBlockBytes, 2 * kTreeBlockBytes + 1}) {
    EXPECT_EQ(tree_hash(ByteView(data).first(size)), oracle_of_file(ByteView(data).first(size))) << size;
  }
}

TEST(TreeHash, any_split_of_the_input_gives_the_same_name) {
  const Bytes data = pattern(5 * kTreeBlockBytes + 123);
  const Hash256 expected = oracle_of_file(data);
  for (const std::size_t step : {std::size_t{1000}, std::size_t{4096}, kTreeBlockBytes - 1, kTreeBlockBytes,
                                 kTreeBlockBytes + 1, 3 * kTreeBlockBytes, data.size()}) {
    TreeHasher hasher;
    for (std::size_t at = 0; at < data.size(); at += step) {
      hasher.update(ByteView(data).subspan(at, std::min(step, data.size() - at)));
      hasher.update({});
    }
    EXPECT_EQ(hasher.finish(), expected) << step;
  }
}

TEST(TreeHash, hasher_is_ready_for_the_next_file_after_finish) {
  const Bytes first = pattern(3 * kTreeBlockBytes);
  const Bytes second = pattern(kTreeBlockBytes + 5);
  TreeHasher hasher;
  hasher.update(first);
  EXPECT_EQ(hasher.finish(), tree_hash(first));
  EXPECT_EQ(hasher.finish(), tree_hash({}));
  hasher.update(second);
  EXPECT_EQ(hasher.finish(), tree_hash(second));
}

TEST(TreeHash, a_file_that_looks_like_a_node_has_another_name_than_the_tree_it_imitates) {
  const Hash256 left = tree_leaf(as_bytes("left"));
  const Hash256 right = tree_leaf(as_bytes("right"));
  Bytes forged = to_bytes(left.view());
  append(forged, right.view());
  EXPECT_NE(tree_hash(forged), tree_node(left, right));
}

}  // namespace
}  // namespace exclave::crypto
