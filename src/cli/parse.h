// Command line to Settings. Hides: the CLI11 library.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cli/settings.h"

namespace exclave::cli {

// What to print and how to exit when there is nothing to run: help, version, or a usage error (exit code 2).
struct Ended {
  int exit_code = 0;
  std::string text;
};

// `arguments` without the program's name.
std::variant<Invocation, Ended> parse_command_line(const std::vector<std::string>& arguments);

}  // namespace exclave::cli
