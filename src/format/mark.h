// Marks: a writer's signed word of how far an open segment of a journal reaches, and a vault's signed word that it holds
// that much of it. Closed, the segment has an entry and a receipt (stream.h), which say more; until then these are the
// evidence, for somebody who was not there, of what was sent and of what was confirmed.
// Hides: the texts that are signed.
//
//   mark         := exclave/mark/v1: stream, index, end, frames, hash, at                               by the writer
//   mark receipt := exclave/mark-receipt/v1: vault, realm, policy, stream, index, end, hash, term, durable-at
//                                                                                                       by the vault
//
//   | front | frame 7 | frame 8 | frame 9 ...      end = behind frame 8, frames = 9, hash = SHA-256 of all before end
//
// I1  Two genuine marks of one segment, neither of which is a prefix of the other by end and hash, prove that the writer
//     (or a clone of it) went two ways.
// I2  A mark receipt vouches for the bytes of its segment below `end` alone: earlier segments have receipts.
// Threads: values. Errors: InvalidInput (grammar), Corrupt (signature).
// Source: docs/formats/journal.md, ADR-0029.
#pragma once

#include <string>

#include "format/journal.h"
#include "format/stream.h"

namespace exclave::format {

struct Mark {
  SegmentPlace place;
  std::uint64_t end = 0;     // bytes of whole frames and the front before them: a multiple of kFrameStep
  std::uint64_t frames = 0;  // one more than the number of the last frame before the end
  crypto::Hash256 hash;
  std::int64_t at_seconds = 0;  // by the writer's clock, since 1970

  std::string text() const;
  friend bool operator==(const Mark&, const Mark&) = default;
};

struct SignedMark {
  Mark mark;
  crypto::Ed25519Signature signature;

  std::string document() const;
  static Result<SignedMark> parse(ByteView document, std::string source);
  static SignedMark sign(const Mark& mark, const crypto::Ed25519SigningKey& key);
  Status check_signature(const crypto::Ed25519PublicKey& writer) const;
  friend bool operator==(const SignedMark&, const SignedMark&) = default;
};

struct MarkReceipt {
  crypto::Ed25519PublicKey vault;  // the vault's receipt key
  RealmId realm;
  PolicyVersion policy;
  SegmentPlace place;
  std::uint64_t end = 0;
  crypto::Hash256 hash;
  Term term;
  std::int64_t durable_at_seconds = 0;  // by the vault's clock, since 1970

  std::string text() const;
};

struct SignedMarkReceipt {
  MarkReceipt receipt;
  crypto::Ed25519Signature signature;

  std::string document() const;
  static Result<SignedMarkReceipt> parse(ByteView document, std::string source);
  static SignedMarkReceipt sign(const MarkReceipt& receipt, const crypto::Ed25519SigningKey& key);
  Status check_signature() const;  // by receipt.vault; whether that key is pinned is the caller's check
};

}  // namespace exclave::format
