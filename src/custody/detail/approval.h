// Approval: one official's answer as a document, parsed, and the checks that station and site share.
// Hides: the approval's text and the context under which its shares are wrapped.
//
// Threads: values.
// Errors: InvalidInput (document and line), Denied.
// Source: docs/formats/release.md.
#pragma once

#include <string>
#include <vector>

#include "custody/release.h"

namespace exclave::custody::detail {

constexpr std::string_view kApprovalDomain = "exclave/approval/v1";

struct WrappedShare {
  format::PeriodNumber period;
  Bytes salt;     // 32
  Bytes wrapped;  // y, to the recipient
};

struct Approval {
  ReleaseId release;
  std::string official;
  std::uint8_t x = 0;
  std::vector<WrappedShare> shares;  // ascending by period
  Bytes signed_bytes;
  crypto::P384Signature signature;  // not checked by parse

  static Result<Approval> parse(ByteView document, std::string source);
};

// The text of an approval, unsigned.
std::string approval_text(const ReleaseId& release, std::string_view official, std::uint8_t x,
                          const std::vector<WrappedShare>& shares);

Bytes approval_context(const ReleaseId& release, std::string_view official, format::PeriodNumber period);

// A version of the chain vouches for the era; it is the one that the release names, has all of its periods, and needs
// no more shares than the release asks for.
Status check_era_of_release(const std::vector<policy::SignedPolicy>& chain, const SignedRelease& release,
                            const policy::SignedEra& era);

}  // namespace exclave::custody::detail
