// Attributes of files: what stat tells, extended attributes, and the order in which a restore sets everything.
// Hides: struct stat, the list-then-get loops of xattrs, and which call undoes what another did:
//
//   owner -> xattrs -> mode -> ACLs -> mode again if an ACL changed it -> time
//
//   chown clears setuid, setgid and security.capability; chmod may take the right to write, which user.* needs;
//   an access ACL rewrites the group bits and may clear setgid; all of them touch the change time only.
//
// I1  Nothing here follows a symbolic link: a name is pinned by an O_PATH descriptor before it is changed.
// I2  Attributes that were not asked for keep their value (setuid too, when only the owner changes); what is already as
//     it is asked for is not set again.
// I3  Times outside of the years 1678..2262 are reported as the nearest one that fits.
// Threads: no state.
// Errors: of the file system contract; Unsupported if the file system has no such attribute; Precondition without
// /proc.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"

namespace exclave::posix {

env::FileInfo info_of(const struct stat& stat);
env::Timestamp timestamp_of(const timespec& time);

// An attribute that vanished, or that this file system lists but does not give, is not there.
bool means_no_xattr(int error);

// Of an open file; costs one system call when there are none.
Result<std::vector<env::Xattr>> xattrs_of(int fd);
// Of the name itself, whatever its type.
Result<std::vector<env::Xattr>> xattrs_of(int directory, const std::string& name);

// `file` is open for reading or writing: two or three system calls for a file of ours without extended attributes.
Status set_attributes_of_open(int file, const env::FileAttributes& attributes);
// `file` is an O_PATH descriptor, perhaps of a symbolic link (whose mode is then left alone: Linux has none).
Status set_attributes_of_pinned(int file, const env::FileAttributes& attributes);

}  // namespace exclave::posix
