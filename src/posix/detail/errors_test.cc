#include "posix/detail/errors.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "posix/descriptor.h"

namespace exclave::posix {
namespace {

TEST(ErrorsTest, io_error_is_corruption_when_reading_and_unavailable_when_writing) {
  EXPECT_EQ(code_of(EIO, Access::Read), Code::Corrupt);
  EXPECT_EQ(code_of(EIO, Access::Write), Code::Unavailable);
  EXPECT_EQ(code_of(EUCLEAN, Access::Read), Code::Corrupt);
  EXPECT_EQ(code_of(EUCLEAN, Access::Write), Code::Unavailable);
}

TEST(ErrorsTest, codes_say_what_the_caller_does_next) {
  for (const Access access : {Access::Read, Access::Write}) {
    EXPECT_EQ(code_of(ENOENT, access), Code::NotFound);
    EXPECT_EQ(code_of(EEXIST, access), Code::AlreadyExists);
    for (const int error : {EACCES, EPERM, EROFS}) EXPECT_EQ(code_of(error, access), Code::Denied);
    EXPECT_EQ(code_of(EFBIG, access), Code::InvalidInput) << "room does not help";
    for (const int error : {ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM}) EXPECT_EQ(code_of(error, access), Code::Exhausted);
    for (const int error : {ENAMETOOLONG, ENOTDIR, EISDIR, ELOOP, EINVAL, ENXIO, ENOTEMPTY, EXDEV}) {
      EXPECT_EQ(code_of(error, access), Code::InvalidInput);
    }
    EXPECT_EQ(code_of(ENOTSUP, access), Code::Unsupported);
    for (const int error : {ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, EBUSY, EADDRINUSE, 99'999}) {
      EXPECT_EQ(code_of(error, access), Code::Unavailable);
    }
    EXPECT_EQ(code_of(EBADF, access), Code::Bug);
  }
}

TEST(ErrorsTest, message_names_the_object_without_its_control_characters) {
  EXPECT_EQ(system_error(EACCES, Access::Read, "open", "/a/b").message(), "cannot open '/a/b': Permission denied");
  EXPECT_EQ(system_error(ENOENT, Access::Read, "open", "a\x1b[31m").message(),
            "cannot open 'a\\x1b[31m': No such file or directory");
  EXPECT_EQ(system_error(99'999, Access::Read, "open", "x").message(), "cannot open 'x': error 99999");
}

TEST(ErrorsTest, path_of_an_open_file_is_found) {
  const Descriptor root(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(path_of(root.get()), "/proc");
  EXPECT_EQ(path_of(root.get(), "x"), "/proc/x");
  const Descriptor top(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(path_of(top.get(), "x"), "/x");
  EXPECT_EQ(path_of(-1), "...");
}

}  // namespace
}  // namespace exclave::posix
