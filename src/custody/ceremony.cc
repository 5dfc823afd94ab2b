#include "custody/ceremony.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/text.h"
#include "crypto/shamir.h"
#include "crypto/wrap.h"
#include "custody/detail/leaf.h"
#include "format/signers.h"
#include "policy/fields.h"

namespace exclave::custody {
namespace {

using detail::RecordBuilder;

// Everything that is drawn for one era; the records grow period by period.
struct Making {
  policy::Era era;
  AgentKeys agent_keys;
  std::vector<RecordBuilder> records;  // in the order of era.officials
};

Error invalid(std::string_view why) {
  return {Code::InvalidInput, "ceremony: " + std::string(why)};
}

Status check_request(const CeremonyRequest& request, const crypto::Ed25519SigningKey& ceremony_key) {
  CHECK(request.policy != nullptr && request.registry != nullptr);
  const policy::Policy& policy = *request.policy;
  TRY(policy::check_rules(policy).in([] { return "ceremony: policy"; }));
  const policy::Registry* registry = policy.registry(request.registry->id);
  if (registry == nullptr || *registry != *request.registry) return invalid("the policy has no such registry");
  if (ceremony_key.public_key() != policy.ceremony) return invalid("its key is not the one that the policy pins");
  // What check_era_rules asks of the finished document, asked before anything is drawn.
  if (request.periods < 1 || request.periods > policy::kMostPeriods) return invalid("an era has 1 to 80 periods");
  return {};
}

std::vector<const policy::Official*> share_holders(const policy::Policy& policy) {
  std::vector<const policy::Official*> holders;
  for (const policy::Official& official : policy.officials) holders.push_back(&official);
  std::sort(holders.begin(), holders.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  return holders;
}

Making start_making(const CeremonyRequest& request, const std::vector<const policy::Official*>& holders) {
  Making making;
  making.era.realm = request.policy->realm;
  making.era.registry = request.registry->id;
  making.era.number = request.era;
  making.era.previous = request.previous_era;
  making.era.threshold = request.registry->threshold;
  making.era.starts_seconds = request.starts_seconds;
  making.era.period_seconds = request.period_seconds;
  making.agent_keys.realm = making.era.realm;
  making.agent_keys.registry = making.era.registry;
  making.agent_keys.era = making.era.number;
  making.agent_keys.starts_seconds = making.era.starts_seconds;
  making.agent_keys.period_seconds = making.era.period_seconds;
  for (const policy::Official* holder : holders) {
    making.era.officials.push_back(holder->name);
    making.records.emplace_back(static_cast<std::uint8_t>(making.records.size() + 1), request.periods);
  }
  return making;
}

// Draws A of the next period and everything that hangs on it.
Status make_period(env::Random& random, Making& making) {
  policy::Era& era = making.era;
  const auto number = static_cast<std::uint32_t>(era.periods.size());
  crypto::Secret<32> period_secret;
  TRY(random.fill(period_secret.mutable_view()));
  const format::OpeningKey opening =
      format::derive_opening_key({era.registry, era.number, format::PeriodNumber(number)}, period_secret);
  making.agent_keys.periods.push_back(format::sealing_half(opening));

  crypto::SecretBytes coefficients(crypto::Secret<32>::kSize * (era.threshold - 1));
  TRY(random.fill(coefficients.mutable_view()));
  const std::vector<crypto::Share> shares =
      TRY(crypto::split_secret(period_secret.view(), static_cast<std::uint8_t>(era.threshold),
                               static_cast<std::uint8_t>(era.officials.size()), coefficients.view()));
  policy::EraPeriod period;
  period.encapsulation = making.agent_keys.periods.back().encapsulation;
  period.check = policy::check_of_period(making.agent_keys.periods.back().symmetric.view());
  for (std::size_t j = 0; j < shares.size(); ++j) {
    Bytes salt(detail::kSaltBytes);
    TRY(random.fill(salt));
    period.commitments.push_back(policy::commit_to_share(salt, shares[j].x, shares[j].y.view()));
    making.records[j].add(salt, shares[j].y.view());
  }
  era.periods.push_back(std::move(period));
  return {};
}

// `count` different numbers below `below`, at random (the small bias of the remainder does not matter for a sample).
Result<std::vector<std::size_t>> draw_subset(env::Random& random, std::size_t count, std::size_t below) {
  std::vector<std::size_t> all(below);
  std::iota(all.begin(), all.end(), std::size_t{0});
  for (std::size_t i = 0; i < count; ++i) {
    std::array<Byte, 4> drawn{};
    TRY(random.fill(drawn));
    std::swap(all[i], all[i + load_u32(drawn) % (below - i)]);
  }
  all.resize(count);
  return all;
}

// I2: reads the records back as officials will, and opens every period with a random quorum of them.
Status verify_making(env::Random& random, const Making& making) {
  const policy::Era& era = making.era;
  std::vector<OpenedLeaf> leaves;
  for (std::size_t j = 0; j < making.records.size(); ++j) {
    leaves.push_back(TRY(detail::parse_record(making.records[j].view())));
    TRY(detail::check_shares(leaves.back(), era, era.officials[j]));
  }
  for (std::size_t p = 0; p < era.periods.size(); ++p) {
    std::vector<crypto::Share> chosen;
    for (const std::size_t j : TRY(draw_subset(random, era.threshold, leaves.size()))) {
      chosen.push_back({leaves[j].x, crypto::SecretBytes(to_bytes(leaves[j].shares[p].y.view()))});
    }
    std::vector<const crypto::Share*> pointers;
    for (const crypto::Share& share : chosen) pointers.push_back(&share);
    const crypto::SecretBytes combined = TRY(crypto::combine_shares(pointers));
    const format::OpeningKey opening =
        format::derive_opening_key({era.registry, era.number, format::PeriodNumber(static_cast<std::uint32_t>(p))},
                                   crypto::Secret<32>::from_view(combined.view()));
    if (crypto::x25519_public_key(opening.decapsulation) != era.periods[p].encapsulation ||
        policy::check_of_period(opening.symmetric.view()) != era.periods[p].check) {
      return Error(Code::Bug, "ceremony: shares of period " + std::to_string(p) + " do not recombine");
    }
  }
  return {};
}

Result<ShareLeafFile> write_leaf(env::Random& random, const policy::Era& era, const policy::Official& holder,
                                 ByteView record, const crypto::Ed25519SigningKey& ceremony_key) {
  const Bytes context = detail::leaf_context(era, holder.name);
  crypto::Secret<64> for_decrypt;
  crypto::Secret<32> for_paper;
  TRY(random.fill(for_decrypt.mutable_view()));
  TRY(random.fill(for_paper.mutable_view()));
  format::TextWriter writer(detail::kLeafDomain);
  writer.field("realm", era.realm.hex())
      .field("registry", era.registry.hex())
      .field("era", era.number.value())
      .field("official", holder.name)
      .field("wrapped-decrypt", to_base64(crypto::wrap_to_p384(holder.decrypt, context, record, for_decrypt)))
      .field("wrapped-paper", to_base64(crypto::wrap_to_x25519(holder.paper, context, record, for_paper)));
  const crypto::Ed25519Signature signature = ceremony_key.sign(as_bytes(writer.text()));
  return ShareLeafFile{holder.name, format::with_signature(writer.text(), format::kCeremonySigner, signature.view())};
}

// A leaf as it lies in a share book, its signature still to be checked.
struct ParsedLeaf {
  format::RealmId realm;
  format::RegistryId registry;
  format::EraNumber era;
  std::string official;
  Bytes wrapped_decrypt;
  Bytes wrapped_paper;
  Bytes signed_bytes;
  crypto::Ed25519Signature signature;
};

Result<Bytes> base64_field(format::TextReader& reader, std::string_view key) {
  auto bytes = from_base64(TRY(reader.field(key)));
  if (!bytes.ok()) return reader.bad(bytes.error().message());
  return bytes;
}

Result<ParsedLeaf> parse_leaf(ByteView document) {
  format::TextReader reader = TRY(format::TextReader::open(document, detail::kLeafDomain, "share leaf"));
  ParsedLeaf leaf;
  leaf.realm = TRY(format::id_field<format::RealmId>(reader, "realm"));
  leaf.registry = TRY(format::id_field<format::RegistryId>(reader, "registry"));
  leaf.era = format::EraNumber(TRY(policy::u32_field(reader, "era")));
  leaf.official = TRY(policy::name_field(reader, "official"));
  leaf.wrapped_decrypt = TRY(base64_field(reader, "wrapped-decrypt"));
  leaf.wrapped_paper = TRY(base64_field(reader, "wrapped-paper"));
  TRY(reader.end());
  leaf.signed_bytes = to_bytes(reader.signed_bytes());
  leaf.signature = TRY(format::single_signature(reader, format::kCeremonySigner));
  return leaf;
}

Status check_leaf(const ParsedLeaf& leaf, const policy::Era& era, const policy::Policy& policy,
                  std::string_view holder) {
  const auto denied = [&](std::string why) {
    return Error(Code::Denied, "share leaf of " + leaf.official + ": " + std::move(why));
  };
  if (!crypto::verify(policy.ceremony, leaf.signed_bytes, leaf.signature).ok()) {
    return denied("its signature is not by the policy's ceremony key");
  }
  if (leaf.realm != era.realm || leaf.registry != era.registry) return denied("belongs to another registry");
  if (leaf.era != era.number) {
    return denied("belongs to era " + std::to_string(leaf.era.value()) + ", not to era " +
                  std::to_string(era.number.value()));
  }
  if (leaf.official != holder) return denied("is not " + std::string(holder) + "'s");
  return {};
}

// Whether these are the secrets that belong to what the era publishes. Periods that have ended are no longer there.
bool are_keys_of(const AgentKeys& keys, const policy::Era& era) {
  if (keys.realm != era.realm || keys.registry != era.registry || keys.era != era.number) return false;
  if (keys.starts_seconds != era.starts_seconds || keys.period_seconds != era.period_seconds) return false;
  if (policy::check_of_dedup(keys.dedup.view()) != era.dedup_check) return false;
  return std::all_of(keys.periods.begin(), keys.periods.end(), [&](const format::SealingKey& key) {
    if (!era.has(key.id)) return false;
    const policy::EraPeriod& published = era.periods[key.id.period.value()];
    return key.encapsulation == published.encapsulation &&
           policy::check_of_period(key.symmetric.view()) == published.check;
  });
}

}  // namespace

Status check_agent_keys(const AgentKeys& keys, const policy::Era& era, std::string_view source) {
  if (are_keys_of(keys, era)) return {};
  return Error(Code::Denied, "the keys in '" + printable(source) +
                                 "' are not those that the ceremony published for era " +
                                 std::to_string(keys.era.value()))
      .hint(
          "what they seal nobody could open again: bring that ceremony's own file, or the next era: exclave agent "
          "recover");
}

std::string leaf_file_name(const format::RegistryId& registry, format::EraNumber era) {
  return registry.hex() + "-era-" + std::to_string(era.value()) + ".leaf";
}

Result<CeremonyResult> hold_ceremony(env::Random& random, const CeremonyRequest& request,
                                     const crypto::Ed25519SigningKey& ceremony_key) {
  TRY(check_request(request, ceremony_key));
  const std::vector<const policy::Official*> holders = share_holders(*request.policy);
  Making making = start_making(request, holders);
  TRY(random.fill(making.agent_keys.dedup.mutable_view()));
  making.era.dedup_check = policy::check_of_dedup(making.agent_keys.dedup.view());
  for (std::uint32_t p = 0; p < request.periods; ++p) TRY(make_period(random, making));
  TRY(policy::check_era_rules(making.era).in([] { return "ceremony"; }));
  TRY(verify_making(random, making));
  TRY(check_agent_keys(making.agent_keys, making.era, "the ceremony"));

  std::vector<ShareLeafFile> leaves;
  for (std::size_t j = 0; j < holders.size(); ++j) {
    leaves.push_back(TRY(write_leaf(random, making.era, *holders[j], making.records[j].view(), ceremony_key)));
  }
  return CeremonyResult{policy::SignedEra::sign(making.era, ceremony_key), std::move(making.agent_keys),
                        std::move(leaves)};
}

Result<OpenedLeaf> open_leaf(ByteView leaf_document, const policy::SignedEra& era,
                             const std::vector<policy::SignedPolicy>& chain, Credential& credential) {
  const policy::Policy* const voucher = TRY(policy::find_voucher(chain, era));
  const ParsedLeaf leaf = TRY(parse_leaf(leaf_document));
  TRY(check_leaf(leaf, era.era, *voucher, credential.name()));
  const Bytes context = detail::leaf_context(era.era, leaf.official);
  // Which of the two keys the credential holds is its secret; the other one's wrapping is refused by its first byte.
  auto record = credential.unwrap(context, leaf.wrapped_decrypt);
  if (!record.ok() && record.error().code() == Code::Denied) record = credential.unwrap(context, leaf.wrapped_paper);
  if (!record.ok()) return record.take_error().in("share leaf of " + leaf.official);
  OpenedLeaf opened =
      TRY(detail::parse_record(record.value().view()).in([&] { return "share leaf of " + leaf.official; }));
  TRY(detail::check_shares(opened, era.era, leaf.official));
  return opened;
}

}  // namespace exclave::custody
