// A backup manifest, damaged or hostile: refused or read, and the same from pieces as from the whole.
#include <algorithm>

#include "base/check.h"
#include "pg/detail/manifest_reader.h"

namespace {

using namespace exclave;  // a test program of one file
using pg::detail::ManifestReader;

std::string said_by(ByteView manifest, std::size_t piece) {
  ManifestReader reader;
  std::string said;
  for (ByteView rest = manifest; !rest.empty();) {
    ByteView part = rest.first(std::min(piece, rest.size()));
    rest = rest.subspan(part.size());
    while (!part.empty()) {
      const auto file = reader.next(part);
      if (!file.ok()) return said + "!";
      if (file.value())
        said += file.value()->path + std::to_string(file.value()->size) + std::to_string(file.value()->crc32c);
    }
  }
  const auto summary = reader.finish();
  if (!summary.ok()) return said;
  CHECK(summary.value().bytes == manifest.size());
  CHECK(summary.value().sha256.size() == 64);
  // What the checksum is of ends where the checksum's own line begins.
  CHECK(summary.value().hashed_bytes < manifest.size());
  const std::string_view last_line = as_text(manifest.subspan(summary.value().hashed_bytes));
  CHECK(last_line == "\"Manifest-Checksum\": \"" + summary.value().sha256 + "\"}\n");
  return said + summary.value().sha256;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  CHECK(said_by(input, std::max<std::size_t>(1, size)) == said_by(input, 1 + size % 90));
  return 0;
}
