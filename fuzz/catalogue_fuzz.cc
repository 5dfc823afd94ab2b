// Catalogue: an agent's own file, damaged. The input is read as a whole catalogue, and once more as what follows a good
// header, with the checks of its blocks made right, so that what lies behind them is reached. Rejected, or entries come
// in walk order with safe paths.
#include "base/check.h"
#include "crypto/hash.h"
#include "env/testing/one_file.h"
#include "repo/catalogue.h"

namespace {

using namespace exclave;  // a test program of one file

constexpr std::string_view kDataset = "files";
constexpr std::size_t kTrailerBytes = 12;
constexpr std::size_t kCheckOffset = 41;
constexpr std::size_t kBlockHeadBytes = kCheckOffset + 8;
constexpr std::size_t kFactsBytes = 24;

void read_all(ByteView content) {
  env::testing::OneFile files(content);
  auto reader = repo::CatalogueReader::open(files, "", kDataset);
  if (!reader.ok()) return;
  std::string previous;
  for (bool first = true;; first = false) {
    const auto next = reader.value().next();
    if (!next.ok() || !next.value().has_value()) return;
    const std::string& path = next.value()->entry.path;
    CHECK(format::is_safe_path(path));
    CHECK(first || format::compare_in_walk_order(previous, path) < 0);
    previous = path;
  }
}

Bytes good_header() {
  env::testing::OneFile files({});
  auto writer = repo::CatalogueWriter::create(files, "");
  repo::CatalogueHeader header;
  header.dataset = kDataset;
  header.root = "/srv";
  CHECK(std::move(writer).commit(header).ok());
  Bytes bytes = files.content();
  bytes.resize(bytes.size() - kTrailerBytes);
  return bytes;
}

void mend_checks(MutableByteView blocks) {
  while (blocks.size() >= kBlockHeadBytes) {
    const std::uint64_t body = load_u32(blocks) + std::uint64_t{load_u32(blocks.subspan(4))} * kFactsBytes;
    if (body > blocks.size() - kBlockHeadBytes) return;
    const MutableByteView rest = blocks.subspan(kBlockHeadBytes);
    crypto::Sha256Hasher hasher;
    hasher.update(blocks.first(kCheckOffset));
    hasher.update(rest.first(static_cast<std::size_t>(body)));
    const auto check = hasher.finish();
    std::copy_n(check.view().begin(), 8, blocks.begin() + kCheckOffset);
    blocks = rest.subspan(static_cast<std::size_t>(body));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  read_all(input);
  static const Bytes kHeader = good_header();
  Bytes mended = kHeader;
  append(mended, input);
  mend_checks(MutableByteView(mended).subspan(kHeader.size()));
  read_all(mended);
  return 0;
}
