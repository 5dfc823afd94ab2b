// Log: what operators read. Lines are levelled, single-line, without secrets; the sink decides where they go.
#pragma once

#include <string_view>

namespace exclave::env {

enum class LogLevel { Debug, Info, Warning, Error };

class Log {
 public:
  virtual ~Log() = default;
  // `message` is one line; control characters in it are escaped by the sink. Thread-safe.
  virtual void write(LogLevel level, std::string_view message) = 0;
};

}  // namespace exclave::env
