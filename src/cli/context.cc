#include "cli/context.h"

namespace exclave::cli {

ExitCode exit_code_of(const Error& error) {
  switch (error.code()) {
    case Code::NotFound:
      return kNotFound;
    case Code::Conflict:
      return kLocked;
    case Code::Denied:
      return kKeyRefused;
    case Code::Corrupt:
      return kCorruption;
    case Code::Unavailable:
    case Code::OutcomeUnknown:
      return kUnreachable;
    case Code::Cancelled:
      return kInterrupted;
    case Code::InvalidInput:
    case Code::AlreadyExists:
    case Code::Precondition:
    case Code::Exhausted:
    case Code::Unsupported:
    case Code::Bug:
      return kFailed;
  }
  return kFailed;
}

void Context::print(std::string_view text, const config::Json& json_object) const {
  if (json) {
    terminal.out(json_object.dump() + "\n");
  } else {
    terminal.out(text);
  }
}

void Context::note(std::string_view line) const {
  if (!quiet) terminal.err(std::string(line) + "\n");
}

void show_error(const Context& context, const Error& error) {
  if (context.json) {
    config::Json object = config::Json::object();
    object.set("ok", false)
        .set("code", name_of(error.code()))
        .set("message", error.message())
        .set("hint", error.hint_text())
        .set("exit_code", static_cast<int>(exit_code_of(error)));
    context.terminal.out(object.dump() + "\n");
  }
  context.terminal.err("exclave: " + error.message() + "\n");
  if (!error.hint_text().empty()) context.terminal.err("  hint: " + error.hint_text() + "\n");
}

}  // namespace exclave::cli
