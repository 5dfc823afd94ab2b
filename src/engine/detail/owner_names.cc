#include "engine/detail/owner_names.h"

#include "base/text.h"

namespace exclave::engine {
namespace {

constexpr std::uint64_t kMaxFileBytes = 16U << 20;
constexpr std::size_t kMaxNameBytes = 128;

// Lines "name:x:id:..."; others are skipped.
std::unordered_map<std::uint32_t, std::string> load_table(env::FileSystem& files, std::string_view path) {
  std::unordered_map<std::uint32_t, std::string> table;
  const auto content = files.read_file(path, kMaxFileBytes);
  if (!content.ok()) return table;
  for (const std::string_view line : split(as_text(content.value()), '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 3 || fields[0].empty() || fields[0].size() > kMaxNameBytes) continue;
    const auto id = parse_u32(fields[2]);
    if (id.ok()) table.emplace(id.value(), std::string(fields[0]));
  }
  return table;
}

const std::string kNone;

const std::string& look_up(const std::unordered_map<std::uint32_t, std::string>& table, std::uint32_t id) {
  const auto found = table.find(id);
  return found == table.end() ? kNone : found->second;
}

}  // namespace

OwnerNames OwnerNames::load(env::FileSystem& files) {
  OwnerNames names;
  names.users_ = load_table(files, "/etc/passwd");
  names.groups_ = load_table(files, "/etc/group");
  return names;
}

const std::string& OwnerNames::user(std::uint32_t id) const {
  return look_up(users_, id);
}
const std::string& OwnerNames::group(std::uint32_t id) const {
  return look_up(groups_, id);
}

}  // namespace exclave::engine
