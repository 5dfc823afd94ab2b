// Memory source: bytes in memory as wire's ObjectSource. For objects that did not come over a connection.
// Threads: one. The bytes outlive the source.
#pragma once

#include <algorithm>
#include <optional>

#include "wire/handler.h"

namespace exclave::vault {

class MemorySource final : public wire::ObjectSource {
 public:
  // `name`: as ObjectSource::name.
  explicit MemorySource(ByteView object, std::optional<format::ObjectName> name = std::nullopt)
      : object_(object), left_(object), name_(name) {}
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
  std::optional<format::ObjectName> name() const override { return name_; }

 private:
  const ByteView object_;
  ByteView left_;
  const std::optional<format::ObjectName> name_;
};

}  // namespace exclave::vault
