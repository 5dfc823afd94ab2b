// Streams: a writer's ordered, signed sequence of objects, and the receipts vaults give for it.
// Hides: the texts that are signed and the chain's hash input.
//
//   descriptor := exclave/stream/v1: realm, writer, registry, era, kind, start       signed by the writer
//   entry      := exclave/entry/v1: stream, index, object, chain [, snapshot]         signed by the writer
//   receipt    := exclave/receipt/v1: vault, realm, policy, stream, index, chain, term, durable-at   signed by the
//   vault
//
//   stream id := SHA-256(descriptor text)
//   h_-1 = stream id        h_i = SHA-256(h_i-1 || name_i || note_i)
//   note_i    := ffffffff, or for a snapshot's object the oldest period it refers to (u32)
//
// I1  A receipt for index i vouches for every entry 0..i, durable at that vault: it is cumulative.
// I2  A valid entry's chain binds all earlier names; two valid entries of one index and different chain are a fork.
// Threads: values. Errors: InvalidInput (grammar), Corrupt (signature).
// Source: docs/formats/stream.md.
#pragma once

#include <optional>
#include <string>

#include "format/ids.h"
#include "format/signed_text.h"

namespace exclave::format {

enum class StreamKind {
  Objects,  // "objects": packs, indexes, snapshots
  Journal,  // "journal": entry i is segment i (journal.h)
};
std::string_view name_of(StreamKind kind);

struct StreamDescriptor {
  RealmId realm;
  crypto::Ed25519PublicKey writer;
  RegistryId registry;
  EraNumber era;
  StreamKind kind = StreamKind::Objects;
  StreamStart start;

  std::string text() const;
  StreamId id() const;
  // When the writer opened the stream, by its own clock: seconds since 1970, from `start`.
  std::int64_t start_seconds() const;
};

struct SignedStream {
  StreamDescriptor descriptor;
  crypto::Ed25519Signature signature;

  std::string document() const;
  static Result<SignedStream> parse(ByteView document, std::string source);
  static SignedStream sign(const StreamDescriptor& descriptor, const crypto::Ed25519SigningKey& key);
  Status check_signature() const;  // by descriptor.writer
};

struct Entry {
  StreamId stream;
  EntryIndex index;
  ObjectName object;
  ChainHash chain;
  std::optional<PeriodNumber> snapshot_oldest;  // set exactly on snapshot objects

  std::string text() const;
};

// h_i from h_i-1. For index 0, `previous` is chain_start(stream).
ChainHash next_chain(const ChainHash& previous, const ObjectName& object, std::optional<PeriodNumber> snapshot_oldest);
ChainHash chain_start(const StreamId& stream);

struct SignedEntry {
  Entry entry;
  crypto::Ed25519Signature signature;

  std::string document() const;
  static Result<SignedEntry> parse(ByteView document, std::string source);
  static SignedEntry sign(const Entry& entry, const crypto::Ed25519SigningKey& key);
  Status check_signature(const crypto::Ed25519PublicKey& writer) const;
};

struct Receipt {
  crypto::Ed25519PublicKey vault;  // the vault's receipt key
  RealmId realm;
  PolicyVersion policy;
  StreamId stream;
  EntryIndex index;
  ChainHash chain;
  Term term;
  std::int64_t durable_at_seconds = 0;  // by the vault's clock, since 1970

  std::string text() const;
};

struct SignedReceipt {
  Receipt receipt;
  crypto::Ed25519Signature signature;

  std::string document() const;
  static Result<SignedReceipt> parse(ByteView document, std::string source);
  static SignedReceipt sign(const Receipt& receipt, const crypto::Ed25519SigningKey& key);
  Status check_signature() const;  // by receipt.vault; whether that key is pinned is the caller's check
};

// What a vault signs before it reads an object at another vault: it lacks that object, or its copy is damaged. The
// holder keeps it, so that a vault that fetches on demand what it should have kept leaves a proof of it each time.
struct Reading {
  RealmId realm;
  crypto::Ed25519PublicKey reader;  // receipt keys, both pinned by the policy
  crypto::Ed25519PublicKey holder;
  ObjectName object;
  std::int64_t at_seconds = 0;  // by the reader's clock, since 1970

  std::string text() const;
};

struct SignedReading {
  Reading reading;
  crypto::Ed25519Signature signature;

  std::string document() const;
  static Result<SignedReading> parse(ByteView document, std::string source);
  static SignedReading sign(const Reading& reading, const crypto::Ed25519SigningKey& key);
  Status check_signature() const;  // by reading.reader; whether that key is pinned is the caller's check
};

}  // namespace exclave::format
