#include "sim/detail/content.h"

#include <algorithm>

#include "base/check.h"

namespace exclave::sim::detail {
namespace {

constexpr unsigned kSectorsPerPage = kPageBytes / kSectorBytes;

// The sectors of a page that [begin, end) touches; offsets within the page.
std::uint8_t sectors_of(std::uint64_t begin, std::uint64_t end) {
  unsigned mask = 0;
  for (std::uint64_t s = begin / kSectorBytes; s * kSectorBytes < end; ++s) mask |= 1U << s;
  return static_cast<std::uint8_t>(mask);
}

bool has_sector(unsigned mask, unsigned sector) {
  return (mask >> sector & 1U) != 0;
}

}  // namespace

std::size_t Content::read(std::uint64_t offset, MutableByteView out) const {
  if (offset >= now_.size) return 0;
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), now_.size - offset));
  std::size_t done = 0;
  while (done < wanted) {
    const std::uint64_t at = offset + done;
    const std::uint64_t within = at % kPageBytes;
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(wanted - done, kPageBytes - within));
    const auto page = now_.pages.find(at / kPageBytes);
    if (page == now_.pages.end()) {
      std::memset(out.data() + done, 0, count);
    } else {
      std::memcpy(out.data() + done, page->second->data() + within, count);
    }
    done += count;
  }
  return done;
}

std::optional<env::Extent> Content::next_data(std::uint64_t offset) const {
  auto page = now_.pages.lower_bound(offset / kPageBytes);
  if (offset >= now_.size || page == now_.pages.end()) return std::nullopt;
  const std::uint64_t begin = std::max(offset, page->first * kPageBytes);
  std::uint64_t after = page->first + 1;
  for (++page; page != now_.pages.end() && page->first == after; ++page) ++after;
  return env::Extent{.begin = begin, .end = std::min(after * kPageBytes, now_.size)};
}

Content::Page& Content::writable(Version& version, std::uint64_t index) {
  PagePtr& page = version.pages[index];
  if (page == nullptr) {
    page = std::make_shared<Page>();
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

void Content::write_in_page(std::uint64_t offset, ByteView data) {
  const std::uint64_t within = offset % kPageBytes;
  CHECK(within + data.size() <= kPageBytes);
  if (data.empty()) return;
  std::memcpy(writable(now_, offset / kPageBytes).data() + within, data.data(), data.size());
  dirty_[offset / kPageBytes] |= sectors_of(within, within + data.size());
  if (offset + data.size() > now_.size) {
    now_.size = offset + data.size();
    size_dirty_ = true;
  }
}

void Content::cut(Version& version, std::uint64_t size) {
  const std::uint64_t kept_pages = (size + kPageBytes - 1) / kPageBytes;
  version.pages.erase(version.pages.lower_bound(kept_pages), version.pages.end());
  version.size = size;
  const std::uint64_t within = size % kPageBytes;
  if (within != 0 && version.pages.contains(size / kPageBytes)) {
    Page& page = writable(version, size / kPageBytes);
    std::fill(page.begin() + static_cast<std::ptrdiff_t>(within), page.end(), Byte{0});
  }
}

void Content::resize(std::uint64_t size) {
  size_dirty_ = size_dirty_ || size != now_.size;
  if (size < now_.size) {
    for (auto page = now_.pages.lower_bound(size / kPageBytes); page != now_.pages.end(); ++page) {
      const std::uint64_t begin = page->first * kPageBytes;
      dirty_[page->first] |= sectors_of(size > begin ? size - begin : 0, kPageBytes);
    }
    cut(now_, size);
  }
  now_.size = size;
}

void Content::copy_sector(const Version& source, Version& target, std::uint64_t page, unsigned sector) {
  const auto from = source.pages.find(page);
  const std::size_t at = sector * kSectorBytes;
  if (from == source.pages.end() && !target.pages.contains(page)) return;
  Page& to = writable(target, page);
  if (from == source.pages.end()) {
    std::memset(to.data() + at, 0, kSectorBytes);
  } else {
    std::memcpy(to.data() + at, from->second->data() + at, kSectorBytes);
  }
}

void Content::sync() {
  for (const auto& [index, mask] : dirty_) {
    const auto page = now_.pages.find(index);
    if (page == now_.pages.end()) {
      disk_.pages.erase(index);
    } else if (mask == 0xff) {
      disk_.pages[index] = page->second;
    } else {
      for (unsigned s = 0; s < kSectorsPerPage; ++s) {
        if (has_sector(mask, s)) copy_sector(now_, disk_, index, s);
      }
    }
  }
  dirty_.clear();
  if (size_dirty_) disk_.size = now_.size;
  size_dirty_ = false;
}

void Content::fail_sync(Rng& rng) {
  for (auto page = dirty_.begin(); page != dirty_.end();) {
    page->second &= static_cast<std::uint8_t>(rng.next());
    page = page->second == 0 ? dirty_.erase(page) : std::next(page);
  }
  if (rng.percent(50)) size_dirty_ = false;
}

void Content::write_back_some(Rng& rng) {
  for (auto page = dirty_.begin(); page != dirty_.end();) {
    if (!rng.percent(25)) {
      ++page;
      continue;
    }
    for (unsigned s = 0; s < kSectorsPerPage; ++s) {
      if (has_sector(page->second, s)) copy_sector(now_, disk_, page->first, s);
    }
    page = dirty_.erase(page);
  }
  if (size_dirty_ && rng.percent(50)) {
    disk_.size = now_.size;
    size_dirty_ = false;
  }
}

void Content::power_loss(Rng& rng, std::uint32_t keep_percent) {
  for (const auto& [index, mask] : dirty_) {
    for (unsigned s = 0; s < kSectorsPerPage; ++s) {
      if (has_sector(mask, s) && rng.percent(keep_percent)) copy_sector(now_, disk_, index, s);
    }
  }
  if (size_dirty_ && rng.percent(keep_percent)) {
    disk_.size = now_.size;
  } else if (size_dirty_ && keep_percent > 0 && now_.size > disk_.size && rng.percent(50)) {
    // An append of which a part arrived: any sector boundary between the old and the new end.
    const std::uint64_t sectors = (now_.size - disk_.size) / kSectorBytes;
    const std::uint64_t end = disk_.size / kSectorBytes * kSectorBytes + rng.below(sectors + 1) * kSectorBytes;
    disk_.size = std::clamp(end, disk_.size, now_.size);
  }
  cut(disk_, disk_.size);
  now_ = disk_;
  dirty_.clear();
  size_dirty_ = false;
}

void Content::flip_bit(std::uint64_t offset, unsigned bit) {
  CHECK(offset < now_.size && bit < 8);
  for (Version* version : {&now_, &disk_}) {
    Page& page = writable(*version, offset / kPageBytes);
    page[offset % kPageBytes] = static_cast<Byte>(page[offset % kPageBytes] ^ (1U << bit));
  }
}

Content Content::synced_copy() const {
  Content copy;
  copy.now_ = now_;
  copy.disk_ = now_;
  return copy;
}

}  // namespace exclave::sim::detail
