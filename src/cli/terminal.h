// Terminal: the program's standard streams, injected. Results go to out, talk and progress to err.
// Hides: descriptors; in tests, strings.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace exclave::cli {

class Terminal {
 public:
  virtual ~Terminal() = default;
  virtual void out(std::string_view text) = 0;
  virtual void err(std::string_view text) = 0;
  // Whether all that was given to out has been taken. Cancelled: the reader left, as `head` does.
  virtual Status written() const = 0;
  virtual bool shows_progress() const = 0;  // err is a terminal
  virtual bool can_ask() const = 0;         // in and err are terminals
  // One line without its end, at most 4,096 bytes (InvalidInput); NotFound at the end of input. Both end with Cancelled
  // when told to stop, also while they wait.
  virtual Result<std::string> read_line(const std::stop_token& stop) = 0;
  // Standard input as bytes; 0 at the end.
  virtual Result<std::size_t> read_input(MutableByteView out, const std::stop_token& stop) = 0;
};

}  // namespace exclave::cli
