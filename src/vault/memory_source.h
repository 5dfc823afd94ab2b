// Memory source: bytes in memory as wire's ObjectSource. For objects that did not come over a connection.
// Threads: one. The bytes outlive the source.
#pragma once

#include <algorithm>

#include "wire/handler.h"

namespace exclave::vault {

class MemorySource final : public wire::ObjectSource {
 public:
  explicit MemorySource(ByteView object) : object_(object), left_(object) {}
  std::uint64_t size() const override { return object_.size(); }
  Status read_exactly(MutableByteView out) override {
    CHECK(out.size() <= left_.size());
    std::copy_n(left_.begin(), out.size(), out.begin());
    left_ = left_.subspan(out.size());
    return {};
  }
  Result<ByteView> next(MutableByteView buffer) override {
    CHECK(buffer.size() <= left_.size());
    const ByteView bytes = left_.first(buffer.size());
    left_ = left_.subspan(bytes.size());
    return bytes;
  }

 private:
  const ByteView object_;
  ByteView left_;
};

}  // namespace exclave::vault
