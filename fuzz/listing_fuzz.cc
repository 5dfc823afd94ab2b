// Listing chunk: rejected, or every entry encodes and decodes to itself and has a safe path.
#include "base/check.h"
#include "format/listing.h"

namespace {

using namespace exclave;  // a test program of one file

Status check_round_trip(const format::ListingEntry& entry) {
  CHECK(!format::entry_flaw(entry).has_value());
  format::BinaryWriter writer;
  format::ListingEncoder encoder;
  encoder.append(entry, writer);
  format::ListingDecoder decoder;
  std::size_t found = 0;
  const Status read = decoder.feed(writer.view(), [&](format::ListingEntry again) -> Status {
    CHECK(again == entry);
    ++found;
    return {};
  });
  CHECK(read.ok() && found == 1 && decoder.finish().ok());
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  format::ListingDecoder decoder;
  const Status read =
      decoder.feed(ByteView(data, size), [](format::ListingEntry entry) { return check_round_trip(entry); });
  if (read.ok()) ignore(decoder.finish(), "both answers are right");
  return 0;
}
