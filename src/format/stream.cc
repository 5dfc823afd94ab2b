#include "format/stream.h"

#include <array>

#include "base/text.h"
#include "format/signers.h"

namespace exclave::format {
namespace {

constexpr std::string_view kStreamDomain = "exclave/stream/v1";
constexpr std::string_view kEntryDomain = "exclave/entry/v1";
constexpr std::string_view kReceiptDomain = "exclave/receipt/v1";
constexpr std::string_view kReadingDomain = "exclave/reading/v1";

}  // namespace

std::string_view name_of(StreamKind kind) {
  switch (kind) {
    case StreamKind::Objects:
      return "objects";
    case StreamKind::Journal:
      return "journal";
  }
  CHECK(false);
}

std::string StreamDescriptor::text() const {
  TextWriter writer(kStreamDomain);
  writer.field("realm", realm.hex())
      .field("writer", this->writer.hex())
      .field("registry", registry.hex())
      .field("era", era.value())
      .field("kind", name_of(kind))
      .field("start", start.hex());
  return writer.text();
}

StreamId StreamDescriptor::id() const {
  return StreamId(crypto::sha256(as_bytes(text())).array());
}

std::int64_t StreamDescriptor::start_seconds() const {
  return static_cast<std::int64_t>(load_u64(start.view()) / 1'000'000'000);
}

std::string SignedStream::document() const {
  return with_signature(descriptor.text(), kWriterSigner, signature.view());
}

Result<SignedStream> SignedStream::parse(ByteView document, std::string source) {
  TextReader reader = TRY(TextReader::open(document, kStreamDomain, std::move(source)));
  SignedStream stream;
  stream.descriptor.realm = TRY(id_field<RealmId>(reader, "realm"));
  stream.descriptor.writer = TRY(id_field<crypto::Ed25519PublicKey>(reader, "writer"));
  stream.descriptor.registry = TRY(id_field<RegistryId>(reader, "registry"));
  const std::uint64_t era = TRY(reader.number("era"));
  if (era == 0 || era > 0xffffffff) return reader.bad("era is out of range");
  stream.descriptor.era = EraNumber(static_cast<std::uint32_t>(era));
  const auto kind = TRY(reader.field("kind"));
  if (kind != name_of(StreamKind::Objects) && kind != name_of(StreamKind::Journal)) {
    return reader.bad("stream kind is unknown");
  }
  stream.descriptor.kind = kind == name_of(StreamKind::Journal) ? StreamKind::Journal : StreamKind::Objects;
  stream.descriptor.start = TRY(id_field<StreamStart>(reader, "start"));
  TRY(reader.end());
  stream.signature = TRY(single_signature(reader, kWriterSigner));
  return stream;
}

SignedStream SignedStream::sign(const StreamDescriptor& descriptor, const crypto::Ed25519SigningKey& key) {
  return {descriptor, key.sign(as_bytes(descriptor.text()))};
}

Status SignedStream::check_signature() const {
  return crypto::verify(descriptor.writer, as_bytes(descriptor.text()), signature).in([] {
    return "stream descriptor";
  });
}

ChainHash chain_start(const StreamId& stream) {
  return ChainHash(stream.array());
}

ChainHash next_chain(const ChainHash& previous, const ObjectName& object, std::optional<PeriodNumber> snapshot_oldest) {
  std::array<Byte, 68> input{};
  std::copy(previous.view().begin(), previous.view().end(), input.begin());
  std::copy(object.view().begin(), object.view().end(), input.begin() + 32);
  store_u32(MutableByteView(input).subspan(64), snapshot_oldest.has_value() ? snapshot_oldest->value() : 0xffffffffU);
  return ChainHash(crypto::sha256(input).array());
}

std::string Entry::text() const {
  TextWriter writer(kEntryDomain);
  writer.field("stream", stream.hex())
      .field("index", index.value())
      .field("object", object.hex())
      .field("chain", chain.hex());
  if (snapshot_oldest.has_value()) writer.field("snapshot", snapshot_oldest->value());
  return writer.text();
}

std::string SignedEntry::document() const {
  return with_signature(entry.text(), kWriterSigner, signature.view());
}

Result<SignedEntry> SignedEntry::parse(ByteView document, std::string source) {
  TextReader reader = TRY(TextReader::open(document, kEntryDomain, std::move(source)));
  SignedEntry signed_entry;
  Entry& entry = signed_entry.entry;
  entry.stream = TRY(id_field<StreamId>(reader, "stream"));
  entry.index = EntryIndex(TRY(reader.number("index")));
  entry.object = TRY(id_field<ObjectName>(reader, "object"));
  entry.chain = TRY(id_field<ChainHash>(reader, "chain"));
  if (reader.next_is("snapshot")) {
    const std::uint64_t period = TRY(reader.number("snapshot"));
    if (period >= 0xffffffff) return reader.bad("period is out of range");
    entry.snapshot_oldest = PeriodNumber(static_cast<std::uint32_t>(period));
  }
  TRY(reader.end());
  signed_entry.signature = TRY(single_signature(reader, kWriterSigner));
  return signed_entry;
}

SignedEntry SignedEntry::sign(const Entry& entry, const crypto::Ed25519SigningKey& key) {
  return {entry, key.sign(as_bytes(entry.text()))};
}

Status SignedEntry::check_signature(const crypto::Ed25519PublicKey& writer) const {
  return crypto::verify(writer, as_bytes(entry.text()), signature).in([&] {
    return "entry " + std::to_string(entry.index.value()) + " of stream " + entry.stream.hex().substr(0, 16);
  });
}

std::string Receipt::text() const {
  TextWriter writer(kReceiptDomain);
  writer.field("vault", vault.hex())
      .field("realm", realm.hex())
      .field("policy", policy.value())
      .field("stream", stream.hex())
      .field("index", index.value())
      .field("chain", chain.hex())
      .field("term", term.value())
      .field("durable-at", std::to_string(durable_at_seconds));
  return writer.text();
}

std::string SignedReceipt::document() const {
  return with_signature(receipt.text(), kVaultSigner, signature.view());
}

Result<SignedReceipt> SignedReceipt::parse(ByteView document, std::string source) {
  TextReader reader = TRY(TextReader::open(document, kReceiptDomain, std::move(source)));
  SignedReceipt signed_receipt;
  Receipt& receipt = signed_receipt.receipt;
  receipt.vault = TRY(id_field<crypto::Ed25519PublicKey>(reader, "vault"));
  receipt.realm = TRY(id_field<RealmId>(reader, "realm"));
  receipt.policy = PolicyVersion(TRY(reader.number("policy")));
  receipt.stream = TRY(id_field<StreamId>(reader, "stream"));
  receipt.index = EntryIndex(TRY(reader.number("index")));
  receipt.chain = TRY(id_field<ChainHash>(reader, "chain"));
  receipt.term = Term(TRY(reader.number("term")));
  receipt.durable_at_seconds = TRY(reader.seconds("durable-at"));
  TRY(reader.end());
  signed_receipt.signature = TRY(single_signature(reader, kVaultSigner));
  return signed_receipt;
}

SignedReceipt SignedReceipt::sign(const Receipt& receipt, const crypto::Ed25519SigningKey& key) {
  return {receipt, key.sign(as_bytes(receipt.text()))};
}

Status SignedReceipt::check_signature() const {
  return crypto::verify(receipt.vault, as_bytes(receipt.text()), signature).in([&] {
    return "receipt of vault key " + receipt.vault.hex().substr(0, 16);
  });
}

std::string Reading::text() const {
  TextWriter writer(kReadingDomain);
  writer.field("realm", realm.hex())
      .field("reader", reader.hex())
      .field("holder", holder.hex())
      .field("object", object.hex())
      .field("at", std::to_string(at_seconds));
  return writer.text();
}

std::string SignedReading::document() const {
  return with_signature(reading.text(), kVaultSigner, signature.view());
}

Result<SignedReading> SignedReading::parse(ByteView document, std::string source) {
  TextReader reader = TRY(TextReader::open(document, kReadingDomain, std::move(source)));
  SignedReading signed_reading;
  Reading& reading = signed_reading.reading;
  reading.realm = TRY(id_field<RealmId>(reader, "realm"));
  reading.reader = TRY(id_field<crypto::Ed25519PublicKey>(reader, "reader"));
  reading.holder = TRY(id_field<crypto::Ed25519PublicKey>(reader, "holder"));
  reading.object = TRY(id_field<ObjectName>(reader, "object"));
  reading.at_seconds = TRY(reader.seconds("at"));
  TRY(reader.end());
  signed_reading.signature = TRY(single_signature(reader, kVaultSigner));
  return signed_reading;
}

SignedReading SignedReading::sign(const Reading& reading, const crypto::Ed25519SigningKey& key) {
  return {reading, key.sign(as_bytes(reading.text()))};
}

Status SignedReading::check_signature() const {
  return crypto::verify(reading.reader, as_bytes(reading.text()), signature).in([&] {
    return "reading by vault key " + reading.reader.hex().substr(0, 16);
  });
}

}  // namespace exclave::format
