// Processes on the real system: posix_spawn, a pipe for standard output, waitpid.
// Hides: which descriptors and signal settings a child inherits: none of ours but 0, 1 (the pipe) and 2; default
// signals.
//
// I1  A command that was started is waited for: by wait() or by dropping it (which kills it first).
// Threads: one per RunningCommand. Read to the end before wait(): a command that fills the pipe waits for its reader.
// Errors: NotFound, Denied, InvalidInput (no arguments, NUL bytes, not a program), Exhausted (processes, descriptors).
#pragma once

#include "env/processes.h"

namespace exclave::posix {

class Processes : public env::Processes {
 public:
  Result<std::unique_ptr<env::RunningCommand>> start(const std::vector<std::string>& arguments) override;
};

}  // namespace exclave::posix
