#include "cli/run.h"

#include <algorithm>

#include "cli/commands.h"
#include "cli/parse.h"

namespace exclave::cli {

namespace {

// Vaults that a command gave up because it was told to stop are not away. A daemon ends by being told to: what fails then has
// failed.
Error as_interrupted(const Context& context, const CommandSettings& command, Error error) {
  const bool is_daemon =
      std::holds_alternative<AgentRunSettings>(command) || std::holds_alternative<VaultSettings>(command);
  if (is_daemon || !context.stop.stop_requested() || exit_code_of(error) != kUnreachable) return error;
  return Error(Code::Cancelled, "interrupted").hint("run it again to go on");
}

int parse_and_run(Context& context, const std::vector<std::string>& arguments) {
  auto parsed = parse_command_line(arguments);
  if (const Ended* ended = std::get_if<Ended>(&parsed)) {
    if (ended->exit_code == kOk) {
      context.say(ended->text);
    } else {
      context.note(ended->text);
    }
    return ended->exit_code;
  }
  const Invocation& invocation = std::get<Invocation>(parsed);
  context.json = invocation.json;
  context.quiet = invocation.quiet;
  auto result = std::visit([&](const auto& settings) { return run(context, settings); }, invocation.command);
  if (result.ok()) return result.value();
  const Error error = as_interrupted(context, invocation.command, result.take_error());
  show_error(context, error);
  return exit_code_of(error);
}

}  // namespace

int run_program(Context context, const std::vector<std::string>& arguments) {
  int code = parse_and_run(context, arguments);
  const bool for_server = is_for_server(arguments);
  if (for_server && code != kOk && code != kWalAbsent) code = kWalTrouble;
  // A result that nobody received is no success; what was done is done all the same.
  const Status written = context.terminal.written();
  if (written.ok() || code != kOk) return code;
  if (written.error().code() != Code::Cancelled) context.note("exclave: " + written.error().message());
  return for_server ? kWalTrouble : kFailed;
}

}  // namespace exclave::cli
