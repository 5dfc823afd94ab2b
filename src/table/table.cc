#include "table/table.h"

#include <fmt/format.h>

namespace exclave::table {

void Batch::clear() {
  bytes_.clear();
  entries_.clear();
  generation_.reset();
}

void Batch::add(Kind kind, ByteView key, ByteView value) {
  entries_.push_back({kind, bytes_.size(), key.size(), value.size()});
  append(bytes_, key);
  append(bytes_, value);
}

Batch::Operation Batch::operation(std::size_t index) const {
  CHECK(index < entries_.size());
  const Entry& entry = entries_[index];
  const ByteView bytes = ByteView(bytes_).subspan(entry.begin, entry.key_size + entry.value_size);
  return {entry.kind, bytes.first(entry.key_size), bytes.subspan(entry.key_size)};
}

Status Batch::check_limits() const {
  if (bytes_.size() > kMaxBatchBytes) {
    return Error(Code::InvalidInput, fmt::format("batch of {} bytes is larger than {}", bytes_.size(), kMaxBatchBytes));
  }
  for (const Entry& entry : entries_) {
    if (entry.key_size == 0 || entry.key_size > kMaxKeyBytes) {
      return Error(Code::InvalidInput,
                   fmt::format("key of {} bytes is not within 1..{}", entry.key_size, kMaxKeyBytes));
    }
    if (entry.value_size > kMaxValueBytes) {
      return Error(Code::InvalidInput,
                   fmt::format("value of {} bytes is larger than {}", entry.value_size, kMaxValueBytes));
    }
  }
  return {};
}

KeyRange KeyRange::prefix(ByteView prefix) {
  KeyRange range{to_bytes(prefix), std::nullopt};
  Bytes end = range.from;
  while (!end.empty() && end.back() == 0xff) end.pop_back();
  if (end.empty()) return range;  // nothing is greater than all keys that start with 0xff 0xff ...
  ++end.back();
  range.end = std::move(end);
  return range;
}

}  // namespace exclave::table
