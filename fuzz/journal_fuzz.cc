// A journal's segment: its front and frames are refused, or they are what a second look finds too.
#include <algorithm>

#include "base/check.h"
#include "crypto/secret.h"
#include "format/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exclave;  // a test program of one file
  const ByteView input(data, size);
  const auto front = format::decode_segment_front(input);
  if (front.ok()) {
    CHECK(equal(format::encode_header(front.value().header), input.first(format::kObjectHeaderBytes)));
  }
  Bytes plaintext = to_bytes(input);
  if (format::cut_to_content(plaintext).ok()) {
    CHECK(equal(plaintext, input.first(plaintext.size())));
    CHECK(format::frame_bytes(plaintext.size()) == format::kFrameHeadBytes + size + crypto::kTagBytes);
  }
  const ByteView frames = input.subspan(std::min(size, format::kSegmentFrontBytes));
  const format::FrameScan scan = format::scan_frames(frames);
  CHECK(scan.bytes <= frames.size() && scan.bytes % format::kFrameStep == 0);
  const format::FrameScan again = format::scan_frames(frames.first(static_cast<std::size_t>(scan.bytes)));
  CHECK(again.is_all && again.bytes == scan.bytes && again.frames == scan.frames && again.last == scan.last);
  if (!front.ok()) return 0;
  // Nothing that a fuzzer makes was sealed under this key.
  const auto key = format::derive_opening_key(front.value().header.key, crypto::Secret<32>());
  CHECK(!format::SegmentOpener::open(key, format::RealmId(), front.value().place, input).ok());
  return 0;
}
