// Open files and directories of the simulated file system: made here, used through env's interfaces.
//
// I1  A handle made by one incarnation of a machine fails with Unavailable in every later one.
// I2  A file handle opened before a sync of its file failed never syncs successfully again.
// Threads: the holder of the baton.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "env/file_system.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim::detail {

// `path` is what faults are matched against and what errors name.
std::unique_ptr<env::ReadableFile> make_readable(MachineCore& core, NodePtr file, std::string path);
std::unique_ptr<env::WritableFile> make_writable(MachineCore& core, NodePtr file, std::string path);
std::unique_ptr<env::Directory> make_directory(MachineCore& core, NodePtr directory, std::string path);

env::FileInfo info_of(const MachineCore& core, const Node& node);
std::vector<env::Xattr> xattrs_of(const Node& node);
// All of them or, when one is refused, none.
Status set_attributes_of(Node& node, const env::FileAttributes& wanted, env::Timestamp now);
Status require_regular(const Node& node, std::string_view path);

}  // namespace exclave::sim::detail
