// Terminal: the program's standard streams, injected. Results go to out, talk and progress to err.
// Hides: descriptors; in tests, strings.
#pragma once

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
  // One line without its end; NotFound at the end of input.
  virtual Result<std::string> read_line() = 0;
  // Standard input as bytes; 0 at the end.
  virtual Result<std::size_t> read_input(MutableByteView out) = 0;
};

}  // namespace exclave::cli
