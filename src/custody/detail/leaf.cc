#include "custody/detail/leaf.h"

#include <algorithm>

#include "format/binary.h"

namespace exclave::custody::detail {
namespace {

constexpr std::size_t kHeadBytes = 1 + 4;
constexpr std::size_t kPerPeriodBytes = 4 + kSaltBytes + kShareBytes;

void put(MutableByteView target, ByteView source) {
  CHECK(target.size() == source.size());
  std::copy(source.begin(), source.end(), target.begin());
}

}  // namespace

RecordBuilder::RecordBuilder(std::uint8_t x, std::uint32_t periods) : record_(kHeadBytes + kPerPeriodBytes * periods) {
  record_.mutable_view()[0] = x;
  store_u32(record_.mutable_view().subspan(1), periods);
}

void RecordBuilder::add(ByteView salt, ByteView y) {
  const MutableByteView place = record_.mutable_view().subspan(kHeadBytes + kPerPeriodBytes * next_, kPerPeriodBytes);
  store_u32(place, next_);
  put(place.subspan(4, kSaltBytes), salt);
  put(place.subspan(4 + kSaltBytes), y);
  ++next_;
}

Result<OpenedLeaf> parse_record(ByteView record) {
  format::BinaryReader reader(record, "share record");
  OpenedLeaf leaf;
  leaf.x = TRY(reader.u8());
  if (leaf.x == 0) return reader.corrupt("share index is 0");
  const std::uint32_t periods = TRY(reader.u32());
  if (reader.remaining() != std::size_t{periods} * kPerPeriodBytes) return reader.corrupt("length is wrong");
  for (std::uint32_t p = 0; p < periods; ++p) {
    if (TRY(reader.u32()) != p) return reader.corrupt("periods are not in order");
    LeafShare share;
    share.period = format::PeriodNumber(p);
    share.salt = to_bytes(TRY(reader.raw(kSaltBytes)));
    share.y = crypto::SecretBytes(to_bytes(TRY(reader.raw(kShareBytes))));
    leaf.shares.push_back(std::move(share));
  }
  TRY(reader.end());
  return leaf;
}

Status check_shares(const OpenedLeaf& leaf, const policy::Era& era, std::string_view official) {
  const std::string owner(official);
  const auto index = era.share_index(official);
  if (!index.has_value()) return Error(Code::Denied, owner + " holds no share of this era");
  if (leaf.x != *index || leaf.shares.size() != era.periods.size()) {
    return Error(Code::Corrupt, owner + ": share index or periods do not fit the era document");
  }
  for (std::size_t p = 0; p < leaf.shares.size(); ++p) {
    const LeafShare& share = leaf.shares[p];
    if (policy::commit_to_share(share.salt, leaf.x, share.y.view()) != era.periods[p].commitments[*index - 1U]) {
      return Error(Code::Corrupt, owner + ": share for period " + std::to_string(p) + " does not match its commitment");
    }
  }
  return {};
}

Bytes leaf_context(const policy::Era& era, std::string_view official) {
  format::BinaryWriter writer;
  writer.raw(as_bytes(kLeafDomain));
  writer.u8(0);
  writer.id(era.realm);
  writer.id(era.registry);
  writer.u32(era.number.value());
  writer.raw(as_bytes(official));
  return writer.take();
}

}  // namespace exclave::custody::detail
