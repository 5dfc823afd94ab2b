#include "custody/detail/approval.h"

#include "custody/detail/leaf.h"
#include "format/binary.h"
#include "policy/fields.h"

namespace exclave::custody::detail {
namespace {

Result<WrappedShare> read_share(format::TextReader& reader) {
  const std::string value = TRY(reader.field("share"));
  policy::Words words = TRY(policy::Words::open(reader, value, 3));
  WrappedShare share;
  share.period = format::PeriodNumber(TRY(words.u32()));
  share.salt = to_bytes(TRY((words.id<Id<kSaltBytes, struct SaltTag>>())).view());
  auto wrapped = from_base64(words.plain());
  if (!wrapped.ok()) return reader.bad(wrapped.error().message());
  share.wrapped = wrapped.take();
  return share;
}

}  // namespace

Result<Approval> Approval::parse(ByteView document, std::string source) {
  format::TextReader reader = TRY(format::TextReader::open(document, kApprovalDomain, std::move(source)));
  Approval approval;
  approval.release = TRY(format::id_field<ReleaseId>(reader, "release"));
  approval.official = TRY(policy::name_field(reader, "official"));
  const std::uint32_t x = TRY(policy::u32_field(reader, "x"));
  if (x < 1 || x > 255) return reader.bad("a share index is 1..255");
  approval.x = static_cast<std::uint8_t>(x);
  do {
    WrappedShare share = TRY(read_share(reader));
    if (!approval.shares.empty() && share.period <= approval.shares.back().period) {
      return reader.bad("periods are not in ascending order");
    }
    approval.shares.push_back(std::move(share));
    if (approval.shares.size() > policy::kMostPeriods) return reader.bad("an approval has at most 80 shares");
  } while (reader.next_is("share"));
  TRY(reader.end());
  approval.signature = TRY(format::single_p384_signature(reader, approval.official));
  approval.signed_bytes = to_bytes(reader.signed_bytes());
  return approval;
}

std::string approval_text(const ReleaseId& release, std::string_view official, std::uint8_t x,
                          const std::vector<WrappedShare>& shares) {
  format::TextWriter writer(kApprovalDomain);
  writer.field("release", release.hex()).field("official", official).field("x", x);
  for (const WrappedShare& share : shares) {
    writer.field("share",
                 std::to_string(share.period.value()) + " " + to_hex(share.salt) + " " + to_base64(share.wrapped));
  }
  return writer.text();
}

Bytes approval_context(const ReleaseId& release, std::string_view official, format::PeriodNumber period) {
  format::BinaryWriter writer;
  writer.raw(as_bytes(kApprovalDomain));
  writer.u8(0);
  writer.id(release);
  writer.raw(as_bytes(official));
  writer.u32(period.value());
  return writer.take();
}

}  // namespace exclave::custody::detail
