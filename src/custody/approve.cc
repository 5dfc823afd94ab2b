// The official's side of a release: check, open the leaf, wrap the named shares to the site, sign.
#include "crypto/wrap.h"
#include "custody/detail/approval.h"

namespace exclave::custody {
namespace {

// Only the periods that the request names leave the leaf.
Result<std::vector<detail::WrappedShare>> wrap_shares(env::Random& random, const SignedRelease& release,
                                                      const OpenedLeaf& leaf, std::string_view official) {
  std::vector<detail::WrappedShare> wrapped;
  for (const format::PeriodNumber period : release.request.periods) {
    const LeafShare& share = leaf.shares.at(period.value());
    crypto::Secret<32> ephemeral;
    TRY(random.fill(ephemeral.mutable_view()));
    const Bytes context = detail::approval_context(release.id, official, period);
    wrapped.push_back(
        {period, share.salt, crypto::wrap_to_x25519(release.request.recipient, context, share.y.view(), ephemeral)});
  }
  return wrapped;
}

}  // namespace

Result<std::string> approve_release(env::Random& random, const std::vector<policy::SignedPolicy>& chain,
                                    const SignedRelease& release, const policy::SignedEra& era, ByteView leaf_document,
                                    Credential& signer, Credential& leaf_opener, std::int64_t now_seconds) {
  const policy::SignedPolicy& policy = chain.back();
  TRY(check_release(policy, release));
  TRY(check_not_expired(release, now_seconds));
  TRY(detail::check_era_of_release(chain, release, era));
  if (signer.name() != leaf_opener.name()) {
    return Error(Code::InvalidInput, "the signing key is " + signer.name() + "'s, the leaf's key is " +
                                         leaf_opener.name() + "'s; both must be one official's");
  }
  const policy::Official* official = policy.policy.official(signer.name());
  if (official == nullptr) return Error(Code::Denied, "the policy has no official '" + signer.name() + "'");
  const OpenedLeaf leaf = TRY(open_leaf(leaf_document, era, chain, leaf_opener));
  const auto shares = TRY(wrap_shares(random, release, leaf, official->name));
  std::string document = detail::approval_text(release.id, official->name, leaf.x, shares);
  const crypto::P384Signature signature = TRY(signer.sign(as_bytes(document)));
  // Also proves that the key at hand is the pinned one, and that a card signed what it was shown.
  if (!crypto::verify(official->sign, as_bytes(document), signature).ok()) {
    return Error(Code::Denied, "the signing key at hand is not the one that the policy pins for " + official->name);
  }
  format::append_signature(document, official->name, signature.view());
  return document;
}

}  // namespace exclave::custody
