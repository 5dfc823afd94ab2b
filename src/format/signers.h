// Signers: the names under which keys of a realm sign, as they stand in a document's signature line. People sign under
// their own names (policy/policy.h).
// Hides: nothing.
//
//   signature writer ...     streams, entries, marks: a registry's agent
//   signature vault ...      receipts, readings, mark receipts: a vault's receipt key
//   signature site ...       release requests
//   signature ceremony ...   eras, leaves of shares
//
// I1  A name is part of formats that were released: it never changes.
// Threads: values. Source: docs/formats/signed-text.md.
#pragma once

#include <string_view>

namespace exclave::format {

inline constexpr std::string_view kWriterSigner = "writer";
inline constexpr std::string_view kVaultSigner = "vault";
inline constexpr std::string_view kSiteSigner = "site";
inline constexpr std::string_view kCeremonySigner = "ceremony";

}  // namespace exclave::format
