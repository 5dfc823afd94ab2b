// Context: what every command gets: the world, the terminal, how to open a table, and when to stop.
// Also the program's exit codes and the one way errors are shown.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "cli/terminal.h"
#include "config/json.h"
#include "env/env.h"
#include "table/table.h"

namespace exclave::cli {

inline constexpr std::string_view kProgram = "exclave 0.1.0";

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kPartial = 3,
  kNotFound = 10,
  kLocked = 11,
  kKeyRefused = 12,
  kCorruption = 13,
  kUnreachable = 14,
  kInterrupted = 130,
  // Of `wal fetch` alone, whose caller is a server in recovery: 1 to 125 mean to it that the log ends here, and it opens
  // the database. So 1 is proven absence, and everything else is beyond 125.
  kWalAbsent = 1,
  kWalTrouble = 200,
};
ExitCode exit_code_of(const Error& error);

using OpenTable = std::function<Result<std::unique_ptr<table::Table>>(const std::string& directory)>;
using LookAtTable = std::function<Result<std::unique_ptr<const table::Table>>(const std::string& directory)>;

struct Context {
  env::Env& env;
  Terminal& terminal;
  OpenTable open_table;
  LookAtTable look_at_table;  // beside who has it open
  std::stop_token stop;
  bool json = false;
  bool quiet = false;  // no progress

  bool wants_progress() const { return !quiet && !json && terminal.shows_progress(); }
  // Results: text for people, or the object with --json.
  void print(std::string_view text, const config::Json& json_object) const;
  void say(std::string_view text) const;   // a part of the results, for people
  void note(std::string_view line) const;  // to err: what somebody has to know, quiet or not
};

// "ok": false, and the error's code, message, hint and exit code.
void set_error(config::Json& object, const Error& error);
// "exclave: <message>" and the hint; with --json an object of set_error before it.
void show_error(const Context& context, const Error& error);

}  // namespace exclave::cli
