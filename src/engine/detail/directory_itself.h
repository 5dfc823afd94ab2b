// DirectoryItself: opens a directory that is about to be filled, often as root and where another user owns what is
// above it.
// Hides: that only the last step of a path can be taken without following a link, from the directory above it.
//
// I1  A link that has the name is not followed: whoever owns the directory above can make one at any moment. Where that
//     directory may be passed and not read, what was opened is compared with what has the name.
// I2  The name says which directory it is: what lies beside it (a marker, a log) gets its name from this one.
// Threads: any.
// Errors: InvalidInput (I2: the path ends in "." or "..", or is "/"; or it is no directory), those of the file system.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "env/file_system.h"

namespace exclave::engine {

// I2. `what`, in the error: "target".
Status check_names_itself(std::string_view path, std::string_view what);

// Precondition: check_names_itself. Slashes at the end are fine.
Result<std::unique_ptr<env::Directory>> open_itself(env::FileSystem& files, std::string_view path);

// The same, together with the directory in which it has its name.
struct DirectoryInPlace {
  std::unique_ptr<env::Directory> above;  // nullptr: it may be passed and not read
  std::unique_ptr<env::Directory> itself;
};
Result<DirectoryInPlace> open_in_place(env::FileSystem& files, std::string_view path);

// Against another restore, as long as it is open; `held`: what to answer where one has it. Some network file systems know no
// locks: there nobody is kept out.
Status lock_itself(env::Directory& directory, Error held);

}  // namespace exclave::engine
