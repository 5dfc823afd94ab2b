// Log of the twin table: as it is, and with the checksums of its records made right. Rejected, or its whole part reads
// again as the same batches, and these encode to a log that reads as them.
#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"
#include "table/detail/log_records.h"

namespace {

using namespace exclave;  // a test program of one file
using table::detail::kLogHeaderBytes;
using table::detail::kRecordHeaderBytes;

void check_same(const std::vector<table::Batch>& a, const std::vector<table::Batch>& b) {
  CHECK(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].size() == b[i].size());
    for (std::size_t j = 0; j < a[i].size(); ++j) {
      const auto first = a[i].operation(j), second = b[i].operation(j);
      CHECK(first.kind == second.kind && equal(first.key, second.key) && equal(first.value, second.value));
    }
  }
}

void check_log(ByteView log) {
  const auto content = table::detail::read_log(log);
  if (!content.ok()) return;
  CHECK(content.value().whole_bytes <= log.size());
  const auto again = table::detail::read_log(log.first(static_cast<std::size_t>(content.value().whole_bytes)));
  CHECK(again.ok());
  check_same(again.value().batches, content.value().batches);
  Bytes rewritten = table::detail::encode_log_header(kLogHeaderBytes);
  for (const table::Batch& batch : content.value().batches) {
    table::detail::append_record(rewritten, batch, rewritten.size(), kLogHeaderBytes);
  }
  CHECK(rewritten.size() == content.value().whole_bytes);
  const auto reread = table::detail::read_log(rewritten);
  CHECK(reread.ok());
  check_same(reread.value().batches, content.value().batches);
}

void mend_checksums(MutableByteView log) {
  if (log.size() < kLogHeaderBytes) return;
  store_u32(log.subspan(28, 4), crc32c(log.first(28)));
  for (std::size_t at = kLogHeaderBytes; log.size() - at >= kRecordHeaderBytes;) {
    const MutableByteView record = log.subspan(at);
    const std::size_t payload = load_u32(record.subspan(4, 4));
    if (payload > record.size() - kRecordHeaderBytes) return;
    std::array<Byte, 8> place{};
    store_u64(place, at);
    store_u32(record.subspan(16, 4),
              crc32c(record.subspan(kRecordHeaderBytes, payload), crc32c(record.subspan(4, 12), crc32c(place))));
    at += kRecordHeaderBytes + payload;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check_log({data, size});
  Bytes mended = to_bytes({data, size});
  mend_checksums(mended);
  check_log(mended);
  return 0;
}
