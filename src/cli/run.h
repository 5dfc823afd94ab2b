// The program behind main: parses, runs one command, shows what went wrong, and says how to exit.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace exclave::cli {

// `context.json` and `quiet` are set from the arguments.
int run_program(Context context, const std::vector<std::string>& arguments);

}  // namespace exclave::cli
