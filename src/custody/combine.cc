// The site's side of a release: which approvals count, who is blamed, and what their shares open.
#include <algorithm>
#include <set>

#include "base/text.h"
#include "crypto/shamir.h"
#include "crypto/wrap.h"
#include "custody/detail/approval.h"
#include "custody/detail/leaf.h"

namespace exclave::custody {
namespace {

// What one official's approval gave, every share checked against its commitment.
struct GoodApproval {
  const policy::Official* official = nullptr;
  std::uint8_t x = 0;
  std::vector<crypto::Share> shares;  // one per period of the request
};

struct Release {
  const policy::Policy& policy;
  const SignedRelease& signed_release;
  const policy::Era& era;
  const crypto::Secret<32>& recipient_key;
};

Result<crypto::Share> open_share(const Release& release, const detail::Approval& approval,
                                 const detail::WrappedShare& share) {
  const auto blame = [&](std::string_view why) {
    return Error(Code::Corrupt, approval.official + ": share for period " + std::to_string(share.period.value()) + " " +
                                    std::string(why));
  };
  const Bytes context = detail::approval_context(approval.release, approval.official, share.period);
  auto y = crypto::unwrap_with_x25519(release.recipient_key, context, share.wrapped);
  if (!y.ok()) return blame(y.error().message());
  const auto& commitments = release.era.periods[share.period.value()].commitments;
  const policy::ShareCommitment& published = commitments[approval.x - 1U];
  if (policy::commit_to_share(share.salt, approval.x, y.value().view()) != published) {
    return blame("does not match its commitment");
  }
  return crypto::Share{approval.x, y.take()};
}

// Everything that makes an approval count; the error is what the site's operator reads about it.
Result<GoodApproval> check_approval(const Release& release, const ApprovalFile& file) {
  const detail::Approval approval = TRY(detail::Approval::parse(file.document, printable(file.source)));
  const auto refuse = [&](std::string why) {
    return Error(Code::Denied, printable(file.source) + ": " + std::move(why));
  };
  if (approval.release != release.signed_release.id) return refuse("is for another release");
  const policy::Official* official = release.policy.official(approval.official);
  if (official == nullptr) return refuse("the policy has no official '" + approval.official + "'");
  if (!crypto::verify(official->sign, approval.signed_bytes, approval.signature).ok()) {
    return refuse("the signature under the name of " + approval.official + " is wrong");
  }
  // From here on the official answers for the content by name.
  const auto index = release.era.share_index(approval.official);
  if (!index.has_value()) return Error(Code::Denied, approval.official + ": holds no share of this era");
  if (approval.x != *index) return Error(Code::Corrupt, approval.official + ": share index is not the official's");
  const std::vector<format::PeriodNumber>& periods = release.signed_release.request.periods;
  const bool has_all =
      std::equal(approval.shares.begin(), approval.shares.end(), periods.begin(), periods.end(),
                 [](const auto& share, format::PeriodNumber period) { return share.period == period; });
  if (!has_all) return Error(Code::Corrupt, approval.official + ": shares are not those of the periods asked for");
  GoodApproval good;
  good.official = official;
  good.x = approval.x;
  for (const detail::WrappedShare& share : approval.shares)
    good.shares.push_back(TRY(open_share(release, approval, share)));
  return good;
}

// The first `needed` officials with a good approval; what is wrong with other files goes to `combined`.
std::vector<GoodApproval> choose(const Release& release, const std::vector<ApprovalFile>& files, std::size_t needed,
                                 CombinedRelease& combined) {
  std::vector<GoodApproval> good;
  std::set<crypto::P384PublicKey> keys;
  for (const ApprovalFile& file : files) {
    auto checked = check_approval(release, file);
    if (!checked.ok()) {
      const std::string& why = checked.error().message();
      std::vector<std::string>& blamed = combined.blamed;
      if (std::find(blamed.begin(), blamed.end(), why) != blamed.end()) continue;
      blamed.push_back(why);
      if (checked.error().code() == Code::Corrupt) combined.bad_shares.push_back(why);  // after the signature was right
      continue;
    }
    const policy::Official& official = *checked.value().official;
    // An official has one key and check_rules gives it to nobody else; so who counts once is a matter of keys alone.
    if (!keys.insert(official.sign).second) continue;
    if (good.size() < needed) good.push_back(checked.take());
  }
  return good;
}

Error too_few(const std::vector<GoodApproval>& good, std::size_t needed, const std::vector<std::string>& blamed) {
  std::string names;
  for (const GoodApproval& each : good) append_item(names, each.official->name);
  std::string message = std::to_string(good.size()) + " of " + std::to_string(needed) + " needed approvals are valid";
  if (!names.empty()) message += ": " + names;
  message += "; missing " + std::to_string(needed - good.size());
  for (const std::string& why : blamed) message += "; not counted: " + why;
  return Error(Code::Denied, std::move(message))
      .hint("let another official run: exclave release approve, and add the approval");
}

Result<format::OpeningKey> open_period(const Release& release, const std::vector<GoodApproval>& good,
                                       std::size_t place) {
  const format::PeriodNumber period = release.signed_release.request.periods[place];
  std::vector<const crypto::Share*> shares;
  for (const GoodApproval& each : good) shares.push_back(&each.shares[place]);
  const crypto::SecretBytes combined = TRY(crypto::combine_shares(shares));
  if (combined.size() != crypto::Secret<32>::kSize) {
    return Error(Code::Corrupt, "period " + std::to_string(period.value()) + ": shares have a wrong length");
  }
  format::OpeningKey key = format::derive_opening_key({release.era.registry, release.era.number, period},
                                                      crypto::Secret<32>::from_view(combined.view()));
  const policy::EraPeriod& published = release.era.periods[period.value()];
  if (crypto::x25519_public_key(key.decapsulation) != published.encapsulation ||
      policy::check_of_period(key.symmetric.view()) != published.check) {
    return Error(Code::Corrupt, "period " + std::to_string(period.value()) +
                                    ": the shares fit their commitments but do not open the published key; the era " +
                                    "document is wrong since its ceremony");
  }
  return key;
}

}  // namespace

Result<ReleaseId> release_named_by(const ApprovalFile& approval) {
  return TRY(detail::Approval::parse(approval.document, printable(approval.source))).release;
}

Result<CombinedRelease> combine_release(const std::vector<policy::SignedPolicy>& chain, const SignedRelease& release,
                                        const policy::SignedEra& era, const std::vector<ApprovalFile>& approvals,
                                        const crypto::Secret<32>& recipient_key) {
  const policy::SignedPolicy& policy = chain.back();
  TRY(check_release(policy, release));
  TRY(detail::check_era_of_release(chain, release, era));
  if (crypto::x25519_public_key(recipient_key) != release.request.recipient) {
    return Error(Code::InvalidInput,
                 "the recipient key at hand is not the one that release " + release.id.hex().substr(0, 16) + " names");
  }
  const Release context{policy.policy, release, era.era, recipient_key};
  const std::size_t needed = release.request.approvals;
  CHECK(needed >= era.era.threshold);  // check_era_of_release
  CombinedRelease combined;
  const std::vector<GoodApproval> good = choose(context, approvals, needed, combined);
  if (good.size() < needed) return too_few(good, needed, combined.blamed);
  for (const GoodApproval& each : good) combined.approved_by.push_back(each.official->name);
  for (std::size_t place = 0; place < release.request.periods.size(); ++place) {
    combined.keys.push_back(TRY(open_period(context, good, place)));
  }
  return combined;
}

}  // namespace exclave::custody
