// Plaintext of a pack, index or snapshot object: rejected, or its directory, sections or record encode to the same
// bytes.
#include "base/check.h"
#include "format/pack.h"
#include "format/snapshot.h"

namespace {

using namespace exclave;  // a test program of one file

Bytes directory_of(const std::vector<format::ChunkEntry>& entries) {
  Bytes directory;
  for (const format::ChunkEntry& entry : entries) format::append_entry(directory, entry);
  return directory;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const auto entries = format::read_pack_directory(input);
  if (entries.ok()) {
    const Bytes directory = directory_of(entries.value());
    CHECK(equal(directory, input.last(format::kFooterBytes + directory.size()).first(directory.size())));
  }
  const auto sections = format::read_index(input);
  if (sections.ok()) {
    Bytes payload;
    for (const format::IndexSection& section : sections.value()) {
      format::append_index_section(payload, section.pack, section.size_class, section.period,
                                   directory_of(section.entries));
    }
    CHECK(equal(payload, input.first(payload.size())));
  }
  const auto record = format::read_payload(input, format::PlaintextType::Snapshot);
  if (!record.ok()) return 0;
  const auto snapshot = format::decode_snapshot(record.value());
  if (snapshot.ok()) CHECK(equal(format::encode_snapshot(snapshot.value()), record.value()));
  return 0;
}
