#include "custody/release.h"

#include <algorithm>

#include "base/text.h"
#include "custody/detail/approval.h"
#include "env/time.h"
#include "format/signers.h"
#include "policy/fields.h"

namespace exclave::custody {
namespace {

constexpr std::string_view kDomain = "exclave/release/v1";

Error denied(std::string why) {
  return Error(Code::Denied, "release request: " + std::move(why));
}

Status read_periods(format::TextReader& reader, std::vector<format::PeriodNumber>& periods) {
  do {
    const format::PeriodNumber period(TRY(policy::u32_field(reader, "period")));
    if (!periods.empty() && period <= periods.back()) return reader.bad("periods are not in ascending order");
    periods.push_back(period);
    if (periods.size() > policy::kMostPeriods) return reader.bad("a release names at most 80 periods");
  } while (reader.next_is("period"));
  return {};
}

// Calendar dates of a period, "2026-11-16T00:00:00Z to 2026-11-23T00:00:00Z".
std::string dates_of(const policy::Era& era, format::PeriodNumber period) {
  const auto shown = [&](std::uint32_t number) {
    return env::to_rfc3339(env::Timestamp::from_seconds(era.start_of(format::PeriodNumber(number))));
  };
  return shown(period.value()) + " to " + shown(period.value() + 1);
}

// Four groups of eight digits of a hash: enough to compare by voice.
std::string fingerprint(const crypto::Hash256& hash) {
  const std::string hex = hash.hex();
  return hex.substr(0, 8) + " " + hex.substr(8, 8) + " " + hex.substr(16, 8) + " " + hex.substr(24, 8);
}

std::string periods_in_words(const ReleaseRequest& request, const policy::SignedEra* era) {
  std::string words;
  for (const format::PeriodNumber period : request.periods) {
    words += "  period " + std::to_string(period.value());
    if (era == nullptr) {
      words += " (its dates stand in the era document)";
    } else if (period.value() >= era->era.periods.size()) {
      words += " (NOT IN THIS ERA: do not approve)";
    } else {
      words += ": " + dates_of(era->era, period);
    }
    words += "\n";
  }
  return words;
}

std::string instant(std::int64_t seconds) {
  return env::to_rfc3339(env::Timestamp::from_seconds(seconds));
}

// Text in lines of at most 72 columns, each behind "  | ". It breaks at a space if there is one. Characters from U+1100
// on count as two columns, as most terminals draw most of them.
std::string behind_margin(std::string_view text) {
  constexpr std::size_t kColumns = 72;
  std::string lines;
  while (!text.empty()) {
    std::size_t columns = 0;
    std::size_t end = 0;
    std::size_t space = std::string_view::npos;
    while (end < text.size()) {
      const auto lead = static_cast<unsigned char>(text[end]);
      const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      columns += lead < 0xe1 ? 1 : 2;
      if (columns > kColumns) break;
      if (text[end] == ' ') space = end;
      end += length;
    }
    end = std::min(end, text.size());
    const bool is_last = end == text.size();
    const std::size_t cut = !is_last && space != std::string_view::npos && space > 0 ? space : end;
    lines += "  | " + std::string(text.substr(0, cut)) + "\n";
    text.remove_prefix(cut);
    if (text.starts_with(' ')) text.remove_prefix(1);
  }
  return lines;
}

// What the station says of itself, from what it has checked.
std::string facts_in_words(const policy::SignedPolicy& policy, const SignedRelease& release,
                           const policy::SignedEra* era) {
  const ReleaseRequest& request = release.request;
  std::string words = "If you approve, the site '" + request.site + "' receives your shares of the registry '" +
                      request.registry_name + "' for era " + std::to_string(request.era.value()) + ", and only for\n" +
                      periods_in_words(request, era);
  words += "Approvals:     " + std::to_string(request.approvals) + " of " +
           std::to_string(policy.policy.officials.size()) + " officials of '" + policy.policy.name +
           "' are needed; with fewer nothing opens\n";
  words += "Valid until:   " + instant(request.not_after_seconds) + "\n";
  words += "Policy:        version " + std::to_string(policy.policy.version.value()) + ", fingerprint " +
           fingerprint(crypto::Hash256(policy.hash.array())) + "\n";
  words += "Recipient key: fingerprint " + fingerprint(crypto::sha256(request.recipient.view())) + "\n";
  words += "Release:       " + release.id.hex() + "\n";
  return words;
}

bool is_era_of(const policy::Era& era, const ReleaseRequest& request) {
  return era.realm == request.realm && era.registry == request.registry && era.number == request.era;
}

}  // namespace

namespace detail {

Status check_era_of_release(const std::vector<policy::SignedPolicy>& chain, const SignedRelease& release,
                            const policy::SignedEra& era) {
  TRY(policy::find_voucher(chain, era));
  const ReleaseRequest& request = release.request;
  if (!is_era_of(era.era, request)) {
    return Error(Code::InvalidInput, "the era document at hand is not of era " + std::to_string(request.era.value()) +
                                         " of registry '" + request.registry_name + "'");
  }
  if (request.approvals < era.era.threshold) {
    return denied("era " + std::to_string(request.era.value()) + " needs " + std::to_string(era.era.threshold) +
                  " shares, the release asks for " + std::to_string(request.approvals) + " approvals only");
  }
  for (const format::PeriodNumber period : request.periods) {
    if (period.value() < era.era.periods.size()) continue;
    return denied("period " + std::to_string(period.value()) + " is outside era " +
                  std::to_string(request.era.value()) + ", which has " + std::to_string(era.era.periods.size()) +
                  " periods");
  }
  return {};
}

}  // namespace detail

std::string ReleaseRequest::text() const {
  format::TextWriter writer(kDomain);
  writer.field("realm", realm.hex())
      .field("registry", registry.hex())
      .field("registry-name", registry_name)
      .field("era", era.value());
  for (const format::PeriodNumber period : periods) writer.field("period", period.value());
  writer.field("site", site)
      .field("site-identity", site_identity.hex())
      .field("recipient", recipient.hex())
      .field("policy-version", policy_version.value())
      .field("policy-hash", policy_hash.hex())
      .field("approvals", approvals)
      .field("reason", reason)
      .field("not-after", std::to_string(not_after_seconds))
      .field("nonce", nonce.hex());
  return writer.text();
}

Result<SignedRelease> SignedRelease::parse(ByteView document, std::string source) {
  format::TextReader reader = TRY(format::TextReader::open(document, kDomain, std::move(source)));
  SignedRelease parsed;
  ReleaseRequest& request = parsed.request;
  request.realm = TRY(format::id_field<format::RealmId>(reader, "realm"));
  request.registry = TRY(format::id_field<format::RegistryId>(reader, "registry"));
  request.registry_name = TRY(policy::name_field(reader, "registry-name"));
  request.era = format::EraNumber(TRY(policy::u32_field(reader, "era")));
  if (request.era.value() == 0) return reader.bad("the first era is 1");
  TRY(read_periods(reader, request.periods));
  request.site = TRY(policy::name_field(reader, "site"));
  request.site_identity = TRY(format::id_field<crypto::Ed25519PublicKey>(reader, "site-identity"));
  const auto raw = TRY(format::id_field<crypto::X25519PublicKey>(reader, "recipient"));
  auto recipient = crypto::parse_x25519_public_key(raw.view());
  if (!recipient.ok()) return reader.bad(recipient.error().message());
  request.recipient = recipient.take();
  request.policy_version = format::PolicyVersion(TRY(reader.number("policy-version")));
  request.policy_hash = TRY(format::id_field<policy::PolicyHash>(reader, "policy-hash"));
  request.approvals = TRY(policy::u32_field(reader, "approvals"));
  if (request.approvals == 0) return reader.bad("a release needs at least one approval");
  request.reason = TRY(reader.field("reason"));
  const Status reason = check_reason(request.reason);
  if (!reason.ok()) return reader.bad(reason.error().message());
  request.not_after_seconds = TRY(policy::seconds_field(reader, "not-after"));
  request.nonce = TRY((format::id_field<Id<16, struct ReleaseNonceTag>>(reader, "nonce")));
  TRY(reader.end());
  parsed.signature = TRY(format::single_signature(reader, format::kSiteSigner));
  parsed.id = ReleaseId(crypto::sha256(reader.signed_bytes()).array());
  parsed.document = std::string(as_text(document));
  return parsed;
}

Result<SignedRelease> SignedRelease::sign(const ReleaseRequest& request, const crypto::Ed25519SigningKey& site_key) {
  TRY(check_reason(request.reason).in([] { return "release request"; }));
  const std::string text = request.text();
  const std::string document = format::with_signature(text, format::kSiteSigner, site_key.sign(as_bytes(text)).view());
  return parse(as_bytes(document), "the new request");
}

Status check_release(const policy::SignedPolicy& policy, const SignedRelease& release) {
  const ReleaseRequest& request = release.request;
  if (request.realm != policy.policy.realm) return denied("belongs to another realm");
  if (request.policy_version != policy.policy.version || request.policy_hash != policy.hash) {
    return denied("names policy version " + std::to_string(request.policy_version.value()) + " (" +
                  request.policy_hash.hex().substr(0, 16) + "), the policy at hand is version " +
                  std::to_string(policy.policy.version.value()) + " (" + policy.hash.hex().substr(0, 16) + ")");
  }
  if (request.periods.empty()) return denied("names no period");
  const policy::Site* site = policy.policy.site_by_identity(request.site_identity);
  if (site == nullptr) return denied("the policy pins no site with the identity key it names");
  if (site->name != request.site) {
    return denied("the identity key is that of site '" + site->name + "', not of '" + printable(request.site) + "'");
  }
  if (!crypto::verify(site->identity, as_bytes(request.text()), release.signature).ok()) {
    return denied("its signature is not by site '" + site->name + "'");
  }
  const policy::Registry* registry = policy.policy.registry(request.registry);
  if (registry == nullptr) return denied("the policy has no such registry");
  if (registry->name != request.registry_name) {
    return denied("its registry id is that of '" + registry->name + "', not of '" + printable(request.registry_name) +
                  "'");
  }
  const std::uint32_t needed = policy.policy.release_threshold(*registry);
  if (request.approvals < needed) {
    return denied("asks for " + std::to_string(request.approvals) + " approvals, the policy demands " +
                  std::to_string(needed) + " for registry '" + registry->name + "'");
  }
  if (request.approvals > policy.policy.officials.size()) {
    return denied("asks for " + std::to_string(request.approvals) + " approvals, the policy has " +
                  std::to_string(policy.policy.officials.size()) + " officials");
  }
  return {};
}

Result<std::vector<format::PeriodNumber>> periods_of_request(const policy::Era& era, format::PeriodNumber first,
                                                             format::PeriodNumber last) {
  if (first > last || last.value() >= era.periods.size()) {
    return Error(Code::Corrupt, "periods " + std::to_string(first.value()) + " to " + std::to_string(last.value()) +
                                    " cannot be: era " + std::to_string(era.number.value()) + " has periods 0 to " +
                                    std::to_string(era.periods.size() - 1));
  }
  std::vector<format::PeriodNumber> periods;
  for (std::uint32_t period = first.value(); period <= last.value(); ++period) {
    periods.push_back(format::PeriodNumber(period));
  }
  return periods;
}

Status check_holders(const policy::Policy& policy, const policy::Era& era, std::uint32_t approvals) {
  const auto holders = std::count_if(policy.officials.begin(), policy.officials.end(),
                                     [&](const auto& official) { return era.share_index(official.name).has_value(); });
  if (holders >= static_cast<std::int64_t>(approvals)) return {};
  return Error(Code::Precondition, std::to_string(holders) + " of the officials of policy version " +
                                       std::to_string(policy.version.value()) + " hold shares of era " +
                                       std::to_string(era.number.value()) + ", and " + std::to_string(approvals) +
                                       " approvals are needed")
      .hint(
          "older eras need officials who got shares when they were opened: a policy version that names enough of them");
}

Status check_reason(std::string_view reason) {
  constexpr std::size_t kMostReasonBytes = 500;
  if (!format::is_valid_text_value(reason))
    return Error(Code::InvalidInput, "the reason is not one line of plain text");
  if (reason.size() > kMostReasonBytes) return Error(Code::InvalidInput, "the reason is longer than 500 bytes");
  if (reason.find("  ") != std::string_view::npos) {
    return Error(Code::InvalidInput, "the reason has two spaces in a row");
  }
  return {};
}

Status check_not_expired(const SignedRelease& release, std::int64_t now_seconds) {
  if (now_seconds <= release.request.not_after_seconds) return {};
  return denied("expired at " + instant(release.request.not_after_seconds))
      .hint("check this machine's clock; if it is right, ask the site for a new request");
}

std::string release_in_words(const policy::SignedPolicy& policy, const SignedRelease& release, std::int64_t now_seconds,
                             const policy::SignedEra* era) {
  const ReleaseRequest& request = release.request;
  if (era != nullptr && !is_era_of(era->era, request)) era = nullptr;
  const std::string until = instant(request.not_after_seconds);
  const std::string facts = facts_in_words(policy, release, era);
  std::string words = now_seconds > request.not_after_seconds ? "EXPIRED at " + until + ": do not approve.\n\n"
                                                              : "Can be approved until " + until + ".\n\n";
  words += "You are asked to open data of the registry '" + request.registry_name + "'. The site '" + request.site +
           "' says why, and nobody\nhas checked it. Its words stand behind the bar, and nothing else does:\n\n";
  words += behind_margin(request.reason);
  words += "\nWhat your station has checked:\n\n" + facts;
  words += "\nThe exact text that you sign for:\n\n" + request.text();
  words += "\nOnce more what your station has checked:\n\n" + facts;
  words +=
      "\nAn approval cannot be taken back. Ask the site by another way for the two fingerprints before you answer.\n";
  return words;
}

}  // namespace exclave::custody
