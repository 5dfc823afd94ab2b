// pg_control, damaged or hostile: as it is, and with its CRC made right.
#include "base/check.h"
#include "base/crc32c.h"
#include "pg/control_file.h"

namespace {

using namespace exclave;  // a test program of one file

constexpr std::size_t kCrcOffset = 288;

void read(ByteView bytes) {
  const auto file = pg::parse_control_file(bytes);
  if (!file.ok()) return;
  CHECK(file.value().major >= pg::ServerMajor(13) && file.value().major <= pg::ServerMajor(17));
  CHECK(file.value().written.nanoseconds >= 0);
  CHECK(pg::SegmentSize::of(file.value().segment_size.bytes()).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  read(input);
  if (size < kCrcOffset + 4) return 0;
  Bytes mended = to_bytes(input);
  const std::uint32_t crc = crc32c(input.first(kCrcOffset));
  for (std::size_t i = 0; i < 4; ++i) mended[kCrcOffset + i] = static_cast<Byte>(crc >> (8 * i));
  read(mended);
  return 0;
}
