#include "chunk/group_rule.h"

#include <array>

#include "chunk/detail/stable_hash.h"

namespace exclave::chunk {
namespace {

constexpr std::uint64_t kOneIn = 32;

bool is_boundary(std::string_view name, std::uint64_t size) {
  std::array<Byte, 9> tail{};
  store_u64(MutableByteView(tail).subspan(1), size);
  return mix64(fnv1a(tail, fnv1a(as_bytes(name)))) % kOneIn == 0;
}

}  // namespace

bool GroupRule::ends_after(std::string_view name, std::uint64_t size) {
  CHECK(size < kSmallFileBytes);
  total_ += size;
  const bool ends = total_ >= kGroupHardBytes || (total_ >= kGroupSoftBytes && is_boundary(name, size));
  if (ends) total_ = 0;
  return ends;
}

}  // namespace exclave::chunk
