// Documents: the answers of the vault's HTTP API, in the one line grammar of format/signed_text.h (unsigned here).
// Hides: field order. What is signed travels inside as base64 of the exact document.
//
//   exclave/vault-status/v2   name, policy N, now SECONDS, free BYTES, objects N, unlisted N, damaged N, program,
//                             (read-by NAME, read-objects N, read-bytes BYTES, read-last SECONDS)*
//   exclave/heads/v1          registry, (stream BASE64, entries N, receipt none|BASE64)*, next none|STREAM
//   exclave/entries/v1        stream, (entry BASE64, bytes N, retain-until SECONDS)*
//   exclave/acts/v1           (policy HASH | era HASH)*
//   exclave/segments/v1       registry, (stream STREAM, index N, class N, end BYTES, damaged 0|1,
//                             mark none|BASE64)*
//   exclave/quota/v1          registry, used BYTES, quota BYTES
//
// Units/limits: a document is at most 4 MiB; a heads page at most 500 streams, entries at most 1,000.
// I1  parse_x(x_document(v)) = v. Parsing checks grammar and limits, no signature.
// Threads: pure. Errors: InvalidInput, Unsupported (another version).
// Source: docs/protocols/vault-http.md.
#pragma once

#include <string>
#include <vector>

#include "wire/handler.h"

namespace exclave::wire {

std::string status_document(const store::VaultStatus& status);
Result<store::VaultStatus> parse_status(ByteView document);

std::string heads_document(const format::RegistryId& registry, const HeadsPage& page);
// InvalidInput also if it is about another registry; the same holds for the stream and registry below.
Result<HeadsPage> parse_heads(ByteView document, const format::RegistryId& registry);

std::string entries_document(const format::StreamId& stream, const std::vector<store::HeldEntry>& entries);
Result<std::vector<store::HeldEntry>> parse_entries(ByteView document, const format::StreamId& stream);

std::string acts_document(const std::vector<store::Act>& acts);
Result<std::vector<store::Act>> parse_acts(ByteView document);

std::string segments_document(const format::RegistryId& registry, const std::vector<store::OpenSegment>& segments);
Result<std::vector<store::OpenSegment>> parse_segments(ByteView document, const format::RegistryId& registry);

std::string quota_document(const format::RegistryId& registry, const store::QuotaUse& quota);
Result<store::QuotaUse> parse_quota(ByteView document, const format::RegistryId& registry);

}  // namespace exclave::wire
