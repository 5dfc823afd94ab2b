#include "cli/context.h"

#include <fmt/format.h>

namespace exclave::cli {
namespace {

// What reaches a terminal holds no control character but line ends, whoever wrote it: the last line of defence behind
// `printable`, which every name should have passed before.
std::string harmless(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (is_c1) {
      out += fmt::format("\\xc2\\x{:02x}", static_cast<unsigned char>(text[++i]));
    } else if ((byte < 0x20 && byte != '\n') || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

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
    say(text);
  }
}

void Context::say(std::string_view text) const {
  terminal.out(harmless(text));
}

void Context::note(std::string_view line) const {
  terminal.err(harmless(line) + "\n");
}

void set_error(config::Json& object, const Error& error) {
  object.set("ok", false)
      .set("code", name_of(error.code()))
      .set("message", error.message())
      .set("hint", error.hint_text())
      .set("exit_code", static_cast<int>(exit_code_of(error)));
}

void show_error(const Context& context, const Error& error) {
  if (context.json) {
    config::Json object = config::Json::object();
    set_error(object, error);
    context.terminal.out(object.dump() + "\n");
  }
  context.note("exclave: " + error.message());
  if (!error.hint_text().empty()) context.note("  hint: " + error.hint_text());
}

}  // namespace exclave::cli
