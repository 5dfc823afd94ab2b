// The program behind main: parses, runs one command, shows what went wrong, and says how to exit.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"

namespace exclave::cli {

// Whether a server in recovery reads the exit code: then what went wrong must not look like the end of its log, also before the
// command was understood. `arguments`: strings, without the program's name. Allocates nothing.
template <typename Arguments>
bool is_for_server(const Arguments& arguments) {
  const auto command = std::find_if(arguments.begin(), arguments.end(),
                                    [](std::string_view argument) { return !argument.starts_with('-'); });
  return command != arguments.end() && std::string_view(*command) == "wal";
}

// `context.json` and `quiet` are set from the arguments.
int run_program(Context context, const std::vector<std::string>& arguments);

}  // namespace exclave::cli
