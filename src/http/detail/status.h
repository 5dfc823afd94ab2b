// Status: what an error is called on the wire, and back.
// Hides: the table between error codes and HTTP statuses.
//
//   error answer := status, "error-code: <name of the Code>", text/plain body: message [LF hint] LF
//
// I1  error_of(error answer) has the code and message of the error that made it.
// I2  The name in error-code counts only if its status is the one received: an intermediary's or another program's
// answer is
//     judged by its status alone.
// Threads: pure functions.
// See: ADR-0020.
#pragma once

#include <string_view>

#include "http/message.h"

namespace exclave::http {

inline constexpr std::string_view kErrorCodeHeader = "error-code";
inline constexpr std::uint64_t kMaxErrorBodyBytes = 4096;

int status_of(Code code);
std::string_view reason_of(int status);
// The error that an answer with a status of 300 and more stands for; `body` is its (untrusted) text.
Error error_of(const ResponseHead& head, std::string_view body);

}  // namespace exclave::http
