// Owner names: user and group names of a machine, from /etc/passwd and /etc/group (no NSS: one file, no surprises).
#pragma once

#include <string>
#include <unordered_map>

#include "env/file_system.h"

namespace exclave::engine {

class OwnerNames {
 public:
  // Missing or unreadable files give an empty table.
  static OwnerNames load(env::FileSystem& files);
  // "" if there is none.
  const std::string& user(std::uint32_t id) const;
  const std::string& group(std::uint32_t id) const;

 private:
  std::unordered_map<std::uint32_t, std::string> users_;
  std::unordered_map<std::uint32_t, std::string> groups_;
};

}  // namespace exclave::engine
