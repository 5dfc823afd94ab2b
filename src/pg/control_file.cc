#include "pg/control_file.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "pg/detail/little_endian.h"

namespace exclave::pg {
namespace {

using detail::little_u32;
using detail::little_u64;

constexpr std::uint32_t kControlVersion = 1'300;
constexpr std::size_t kControlCrcOffset = 288;
constexpr std::size_t kUsedBytes = kControlCrcOffset + 4;
constexpr std::uint32_t kBlockBytes = 8'192;
constexpr std::int64_t kLatestSeconds = std::int64_t{1} << 33;  // in the year 2242: what nanoseconds can hold

// 2 * 10^8 + date of the last change of the catalogue, when the major version was released.
Result<ServerMajor> major_of(std::uint32_t catalogue) {
  switch (catalogue) {
    case 202'007'201:
      return ServerMajor(13);
    case 202'107'181:
      return ServerMajor(14);
    case 202'209'061:
      return ServerMajor(15);
    case 202'307'071:
      return ServerMajor(16);
    case 202'406'281:
      return ServerMajor(17);
    default:
      return Error(Code::Unsupported,
                   fmt::format("pg_control: catalogue version {} is of no known release", catalogue));
  }
}

Error impossible(std::string_view what) {
  return Error(Code::Corrupt, fmt::format("pg_control: impossible {}", what));
}

}  // namespace

Result<ControlFile> parse_control_file(ByteView bytes) {
  if (bytes.size() < kUsedBytes) return Error(Code::Corrupt, fmt::format("pg_control: only {} bytes", bytes.size()));
  const auto u32 = [&](std::size_t at) { return little_u32(bytes.subspan(at, 4)); };
  const auto u64 = [&](std::size_t at) { return little_u64(bytes.subspan(at, 8)); };
  if (load_u32(bytes.subspan(8)) == kControlVersion) {
    return Error(Code::Unsupported, "pg_control: written by a big-endian server");
  }
  if (u32(kControlCrcOffset) != crc32c(bytes.first(kControlCrcOffset)))
    return Error(Code::Corrupt, "pg_control: wrong CRC");
  if (u32(8) != kControlVersion) {
    return Error(Code::Unsupported, fmt::format("pg_control: version {}, not {}", u32(8), kControlVersion));
  }
  ControlFile file;
  file.system = SystemIdentifier(u64(0));
  file.major = TRY(major_of(u32(12)));
  if (u32(16) > static_cast<std::uint32_t>(ClusterState::InProduction)) return impossible("state");
  file.state = static_cast<ClusterState>(u32(16));
  const auto seconds = static_cast<std::int64_t>(u64(24));
  if (seconds < 0 || seconds > kLatestSeconds) return impossible("time");
  file.written = env::Timestamp::from_seconds(seconds);
  file.checkpoint = Lsn(u64(32));
  file.checkpoint_redo = Lsn(u64(40));
  file.checkpoint_timeline = Timeline(u32(48));
  file.minimum_recovery = Lsn(u64(136));
  file.minimum_recovery_timeline = Timeline(u32(144));
  file.backup_start = Lsn(u64(152));
  if (u32(216) != kBlockBytes || u32(224) != kBlockBytes) {
    return Error(Code::Unsupported, "pg_control: pages are not of 8 KiB");
  }
  const auto segment = SegmentSize::of(u32(228));
  if (!segment.ok()) return impossible("WAL segment size");
  file.segment_size = segment.value();
  file.data_checksum_version = u32(252);
  if (file.data_checksum_version > 1) {
    return Error(Code::Unsupported,
                 fmt::format("pg_control: page checksums of version {}", file.data_checksum_version));
  }
  return file;
}

}  // namespace exclave::pg
