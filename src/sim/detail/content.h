// Content: the bytes of one simulated file, as programs see them and as the disk would have them after a power loss.
// Hides: pages shared between the two, which sectors are unsynced.
//
//   now   page 0 | page 1 |  hole  | page 3        what reads return
//   disk  page 0 | old  1 |  hole  |  hole         what a power loss leaves, plus a seeded part of the dirty sectors
//   dirty            1: 00000110                   one bit per 512-byte sector of a page
//
// Units/limits: pages of 4,096 bytes, sectors of 512; offsets in bytes, below 2^62.
// I1  After sync(), now and disk are equal (unless an earlier failed sync lost sectors).
// I2  Bytes at and after size() read as nothing; a page that is in neither map reads as zeros.
// Threads: the holder of the baton.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "env/file_system.h"
#include "sim/detail/seeded.h"

namespace exclave::sim::detail {

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint64_t kSectorBytes = 512;

class Content {
 public:
  std::uint64_t size() const { return now_.size; }
  std::uint64_t allocated_bytes() const { return now_.pages.size() * kPageBytes; }
  bool has_page_at(std::uint64_t offset) const { return now_.pages.contains(offset / kPageBytes); }
  std::size_t read(std::uint64_t offset, MutableByteView out) const;
  std::optional<env::Extent> next_data(std::uint64_t offset) const;

  // Precondition: `data` lies within one page.
  void write_in_page(std::uint64_t offset, ByteView data);
  void resize(std::uint64_t size);

  void sync();
  // Some of the dirty sectors are forgotten: they stay readable and clean but never reach the disk.
  void fail_sync(Rng& rng);
  // The kernel writes some dirty pages to the disk on its own account.
  void write_back_some(Rng& rng);
  // Keeps each dirty sector with that chance; so torn writes happen within a page and within one write.
  void power_loss(Rng& rng, std::uint32_t keep_percent);

  // Precondition: offset < size().
  void flip_bit(std::uint64_t offset, unsigned bit);
  // The bytes as they are now, all on the disk.
  Content synced_copy() const;

 private:
  using Page = std::array<Byte, kPageBytes>;
  // Owned by now_ and disk_ of this content, and by the contents of disk snapshots; replaced, never written, if shared.
  using PagePtr = std::shared_ptr<Page>;
  struct Version {
    std::map<std::uint64_t, PagePtr> pages;
    std::uint64_t size = 0;
  };

  static Page& writable(Version& version, std::uint64_t index);
  static void copy_sector(const Version& source, Version& target, std::uint64_t page, unsigned sector);
  static void cut(Version& version, std::uint64_t size);

  Version now_;
  Version disk_;
  std::map<std::uint64_t, std::uint8_t> dirty_;  // page -> sectors
  bool size_dirty_ = false;
};

}  // namespace exclave::sim::detail
