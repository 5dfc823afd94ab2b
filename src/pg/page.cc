#include "pg/page.h"

#include <array>

#include "base/text.h"
#include "pg/detail/little_endian.h"

namespace exclave::pg {
namespace {

constexpr std::size_t kLanes = 32;
constexpr std::uint32_t kPrime = 16'777'619;
constexpr std::size_t kChecksumOffset = 8;

// Where each lane begins: fixed by the on-disk format.
constexpr std::array<std::uint32_t, kLanes> kLaneStart = {
    0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c,
    0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb,
    0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4,
    0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
};

std::uint32_t mix(std::uint32_t lane, std::uint32_t value) {
  const std::uint32_t mixed = lane ^ value;
  return mixed * kPrime ^ (mixed >> 17);
}

// A relation's number, with fork and segment taken off; nullopt if it is none.
std::optional<std::uint32_t> segment_of(std::string_view name) {
  std::uint32_t segment = 0;
  if (const std::size_t dot = name.find('.'); dot != std::string_view::npos) {
    const auto number = parse_u32(name.substr(dot + 1));
    if (!number.ok() || number.value() == 0) return std::nullopt;
    segment = number.value();
    name = name.substr(0, dot);
  }
  if (const std::size_t fork = name.find('_'); fork != std::string_view::npos) {
    const std::string_view kind = name.substr(fork + 1);
    if (kind != "fsm" && kind != "vm" && kind != "init") return std::nullopt;
    name = name.substr(0, fork);
  }
  const auto number = parse_u32(name);
  if (!number.ok() || number.value() == 0) return std::nullopt;
  return segment;
}

}  // namespace

std::uint16_t page_checksum(ByteView page, BlockNumber block) {
  CHECK(page.size() == kPageBytes);
  std::array<std::uint32_t, kLanes> lanes = kLaneStart;
  constexpr std::size_t kRowBytes = kLanes * sizeof(std::uint32_t);
  for (std::size_t row = 0; row < kPageBytes; row += kRowBytes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::size_t at = row + lane * sizeof(std::uint32_t);
      std::uint32_t value = detail::little_u32(page.subspan(at, sizeof(std::uint32_t)));
      if (at == kChecksumOffset) value &= 0xffff0000;  // the checksum itself counts as zero
      lanes[lane] = mix(lanes[lane], value);
    }
  }
  std::uint32_t sum = 0;
  for (std::uint32_t lane : lanes) {
    lane = mix(mix(lane, 0), 0);  // two more rounds, of zeros
    sum ^= lane;
  }
  sum ^= block.value();
  return static_cast<std::uint16_t>(sum % 65'535 + 1);  // never 0
}

PageState check_page(ByteView page, BlockNumber block) {
  CHECK(page.size() == kPageBytes);
  const std::uint16_t said = detail::little_u16(page.subspan(kChecksumOffset, 2));
  if (said == 0 && is_all_zero(page)) return PageState::New;
  return said == page_checksum(page, block) ? PageState::Good : PageState::Bad;
}

Lsn page_lsn(ByteView page) {
  CHECK(page.size() == kPageBytes);
  return Lsn(std::uint64_t{detail::little_u32(page.first(4))} << 32 | detail::little_u32(page.subspan(4, 4)));
}

std::optional<BlockNumber> first_block_of(std::string_view path) {
  const auto parts = split(path, '/');
  const bool is_global = parts.size() == 2 && parts[0] == "global";
  const bool is_base = parts.size() == 3 && parts[0] == "base" && parse_u32(parts[1]).ok();
  const bool is_tablespace = parts.size() == 5 && parts[0] == "pg_tblspc" && parse_u32(parts[1]).ok() &&
                             parts[2].starts_with("PG_") && parse_u32(parts[3]).ok();
  if (!is_global && !is_base && !is_tablespace) return std::nullopt;
  const auto segment = segment_of(parts.back());
  constexpr std::uint32_t kMaximumSegments = 0xffffffff / kBlocksPerSegmentFile;
  if (!segment || *segment > kMaximumSegments) return std::nullopt;
  return BlockNumber(*segment * kBlocksPerSegmentFile);
}

}  // namespace exclave::pg
