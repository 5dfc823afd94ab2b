// Share leaf: the file, the record inside it, and its wrappings as a credential meets them. Rejected, or the record is
// written back byte for byte.
#include "base/check.h"
#include "custody/detail/leaf.h"
#include "custody/testing/world.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exclave;  // a test program of one file
  // The realm of the seeds (testdata/custody).
  static const custody::testing::World kWorld({.officials = 2, .threshold = 2, .vaults = 1}, 2);
  static custody::testing::TestCard card(kWorld.realm.official("alice"));
  static custody::testing::TestPaper paper(kWorld.realm.official("alice"));
  const ByteView input(data, size);
  if (format::domain_of(input) == custody::detail::kLeafDomain) {
    const auto opened = custody::open_leaf(input, kWorld.ceremony.era, {kWorld.policy}, card);
    if (opened.ok()) CHECK(opened.value().shares.size() == kWorld.ceremony.era.era.periods.size());
    return 0;
  }
  const Bytes context = custody::detail::leaf_context(kWorld.ceremony.era.era, "alice");
  ignore(card.unwrap(context, input), "only that it returns matters");
  ignore(paper.unwrap(context, input), "only that it returns matters");
  const auto leaf = custody::detail::parse_record(input);
  if (!leaf.ok()) return 0;
  custody::detail::RecordBuilder record(leaf.value().x, static_cast<std::uint32_t>(leaf.value().shares.size()));
  for (const custody::LeafShare& share : leaf.value().shares) record.add(share.salt, share.y.view());
  CHECK(equal(record.view(), input));
  return 0;
}
