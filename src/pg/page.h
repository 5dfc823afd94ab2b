// Data pages of PostgreSQL relations: their checksum, and which files hold them.
// Hides: the checksum algorithm (FNV-1a in 32 lanes over the page, mixed with the block number).
//
//   page := lsn 8 | checksum 2 | ... 8,192 bytes        all zero = new: never written, has no checksum
//   file := "base/DB/N", "global/N", "pg_tblspc/OID/VERSION/DB/N", each also "_fsm", "_vm", "_init" and ".SEGMENT"
//
// I1  A page's state depends on its bytes and its block number within the whole relation alone.
// Threads: pure functions.
// Source: PostgreSQL 15, storage/checksum_impl.h and bufpage.h (facts, not code); verified against pg_checksums.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "pg/lsn.h"

namespace exclave::pg {

inline constexpr std::size_t kPageBytes = 8'192;
inline constexpr std::uint32_t kBlocksPerSegmentFile = 131'072;  // 1 GiB

using BlockNumber = Tagged<std::uint32_t, struct BlockNumberTag>;

enum class PageState { Good, New, Bad };

// Precondition for all three: page.size() == kPageBytes.
std::uint16_t page_checksum(ByteView page, BlockNumber block);
PageState check_page(ByteView page, BlockNumber block);
// When the page was last changed. A Bad page of a running server with page_lsn >= the backup's start may just be torn:
// replay writes it anew.
Lsn page_lsn(ByteView page);

// The block number of the first page of the file, if the file (path below the data directory) is one of a relation;
// nullopt for everything without pages, pg_control and the like.
std::optional<BlockNumber> first_block_of(std::string_view path);

}  // namespace exclave::pg
