#include "format/mark.h"

#include "format/signers.h"

namespace exclave::format {
namespace {

constexpr std::string_view kMarkDomain = "exclave/mark/v1";
constexpr std::string_view kMarkReceiptDomain = "exclave/mark-receipt/v1";

Result<SegmentPlace> place_fields(TextReader& reader) {
  SegmentPlace place;
  place.stream = TRY(id_field<StreamId>(reader, "stream"));
  place.index = EntryIndex(TRY(reader.number("index")));
  return place;
}

Result<std::uint64_t> end_field(TextReader& reader) {
  const std::uint64_t end = TRY(reader.number("end"));
  if (end <= kSegmentFrontBytes || end > kMaxObjectBytes || end % kFrameStep != 0) {
    return reader.bad("no frame of a segment ends there");
  }
  return end;
}

}  // namespace

std::string Mark::text() const {
  TextWriter writer(kMarkDomain);
  writer.field("stream", place.stream.hex())
      .field("index", place.index.value())
      .field("end", end)
      .field("frames", frames)
      .field("hash", hash.hex())
      .field("at", std::to_string(at_seconds));
  return writer.text();
}

std::string SignedMark::document() const {
  return with_signature(mark.text(), kWriterSigner, signature.view());
}

Result<SignedMark> SignedMark::parse(ByteView document, std::string source) {
  TextReader reader = TRY(TextReader::open(document, kMarkDomain, std::move(source)));
  SignedMark signed_mark;
  Mark& mark = signed_mark.mark;
  mark.place = TRY(place_fields(reader));
  mark.end = TRY(end_field(reader));
  mark.frames = TRY(reader.number("frames"));
  if (mark.frames == 0) return reader.bad("a mark stands behind a frame");
  mark.hash = TRY(id_field<crypto::Hash256>(reader, "hash"));
  mark.at_seconds = TRY(reader.seconds("at"));
  TRY(reader.end());
  signed_mark.signature = TRY(single_signature(reader, kWriterSigner));
  return signed_mark;
}

SignedMark SignedMark::sign(const Mark& mark, const crypto::Ed25519SigningKey& key) {
  return {mark, key.sign(as_bytes(mark.text()))};
}

Status SignedMark::check_signature(const crypto::Ed25519PublicKey& writer) const {
  return crypto::verify(writer, as_bytes(mark.text()), signature).in([&] {
    return "mark of " + to_string(mark.place);
  });
}

std::string MarkReceipt::text() const {
  TextWriter writer(kMarkReceiptDomain);
  writer.field("vault", vault.hex())
      .field("realm", realm.hex())
      .field("policy", policy.value())
      .field("stream", place.stream.hex())
      .field("index", place.index.value())
      .field("end", end)
      .field("hash", hash.hex())
      .field("term", term.value())
      .field("durable-at", std::to_string(durable_at_seconds));
  return writer.text();
}

std::string SignedMarkReceipt::document() const {
  return with_signature(receipt.text(), kVaultSigner, signature.view());
}

Result<SignedMarkReceipt> SignedMarkReceipt::parse(ByteView document, std::string source) {
  TextReader reader = TRY(TextReader::open(document, kMarkReceiptDomain, std::move(source)));
  SignedMarkReceipt signed_receipt;
  MarkReceipt& receipt = signed_receipt.receipt;
  receipt.vault = TRY(id_field<crypto::Ed25519PublicKey>(reader, "vault"));
  receipt.realm = TRY(id_field<RealmId>(reader, "realm"));
  receipt.policy = PolicyVersion(TRY(reader.number("policy")));
  receipt.place = TRY(place_fields(reader));
  receipt.end = TRY(end_field(reader));
  receipt.hash = TRY(id_field<crypto::Hash256>(reader, "hash"));
  receipt.term = Term(TRY(reader.number("term")));
  receipt.durable_at_seconds = TRY(reader.seconds("durable-at"));
  TRY(reader.end());
  signed_receipt.signature = TRY(single_signature(reader, kVaultSigner));
  return signed_receipt;
}

SignedMarkReceipt SignedMarkReceipt::sign(const MarkReceipt& receipt, const crypto::Ed25519SigningKey& key) {
  return {receipt, key.sign(as_bytes(receipt.text()))};
}

Status SignedMarkReceipt::check_signature() const {
  return crypto::verify(receipt.vault, as_bytes(receipt.text()), signature).in([&] {
    return "mark receipt of vault key " + receipt.vault.hex().substr(0, 16);
  });
}

}  // namespace exclave::format
