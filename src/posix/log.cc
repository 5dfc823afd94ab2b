#include "posix/log.h"

#include <unistd.h>

#include <string>

#include "base/text.h"
#include "posix/descriptor.h"
#include "posix/time.h"

namespace exclave::posix {
namespace {

constexpr std::size_t kMessageLimit = 8 * 1024 - 64;  // leaves room for what stands before it

std::string_view word_for(env::LogLevel level) {
  switch (level) {
    case env::LogLevel::Debug:
      return "debug";
    case env::LogLevel::Info:
      return "info";
    case env::LogLevel::Warning:
      return "warning";
    case env::LogLevel::Error:
      return "error";
  }
  return "error";
}

}  // namespace

void Log::write(env::LogLevel level, std::string_view message) {
  if (level < from_) return;
  std::string text = printable(message);
  if (text.size() > kMessageLimit) text.replace(kMessageLimit - 3, std::string::npos, "...");
  std::string line = env::to_rfc3339(Clock().now());
  line.append(" ").append(word_for(level)).append(": ").append(text).append("\n");
  static_cast<void>(uninterrupted([&] { return ::write(descriptor_, line.data(), line.size()); }));
}

}  // namespace exclave::posix
