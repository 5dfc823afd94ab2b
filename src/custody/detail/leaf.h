// Leaf record: one official's shares of an era as bytes, before wrapping and after unwrapping; and the wrap context.
// Hides: the record's layout.
//
//   record := x u8 | periods u32 | (period u32 | salt (32) | y (32))*          periods 0.. in order
//
// Threads: values.
// Errors: Corrupt from parse_record.
// Source: docs/formats/share-leaf.md.
#pragma once

#include <string_view>

#include "crypto/secret.h"
#include "custody/ceremony.h"

namespace exclave::custody::detail {

constexpr std::string_view kLeafDomain = "exclave/share-leaf/v1";
constexpr std::size_t kSaltBytes = 32;
constexpr std::size_t kShareBytes = 32;

// A record of fixed size, filled period by period in wiped memory.
class RecordBuilder {
 public:
  RecordBuilder(std::uint8_t x, std::uint32_t periods);
  // Preconditions: salt and y have 32 bytes; called `periods` times.
  void add(ByteView salt, ByteView y);
  ByteView view() const { return record_.view(); }

 private:
  crypto::SecretBytes record_;
  std::uint32_t next_ = 0;
};

Result<OpenedLeaf> parse_record(ByteView record);

// Checks x and every share against the commitments of `official` in `era`; Corrupt blames the official by name.
Status check_shares(const OpenedLeaf& leaf, const policy::Era& era, std::string_view official);

Bytes leaf_context(const policy::Era& era, std::string_view official);

}  // namespace exclave::custody::detail
