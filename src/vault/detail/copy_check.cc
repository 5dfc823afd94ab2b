#include "vault/detail/copy_check.h"

#include <algorithm>

#include "crypto/tree_hash.h"

namespace exclave::vault::detail {
namespace {

constexpr std::size_t kCheckedPieceBytes = 1U << 20;

bool is_of_the_file(const Error& error) {
  return error.code() == Code::Corrupt || error.code() == Code::NotFound || error.code() == Code::InvalidInput;
}

}  // namespace

Result<std::optional<std::string>> find_damage(store::ObjectReader& objects, const format::ObjectName& name,
                                               std::uint64_t bytes, const std::function<Status(std::size_t)>& step) {
  const auto size = objects.size_of(name);
  if (!size.ok() && !is_of_the_file(size.error())) return size.error();
  if (!size.ok()) return std::optional<std::string>(size.error().message());
  if (size.value() != bytes) {
    return std::optional<std::string>("has " + std::to_string(size.value()) + " bytes instead of " +
                                      std::to_string(bytes));
  }
  crypto::TreeHasher hasher;
  Bytes piece;
  for (std::uint64_t at = 0; at < bytes; at += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kCheckedPieceBytes, bytes - at)));
    TRY(step(piece.size()));
    const Status read = objects.read(name, at, piece);
    if (!read.ok() && !is_of_the_file(read.error())) return read.error();
    if (!read.ok()) return std::optional<std::string>(read.error().message());
    hasher.update(piece);
  }
  if (format::ObjectName(hasher.finish().array()) == name) return std::optional<std::string>();
  return std::optional<std::string>("its bytes were altered");
}

}  // namespace exclave::vault::detail
