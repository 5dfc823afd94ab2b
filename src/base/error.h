// Errors: what went wrong, named by what the caller should do about it.
// Hides: nothing; this is the one error type of the project.
//
//   error := code message [hint]        message: lower case, names the object, no full stop, no secrets
//                                       hint:    one sentence for the user, with the command to run
//
// I1  The code says what the caller does next, never which function failed.
// Threads: a value.
// See: CONTRIBUTING.md section 3.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace exclave {

enum class Code {
  InvalidInput,    // fix the request
  NotFound,        // it does not exist
  AlreadyExists,   // it exists, and differs from what was asked for
  Denied,          // the caller may not
  Corrupt,         // bytes failed a check: never retry this copy, use another, raise an alarm
  Conflict,        // reread and redo the larger step
  Precondition,    // an operator must change something first
  Exhausted,       // space, quota or a limit
  Unavailable,     // retry this call later
  OutcomeUnknown,  // it may have happened; every mutating call is idempotent, so do it again
  Unsupported,     // a version or suite this build does not know
  Cancelled,       // the caller's stop token
  Bug,             // a programmer's error that reached a boundary
};

std::string_view name_of(Code code);

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  // A sentence for a user, with a command to run.
  Error hint(std::string text) && {
    hint_ = std::move(text);
    return std::move(*this);
  }
  // Puts "noun: " before the message.
  Error in(std::string_view noun) && {
    message_.insert(0, ": ").insert(0, noun);
    return std::move(*this);
  }

  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& hint_text() const { return hint_; }

 private:
  Code code_;
  std::string message_;
  std::string hint_;
};

}  // namespace exclave
