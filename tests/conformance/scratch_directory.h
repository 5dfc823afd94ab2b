// Scratch directory: a directory of a test's own below the machine's temporary one, gone with it.
// Hides: names, and removal of what the program itself would not remove: paths too deep for a descriptor at each level, and
// directories that nobody may read.
//
// I1  What cannot be made stops the test run: a test never works in somebody else's directory.
// Threads: one.
#pragma once

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "base/check.h"

namespace exclave::conformance {

class ScratchDirectory {
 public:
  // `purpose`: part of its name, for who finds what a killed test left.
  explicit ScratchDirectory(std::string_view purpose)
      : path_(std::filesystem::temp_directory_path() / ("exclave-" + std::string(purpose) + "-XXXXXX")) {
    CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  ~ScratchDirectory() {
    std::error_code failed;
    std::filesystem::remove_all(path_, failed);
    if (failed) remove_with_tools();
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  void remove_with_tools() {
    std::string shell = "sh";
    std::string option = "-c";
    std::string script = "chmod -R u+rwX -- \"$0\"; rm -rf -- \"$0\"";
    char* const arguments[] = {shell.data(), option.data(), script.data(), path_.data(), nullptr};
    pid_t child = 0;
    if (::posix_spawn(&child, "/bin/sh", nullptr, nullptr, arguments, environ) == 0) ::waitpid(child, nullptr, 0);
  }

  std::string path_;
};

}  // namespace exclave::conformance
