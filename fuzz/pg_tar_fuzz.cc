// An archive of a base backup, damaged or hostile. Read as it is, and once more with the checksums of its headers made
// right, so that what lies behind them is reached. Paths that come out are safe, and pieces change nothing.
#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "pg/detail/tar_reader.h"
#include "pg/testing/tar_writer.h"

namespace {

using namespace exclave;  // a test program of one file
using pg::detail::TarReader;

constexpr std::size_t kBlockBytes = 512;

// What the archive says, up to where it is refused.
std::string said_by(ByteView archive, std::size_t piece) {
  TarReader reader;
  std::string said;
  for (ByteView rest = archive; !rest.empty();) {
    ByteView part = rest.first(std::min(piece, rest.size()));
    rest = rest.subspan(part.size());
    for (;;) {
      const auto event = reader.next(part);
      if (!event.ok()) return said + "!";
      if (std::holds_alternative<pg::detail::TarNeedsMore>(event.value())) break;
      if (const auto* begins = std::get_if<pg::detail::TarEntry>(&event.value())) {
        const std::string& path = begins->entry.path;
        CHECK(path.find('\0') == std::string::npos);
        // Neither above the target, nor from the root, nor a second spelling of another path.
        for (const std::string_view step : split(path, '/')) CHECK(!step.empty() && step != "." && step != "..");
        said += path;
      }
      if (const auto* bytes = std::get_if<pg::detail::TarData>(&event.value())) said += as_text(bytes->bytes);
      if (std::holds_alternative<pg::detail::TarEntryEnds>(event.value())) said += ";";
    }
  }
  return reader.finish().ok() ? said + "." : said;
}

std::string with_right_checksums(ByteView archive) {
  std::string text(as_text(archive));
  for (std::size_t at = 0; at + kBlockBytes <= text.size(); at += kBlockBytes) {
    if (text.compare(at + 257, 5, "ustar") != 0) continue;
    std::string header = text.substr(at, kBlockBytes);
    pg::testing::seal_tar_header(header);
    text.replace(at, kBlockBytes, header);
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const std::string mended = with_right_checksums(input);
  for (const ByteView archive : {input, as_bytes(mended)}) {
    const std::string whole = said_by(archive, std::max<std::size_t>(1, archive.size()));
    CHECK(whole == said_by(archive, 1 + size % 700));
  }
  return 0;
}
