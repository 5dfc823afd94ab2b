// Stream descriptor, entry, receipt, reading, mark and mark receipt: rejected, or the document is written back byte for byte.
#include "base/check.h"
#include "format/mark.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto domain = exclave::format::domain_of(input);
  const auto text = exclave::format::TextReader::open(input, domain, "input");
  if (text.ok()) CHECK(text.value().signed_bytes().size() <= size);
  const auto stream = exclave::format::SignedStream::parse(input, "input");
  if (stream.ok()) CHECK(stream.value().document() == exclave::as_text(input));
  const auto entry = exclave::format::SignedEntry::parse(input, "input");
  if (entry.ok()) CHECK(entry.value().document() == exclave::as_text(input));
  const auto receipt = exclave::format::SignedReceipt::parse(input, "input");
  if (receipt.ok()) CHECK(receipt.value().document() == exclave::as_text(input));
  const auto reading = exclave::format::SignedReading::parse(input, "input");
  if (reading.ok()) CHECK(reading.value().document() == exclave::as_text(input));
  const auto mark = exclave::format::SignedMark::parse(input, "input");
  if (mark.ok()) CHECK(mark.value().document() == exclave::as_text(input));
  const auto mark_receipt = exclave::format::SignedMarkReceipt::parse(input, "input");
  if (mark_receipt.ok()) CHECK(mark_receipt.value().document() == exclave::as_text(input));
  return 0;
}
