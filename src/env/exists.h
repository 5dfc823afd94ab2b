// exists: whether something has this path. A disk that cannot tell is an error, and not an absence: whoever takes it for
// one goes on without what is there, or writes over it.
#pragma once

#include <string_view>

#include "env/file_system.h"

namespace exclave::env {

// Errors: those of stat, but for NotFound.
inline Result<bool> exists(FileSystem& files, std::string_view path) {
  const auto info = files.stat(path);
  if (info.ok()) return true;
  if (info.error().code() == Code::NotFound) return false;
  return info.error();
}

}  // namespace exclave::env
