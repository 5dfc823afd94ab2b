// SealedObject: an object between its sealing and the vaults. Nobody writes to its bytes any more.
// Units/limits: bytes. `name` was computed over the bytes by repo/sealer.h, in this process.
// Threads: a value.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "format/object.h"

namespace exclave::store {

struct SealedObject {
  format::ObjectName name;
  std::uint8_t size_class = 0;
  std::shared_ptr<const Bytes> bytes;  // at least 2^size_class; shared by the queues of all vaults and the packer

  ByteView view() const { return ByteView(*bytes).first(format::object_bytes(size_class)); }
};

}  // namespace exclave::store
