#include "policy/era.h"

#include <algorithm>
#include <limits>
#include <set>

#include "format/signers.h"
#include "policy/fields.h"

namespace exclave::policy {
namespace {

constexpr std::string_view kEraDomain = "exclave/era/v1";
constexpr std::string_view kPeriodCheckDomain = "exclave/period-check/v1";
constexpr std::string_view kDedupCheckDomain = "exclave/dedup-check/v1";
constexpr std::int64_t kLongestPeriodSeconds = 315'576'000;  // ten years

// SHA-256(domain 00 secret).
crypto::Hash256 check_of(std::string_view domain, ByteView secret) {
  constexpr Byte kSeparator = 0;
  crypto::Sha256Hasher hasher;
  hasher.update(as_bytes(domain));
  hasher.update(ByteView(&kSeparator, 1));
  hasher.update(secret);
  return hasher.finish();
}

Status read_officials(format::TextReader& reader, Era& era) {
  std::set<std::string> names;
  while (reader.next_is("official")) {
    std::string name = TRY(name_field(reader, "official"));
    if (!names.insert(name).second) return reader.bad("official '" + name + "' appears twice");
    era.officials.push_back(std::move(name));
    if (era.officials.size() > kMostOfficials) return reader.bad("an era has at most 255 officials");
  }
  return {};
}

Status read_periods(format::TextReader& reader, Era& era) {
  while (reader.next_is("period")) {
    const std::string value = TRY(reader.field("period"));
    Words words = TRY(Words::open(reader, value, 3));
    if (TRY(words.u32()) != era.periods.size()) {
      return reader.bad("expected period " + std::to_string(era.periods.size()));
    }
    const auto raw = TRY(words.id<crypto::X25519PublicKey>());
    auto key = crypto::parse_x25519_public_key(raw.view());
    if (!key.ok()) return reader.bad(key.error().message());
    const auto check = TRY(words.id<PeriodCheck>());
    era.periods.push_back({key.take(), check, {}});
    if (era.periods.size() > kMostPeriods) return reader.bad("an era has at most 80 periods");
  }
  return {};
}

Status read_commitments(format::TextReader& reader, Era& era) {
  for (std::size_t period = 0; period < era.periods.size(); ++period) {
    for (const std::string& official : era.officials) {
      const std::string value = TRY(reader.field("share"));
      Words words = TRY(Words::open(reader, value, 3));
      if (TRY(words.u32()) != period || words.plain() != official) {
        return reader.bad("expected the share of period " + std::to_string(period) + " and official '" + official +
                          "'");
      }
      era.periods[period].commitments.push_back(TRY(words.id<ShareCommitment>()));
    }
  }
  return {};
}

std::string label_of(const Era& era) {
  return "era " + std::to_string(era.number.value()) + " of registry " + era.registry.hex();
}

// The highest era for which the version at `place` may vouch: what the next one that still has the registry says was open
// by then. None has: no bound, since nothing is deposited for a registry that no policy has.
std::uint32_t last_era_of(const std::vector<SignedPolicy>& chain, std::size_t place, const format::RegistryId& id) {
  for (std::size_t later = place + 1; later < chain.size(); ++later) {
    const Registry* const registry = chain[later].policy.registry(id);
    if (registry != nullptr) return registry->eras;
  }
  return std::numeric_limits<std::uint32_t>::max();
}

}  // namespace

Status check_era_rules(const Era& era) {
  if (era.number.value() == 0) return broken("the era number is 0; the first one is 1");
  if (era.number.value() == 1 && era.previous.has_value()) return broken("era 1 has a previous era");
  if (era.officials.empty() || era.officials.size() > kMostOfficials) return broken("an era has 1 to 255 officials");
  if (era.threshold < 1 || era.threshold > era.officials.size()) {
    return broken("threshold " + std::to_string(era.threshold) + " is not in 1.." +
                  std::to_string(era.officials.size()) + ", the number of officials");
  }
  if (era.periods.empty() || era.periods.size() > kMostPeriods) return broken("an era has 1 to 80 periods");
  if (era.period_seconds < 1 || era.period_seconds > kLongestPeriodSeconds) {
    return broken("a period takes 1 second to 10 years");
  }
  if (era.starts_seconds < 0 ||
      era.starts_seconds > kLatestSeconds - era.period_seconds * static_cast<std::int64_t>(era.periods.size())) {
    return broken("the era does not lie between 1970 and 2255");
  }
  std::set<crypto::X25519PublicKey> keys;
  for (const EraPeriod& period : era.periods) {
    if (!keys.insert(period.encapsulation).second) return broken("two periods have the same key");
    if (period.commitments.size() != era.officials.size()) return broken("a period lacks an official's commitment");
  }
  return {};
}

bool Era::has(const format::KeyId& key) const {
  return key.registry == registry && key.era == number && key.period.value() < periods.size();
}

format::PeriodNumber Era::period_at(std::int64_t now_seconds) const {
  CHECK(!periods.empty() && period_seconds > 0);
  if (now_seconds <= starts_seconds) return format::PeriodNumber(0);
  const auto last = static_cast<std::int64_t>(periods.size()) - 1;
  return format::PeriodNumber(
      static_cast<std::uint32_t>(std::min((now_seconds - starts_seconds) / period_seconds, last)));
}

std::int64_t Era::start_of(format::PeriodNumber period) const {
  return starts_seconds + period_seconds * static_cast<std::int64_t>(period.value());
}

bool Era::has_run_out(std::int64_t now_seconds) const {
  return now_seconds >= start_of(format::PeriodNumber(static_cast<std::uint32_t>(periods.size())));
}

std::optional<std::uint8_t> Era::share_index(std::string_view official) const {
  const auto at = std::find(officials.begin(), officials.end(), official);
  if (at == officials.end()) return std::nullopt;
  return static_cast<std::uint8_t>(at - officials.begin() + 1);
}

std::string Era::text() const {
  format::TextWriter writer(kEraDomain);
  writer.field("realm", realm.hex())
      .field("registry", registry.hex())
      .field("era", number.value())
      .field("previous", previous.has_value() ? previous->hex() : "none")
      .field("threshold", threshold)
      .field("starts", std::to_string(starts_seconds))
      .field("period-seconds", std::to_string(period_seconds))
      .field("dedup-check", dedup_check.hex());
  for (const std::string& official : officials) writer.field("official", official);
  for (std::size_t p = 0; p < periods.size(); ++p) {
    writer.field("period", std::to_string(p) + " " + periods[p].encapsulation.hex() + " " + periods[p].check.hex());
  }
  for (std::size_t p = 0; p < periods.size(); ++p) {
    CHECK(periods[p].commitments.size() == officials.size());
    for (std::size_t j = 0; j < officials.size(); ++j) {
      writer.field("share", std::to_string(p) + " " + officials[j] + " " + periods[p].commitments[j].hex());
    }
  }
  return writer.text();
}

Result<SignedEra> SignedEra::parse(ByteView document, std::string source) {
  format::TextReader reader = TRY(format::TextReader::open(document, kEraDomain, std::move(source)));
  SignedEra parsed;
  Era& era = parsed.era;
  era.realm = TRY(format::id_field<format::RealmId>(reader, "realm"));
  era.registry = TRY(format::id_field<format::RegistryId>(reader, "registry"));
  era.number = format::EraNumber(TRY(u32_field(reader, "era")));
  era.previous = TRY(optional_id_field<crypto::Hash256>(reader, "previous"));
  era.threshold = TRY(u32_field(reader, "threshold"));
  era.starts_seconds = TRY(seconds_field(reader, "starts"));
  era.period_seconds = TRY(seconds_field(reader, "period-seconds"));
  era.dedup_check = TRY(format::id_field<DedupCheck>(reader, "dedup-check"));
  TRY(read_officials(reader, era));
  TRY(read_periods(reader, era));
  TRY(read_commitments(reader, era));
  TRY(reader.end());
  TRY(check_era_rules(era).in([&] { return reader.source(); }));
  parsed.signature = TRY(format::single_signature(reader, format::kCeremonySigner));
  parsed.document = std::string(as_text(document));
  parsed.hash = crypto::sha256(document);
  return parsed;
}

SignedEra SignedEra::sign(const Era& era, const crypto::Ed25519SigningKey& ceremony) {
  CHECK(check_era_rules(era).ok());
  SignedEra made;
  made.era = era;
  const std::string text = era.text();
  made.signature = ceremony.sign(as_bytes(text));
  made.document = format::with_signature(text, format::kCeremonySigner, made.signature.view());
  made.hash = crypto::sha256(as_bytes(made.document));
  return made;
}

Status verify_era(const Policy& policy, const SignedEra& era) {
  const auto denied = [&](std::string_view why) {
    return Error(Code::Denied, label_of(era.era) + ": " + std::string(why));
  };
  if (era.era.realm != policy.realm) return denied("belongs to another realm than the policy");
  const Registry* registry = policy.registry(era.era.registry);
  if (registry == nullptr) return denied("the policy has no such registry");
  if (registry->threshold != era.era.threshold) {
    return denied("its threshold is " + std::to_string(era.era.threshold) + ", the policy's is " +
                  std::to_string(registry->threshold));
  }
  if (!crypto::verify(policy.ceremony, as_bytes(era.era.text()), era.signature).ok()) {
    return denied("its signature is not by the policy's ceremony key");
  }
  return {};
}

Result<const Policy*> find_voucher(const std::vector<SignedPolicy>& chain, const SignedEra& era) {
  CHECK(!chain.empty());
  for (std::size_t place = chain.size(); place-- > 0;) {
    const bool is_in_time = era.era.number.value() <= last_era_of(chain, place, era.era.registry);
    if (is_in_time && verify_era(chain[place].policy, era).ok()) return &chain[place].policy;
  }
  return verify_era(chain.back().policy, era).take_error();
}

std::uint32_t approvals_needed(const Policy& policy, const Registry& registry, const Era& era) {
  return std::max(policy.release_threshold(registry), era.threshold);
}

ShareCommitment commit_to_share(ByteView salt, std::uint8_t x, ByteView y) {
  crypto::Sha256Hasher hasher;
  hasher.update(salt);
  hasher.update(ByteView(&x, 1));
  hasher.update(y);
  return ShareCommitment(hasher.finish().array());
}

PeriodCheck check_of_period(ByteView symmetric) {
  return PeriodCheck(check_of(kPeriodCheckDomain, symmetric).array());
}

DedupCheck check_of_dedup(ByteView dedup) {
  return DedupCheck(check_of(kDedupCheckDomain, dedup).array());
}

}  // namespace exclave::policy
