// Record of a database's journal: rejected, or it encodes to the same bytes.
#include "base/check.h"
#include "format/database_journal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto record = exclave::format::decode_record(input);
  if (record.ok()) CHECK(exclave::equal(exclave::format::encode_record(record.value()), input));
  return 0;
}
