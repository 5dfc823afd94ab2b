// Errors of system calls: the one place where errno becomes a Code and a sentence.
// Hides: which errno means what a caller should do.
//
//   "cannot open '/srv/registry/a': Permission denied"        action, printable path, the system's words
//
// I1  EIO is Corrupt when reading (use another copy) and Unavailable when writing (state unknown, try elsewhere).
// Threads: pure functions, but path_of asks /proc.
// See: env/file_system.h and env/network.h (the codes they promise).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace exclave::posix {

enum class Access { Read, Write };

Code code_of(int error, Access access);

// `action` completes "cannot ..."; `object` is a path or address and is made printable.
Error system_error(int error, Access access, std::string_view action, std::string_view object);

// For messages only: where the open file `fd` is now, as far as the system tells; and a name in that directory.
std::string path_of(int fd);
std::string path_of(int directory, std::string_view name);

}  // namespace exclave::posix
