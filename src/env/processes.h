// Processes: run a command and read what it prints. Used by `ingest -- command`; recipes use launch (a later module).
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace exclave::env {

class RunningCommand {
 public:
  virtual ~RunningCommand() = default;  // kills what still runs, and waits
  // Standard output; 0 = closed. Cancelled when told to stop: a command may be silent for hours.
  virtual Result<std::size_t> read_output(MutableByteView out, const std::stop_token& stop) = 0;
  // Waits for the end. 0..255 exit status; 128 + n when killed by signal n.
  virtual Result<int> wait() = 0;
};

class Processes {
 public:
  virtual ~Processes() = default;
  // `arguments[0]` is looked up in PATH; no shell. Standard error is the caller's. NotFound, Denied, Exhausted.
  virtual Result<std::unique_ptr<RunningCommand>> start(const std::vector<std::string>& arguments) = 0;
};

}  // namespace exclave::env
