#include "pg/wal_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "pg/detail/little_endian.h"
#include "pg/detail/times.h"

namespace exclave::pg {
namespace {

using detail::little_u16;
using detail::little_u32;
using detail::little_u64;

constexpr std::uint64_t kPageBytes = 8'192;
constexpr std::uint64_t kAlignment = 8;
constexpr std::size_t kShortHeaderBytes = 24;
constexpr std::size_t kRecordCrcOffset = 20;
constexpr std::uint64_t kMaximumRecordBytes = std::uint64_t{1} << 30;

constexpr std::uint16_t kFirstIsContinuation = 0x01;
constexpr std::uint16_t kLongHeader = 0x02;
constexpr std::uint16_t kFirstOverwritesContinuation = 0x08;
constexpr std::uint16_t kAllFlags = 0x0f;

constexpr Byte kResourceXlog = 0;
constexpr Byte kResourceTransaction = 1;
constexpr Byte kInfoMask = 0xf0;
constexpr Byte kInfoShutdownCheckpoint = 0x00;
constexpr Byte kInfoOnlineCheckpoint = 0x10;
constexpr Byte kInfoSwitch = 0x40;
constexpr Byte kInfoRestorePoint = 0x70;
constexpr Byte kInfoEndOfRecovery = 0x90;
constexpr std::size_t kPointNameBytes = 64;  // with the zero behind it
constexpr Byte kTransactionMask = 0x70;
constexpr Byte kInfoCommit = 0x00;
constexpr Byte kInfoAbort = 0x20;
constexpr Byte kInfoCommitPrepared = 0x30;
constexpr Byte kInfoAbortPrepared = 0x40;

// What stands before a record's own data.
constexpr Byte kDataShort = 255;
constexpr Byte kDataLong = 254;
constexpr Byte kOrigin = 253;
constexpr Byte kTopTransaction = 252;

constexpr std::pair<std::uint32_t, std::uint16_t> kMagics[] = {
    {13, 0xd106}, {14, 0xd10d}, {15, 0xd110}, {16, 0xd113}, {17, 0xd116}};

// Where a record's own data begins within what follows the record's header.
std::optional<std::size_t> own_data_offset(ByteView data) {
  std::size_t at = 0;
  while (at < data.size()) {
    switch (data[at]) {
      case kOrigin:
        at += 3;
        break;
      case kTopTransaction:
        at += 5;
        break;
      case kDataShort:
        return at + 2;
      case kDataLong:
        return at + 5;
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

WalChecker::WalChecker(const WalStart& start)
    : setup_(start), position_(start.start), previous_(start.previous_record) {
  if (start.starts_at == StartsAt::RecordBoundary) state_ = State::Header;
}

Result<WalChecker> WalChecker::create(const WalStart& start) {
  WalChecker checker(start);
  for (const auto& [major, magic] : kMagics) {
    if (major == start.major.value()) checker.magic_ = magic;
  }
  if (checker.magic_ == 0) {
    return Error(Code::Unsupported, fmt::format("WAL of PostgreSQL {}", start.major.value()));
  }
  if (start.starts_at == StartsAt::RecordBoundary) {
    const std::uint64_t offset = start.start.value() % kPageBytes;
    const bool is_in_header = offset != 0 && offset < kShortHeaderBytes;
    if (is_in_header || offset % kAlignment != 0) {
      return Error(Code::InvalidInput, to_text(start.start) + " is no record boundary");
    }
  }
  return checker;
}

Error WalChecker::corrupt(Lsn at, std::string what) const {
  return {Code::Corrupt,
          fmt::format("WAL at {} on timeline {}: {}", to_text(at), setup_.history.timeline.value(), what)};
}

Status WalChecker::feed(ByteView bytes) {
  if (failed_) return *failed_;
  while (!bytes.empty()) TRY(feed_record(bytes));
  return {};
}

Status WalChecker::feed_record(ByteView& bytes) {
  if (failed_) return *failed_;
  const std::uint64_t before = records_;
  while (!bytes.empty() && records_ == before) {
    if (auto status = consume(bytes); !status.ok()) {
      failed_ = status.error();
      return status;
    }
  }
  return {};
}

Status WalChecker::follow(const TimelineHistory& history, Lsn switch_point) {
  if (failed_) return *failed_;
  if (position_ != switch_point || in_page_header_) {
    return Error(Code::Conflict, fmt::format("the stream is at {}, timeline {} began at {}", to_text(position_),
                                             history.timeline.value(), to_text(switch_point)));
  }
  setup_.history = history;
  // On a page boundary the next page's header says what became of an unfinished record.
  if (switch_point.value() % kPageBytes != 0 && (state_ == State::Header || state_ == State::Data)) {
    header_have_ = 0;
    state_ = State::Header;
  }
  return {};
}

// Takes some of `bytes`: of one page's header, or of one page and one record.
Status WalChecker::consume(ByteView& bytes) {
  const std::uint64_t offset = position_.value() % kPageBytes;
  if (offset == 0 && !in_page_header_ && !is_behind_switch()) {
    in_page_header_ = true;
    page_header_have_ = 0;
  }
  if (in_page_header_) return take_page_header(bytes);
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), kPageBytes - offset));
  ByteView part = bytes.first(size);
  Status taken = take_record_bytes(part);
  bytes = bytes.subspan(size - part.size());
  return taken;
}

Status WalChecker::take_page_header(ByteView& bytes) {
  const Lsn page(position_.value() - page_header_have_);
  const bool is_first = setup_.segment_size.offset_in_segment(page) == 0;
  const std::size_t need = is_first ? kLongHeaderBytes : kShortHeaderBytes;
  const std::size_t size = std::min(bytes.size(), need - page_header_have_);
  std::copy_n(bytes.begin(), size, page_header_.begin() + static_cast<std::ptrdiff_t>(page_header_have_));
  page_header_have_ += size;
  position_ = position_ + size;
  bytes = bytes.subspan(size);
  if (page_header_have_ < need) return {};
  in_page_header_ = false;
  return check_page_header();
}

Status WalChecker::check_page_header() {
  const ByteView header(page_header_);
  const Lsn page(position_.value() - page_header_have_);
  const bool is_long = page_header_have_ == kLongHeaderBytes;
  if (state_ == State::Searching && !is_long && is_all_zero(header.first(kShortHeaderBytes))) {
    expect(State::Zeros, bytes_to_segment_end());  // started within what follows a log switch
    return {};
  }
  TRY(check_magic(page));
  const std::uint16_t flags = little_u16(header.subspan(2));
  if ((flags & ~kAllFlags) != 0) return corrupt(page, fmt::format("page has flags {:04X}", flags));
  const Lsn address(little_u64(header.subspan(8)));
  if (address != page) return corrupt(page, "page says it is at " + to_text(address));
  const Timeline timeline(little_u32(header.subspan(4)));
  if (timeline != setup_.history.timeline_of(page)) {
    return corrupt(page, fmt::format("page is of timeline {}", timeline.value()));
  }
  if (((flags & kLongHeader) != 0) != is_long) return corrupt(page, "page has a header of the wrong length");
  if (!is_all_zero(header.subspan(20, 4))) return corrupt(page, "page header's padding is not zero");
  if (is_long) TRY(check_long_header());
  return check_continuation(flags, little_u32(header.subspan(16)));
}

Status WalChecker::check_magic(Lsn page) const {
  const std::uint16_t magic = little_u16(page_header_);
  if (magic == magic_) return {};
  for (const auto& [major, known] : kMagics) {
    const auto swapped = static_cast<std::uint16_t>(known >> 8 | known << 8);
    if (magic == swapped) return Error(Code::Unsupported, "WAL of a big-endian server");
    if (magic == known) {
      return Error(Code::Unsupported,
                   fmt::format("WAL at {} is of PostgreSQL {}, not {}", to_text(page), major, setup_.major.value()));
    }
  }
  return corrupt(page, fmt::format("page has magic {:04X}", magic));
}

Status WalChecker::check_long_header() {
  const ByteView header(page_header_);
  const Lsn page(position_.value() - kLongHeaderBytes);
  const SystemIdentifier system(little_u64(header.subspan(24)));
  if (system != setup_.system) return corrupt(page, "segment is of system " + to_text(system));
  const std::uint32_t segment = little_u32(header.subspan(32));
  if (segment != setup_.segment_size.bytes()) return corrupt(page, fmt::format("segments of {} bytes", segment));
  const std::uint32_t page_bytes = little_u32(header.subspan(36));
  if (page_bytes != kPageBytes) return corrupt(page, fmt::format("pages of {} bytes", page_bytes));
  return {};
}

// Compares what the page says about the record that crosses into it with what we are in the middle of.
Status WalChecker::check_continuation(std::uint16_t flags, std::uint32_t remaining) {
  const Lsn page(position_.value() - page_header_have_);
  const bool continues = (flags & kFirstIsContinuation) != 0;
  const bool overwrites = (flags & kFirstOverwritesContinuation) != 0;
  if (continues != (remaining != 0) || (continues && overwrites)) {
    return corrupt(page, "page contradicts itself about the record that crosses into it");
  }
  if (state_ == State::Searching) {
    state_ = continues ? State::Skipping : State::Header;
    remaining_ = remaining;
    return {};
  }
  std::uint64_t expected = 0;
  if (state_ == State::Skipping || state_ == State::Data) expected = remaining_;
  if (state_ == State::Header && header_have_ > 0) expected = little_u32(header_) - header_have_;
  if (overwrites) {
    if (expected == 0) return corrupt(page, "page voids a record that is whole");
    ++overwritten_;
    state_ = State::Header;
    header_have_ = 0;
    return {};
  }
  if (expected != remaining) {
    return corrupt(page, fmt::format("{} bytes of a record are to come, the page says {}", expected, remaining));
  }
  return {};
}

// Up to a record's end.
Status WalChecker::take_record_bytes(ByteView& bytes) {
  const std::uint64_t before = records_;
  while (!bytes.empty() && records_ == before) {
    switch (state_) {
      case State::Searching:
        position_ = position_ + bytes.size();
        bytes = {};
        break;
      case State::Skipping:
        take_unknown(bytes);
        break;
      case State::Padding:
      case State::Switched:
      case State::Zeros:
        TRY(take_filling(bytes));
        break;
      case State::Header:
        TRY(take_record_header(bytes));
        break;
      case State::Data:
        TRY(take_data(bytes));
        break;
    }
  }
  return {};
}

// The rest of a record that began before the start.
void WalChecker::take_unknown(ByteView& bytes) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), remaining_));
  position_ = position_ + size;
  bytes = bytes.subspan(size);
  remaining_ -= size;
  if (remaining_ != 0) return;
  record_start_.reset();
  expect(State::Padding, bytes_to_alignment());
}

std::uint64_t WalChecker::bytes_to_alignment() const {
  return (kAlignment - position_.value() % kAlignment) % kAlignment;
}

std::uint64_t WalChecker::bytes_to_segment_end() const {
  const std::uint64_t offset = setup_.segment_size.offset_in_segment(position_);
  return offset == 0 ? 0 : setup_.segment_size.bytes() - offset;
}

void WalChecker::expect(State state, std::uint64_t count) {
  state_ = state;
  remaining_ = count;
  if (count == 0) complete_record();
}

// What stands between records.
Status WalChecker::take_filling(ByteView& bytes) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), remaining_));
  if (state_ != State::Switched && !is_all_zero(bytes.first(size))) {
    return corrupt(position_, state_ == State::Zeros ? "bytes after a log switch" : "bytes after the end of a record");
  }
  position_ = position_ + size;
  bytes = bytes.subspan(size);
  remaining_ -= size;
  if (remaining_ == 0) complete_record();
  return {};
}

Status WalChecker::take_record_header(ByteView& bytes) {
  const std::size_t had = header_have_;
  if (had == 0) record_start_ = position_;
  const std::size_t size = std::min(bytes.size(), kRecordHeaderBytes - had);
  std::copy_n(bytes.begin(), size, header_.begin() + static_cast<std::ptrdiff_t>(had));
  header_have_ += size;
  position_ = position_ + size;
  bytes = bytes.subspan(size);
  if (had < sizeof(std::uint32_t) && header_have_ >= sizeof(std::uint32_t)) {
    const std::uint32_t length = little_u32(header_);
    // Started in the middle of a log switch record: the rest of its segment is zero.
    const bool may_be_after_switch =
        records_ == 0 && setup_.starts_at == StartsAt::Anywhere && bytes_to_segment_end() > 0;
    if (length == 0 && may_be_after_switch && is_all_zero(ByteView(header_).first(header_have_))) {
      record_start_.reset();
      expect(State::Zeros, bytes_to_segment_end());
      return {};
    }
    if (length < kRecordHeaderBytes || length > kMaximumRecordBytes) {
      return corrupt(*record_start_, fmt::format("record of {} bytes", length));
    }
  }
  return header_have_ == kRecordHeaderBytes ? check_record_header() : Status();
}

Status WalChecker::check_record_header() {
  const Lsn previous(little_u64(ByteView(header_).subspan(8)));
  const bool fits = previous_ ? previous == *previous_ : previous < *record_start_;
  if (!fits) {
    return corrupt(*record_start_,
                   fmt::format("record follows one at {}, which is not the one before it", to_text(previous)));
  }
  state_ = State::Data;
  remaining_ = little_u32(header_) - kRecordHeaderBytes;
  crc_ = 0;
  kept_have_ = 0;
  return remaining_ == 0 ? finish_record() : Status();
}

Status WalChecker::take_data(ByteView& bytes) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), remaining_));
  const ByteView data = bytes.first(size);
  const std::size_t keep = std::min(size, kKeptDataBytes - kept_have_);
  std::copy_n(data.begin(), keep, kept_.begin() + static_cast<std::ptrdiff_t>(kept_have_));
  kept_have_ += keep;
  crc_ = crc32c(data, crc_);
  position_ = position_ + size;
  bytes = bytes.subspan(size);
  remaining_ -= size;
  return remaining_ == 0 ? finish_record() : Status();
}

// All bytes of the record are here; what pads it is to come.
Status WalChecker::finish_record() {
  const ByteView header(header_);
  if (little_u32(header.subspan(kRecordCrcOffset)) != crc32c(header.first(kRecordCrcOffset), crc_)) {
    return corrupt(*record_start_, "record has a wrong CRC");
  }
  if (is_switch()) {
    expect(State::Switched, bytes_to_segment_end());
  } else {
    expect(State::Padding, bytes_to_alignment());
  }
  return {};
}

bool WalChecker::is_xlog(Byte kind) const {
  return header_[17] == kResourceXlog && (header_[16] & kInfoMask) == kind;
}

bool WalChecker::is_switch() const {
  return is_xlog(kInfoSwitch);
}

void WalChecker::complete_record() {
  state_ = State::Header;
  header_have_ = 0;
  if (!record_start_) return;
  ++records_;
  previous_ = last_record_ = record_start_;
  end_of_last_record_ = position_;
  if (is_switch()) last_switch_ = position_;
  is_at_stop_ = is_xlog(kInfoShutdownCheckpoint);
  note_commit();
  note_restore_point();
  note_time();
}

ByteView WalChecker::own_data() const {
  const ByteView kept = ByteView(kept_).first(kept_have_);
  const auto at = own_data_offset(kept);
  return at && *at <= kept.size() ? kept.subspan(*at) : ByteView();
}

void WalChecker::note_restore_point() {
  if (!is_xlog(kInfoRestorePoint)) return;
  const ByteView data = own_data();
  if (data.size() < sizeof(std::uint64_t) + kPointNameBytes) return;
  const std::string_view field = as_text(data.subspan(sizeof(std::uint64_t), kPointNameBytes));
  ++restore_points_;
  last_restore_point_ =
      RestorePoint{std::string(field.substr(0, field.find('\0'))),
                   detail::from_microseconds_since_2000(static_cast<std::int64_t>(little_u64(data))), position_};
}

void WalChecker::note_time() {
  const Byte operation = header_[16] & kTransactionMask;
  const bool ends_transaction = operation == kInfoCommit || operation == kInfoCommitPrepared ||
                                operation == kInfoAbort || operation == kInfoAbortPrepared;
  const bool is_timed_event = is_xlog(kInfoShutdownCheckpoint) || is_xlog(kInfoOnlineCheckpoint) ||
                              is_xlog(kInfoEndOfRecovery) || is_xlog(kInfoRestorePoint);
  if ((header_[17] == kResourceTransaction && ends_transaction) || is_timed_event) last_timed_ = position_;
}

void WalChecker::note_commit() {
  const Byte operation = header_[16] & kTransactionMask;
  const bool is_commit = operation == kInfoCommit || operation == kInfoCommitPrepared;
  if (header_[17] != kResourceTransaction || !is_commit) return;
  ++commits_;
  LastCommit commit{TransactionId(little_u32(ByteView(header_).subspan(4))), {}, position_};
  if (const ByteView data = own_data(); data.size() >= sizeof(std::uint64_t))
    commit.time = detail::from_microseconds_since_2000(static_cast<std::int64_t>(little_u64(data)));
  last_commit_ = commit;
}

}  // namespace exclave::pg
