#include "cli/run.h"

#include "cli/commands.h"
#include "cli/parse.h"

namespace exclave::cli {

int run_program(Context context, const std::vector<std::string>& arguments) {
  auto parsed = parse_command_line(arguments);
  if (const Ended* ended = std::get_if<Ended>(&parsed)) {
    if (ended->exit_code == 0) {
      context.terminal.out(ended->text);
    } else {
      context.terminal.err(ended->text);
    }
    return ended->exit_code;
  }
  const Invocation& invocation = std::get<Invocation>(parsed);
  context.json = invocation.json;
  context.quiet = invocation.quiet;
  auto result = std::visit([&](const auto& settings) { return run(context, settings); }, invocation.command);
  if (result.ok()) return result.value();
  show_error(context, result.error());
  return exit_code_of(result.error());
}

}  // namespace exclave::cli
