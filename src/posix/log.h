// Log on the real system: one line per message to standard error.
// Hides: the form of a line.
//
//   2026-11-21T22:34:17Z warning: message            control characters and invalid UTF-8 as \xNN
//
// I1  A message is one write(2) of one line, at most 8 KiB long: lines of several threads do not mix.
// Threads: any. A log that cannot be written is not reported: there is nowhere to report it.
#pragma once

#include "env/log.h"

namespace exclave::posix {

class Log : public env::Log {
 public:
  // `descriptor` stays the caller's.
  explicit Log(env::LogLevel from, int descriptor = 2) : from_(from), descriptor_(descriptor) {}
  void write(env::LogLevel level, std::string_view message) override;

 private:
  const env::LogLevel from_;
  const int descriptor_;
};

}  // namespace exclave::posix
