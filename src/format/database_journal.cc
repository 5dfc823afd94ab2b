#include "format/database_journal.h"

#include <algorithm>

#include "crypto/hash.h"

namespace exclave::format {
namespace {

constexpr std::string_view kNoun = "journal record";
constexpr std::size_t kMaxName = 63;
constexpr std::size_t kMaxReason = 4096;
constexpr std::size_t kMaxHistory = std::size_t{1} << 20;
constexpr std::size_t kLeastMemberBytes = RegistryId::kSize + 1 + 4 + 8;
constexpr std::uint32_t kOldestMajor = 13;
constexpr std::uint32_t kNewestMajor = 17;

enum Kind : std::uint8_t { kOpening = 1, kLog = 2, kHistory = 3, kExposure = 4, kCut = 5 };

struct Encoder {
  BinaryWriter& writer;

  void operator()(const JournalOpening& opening) const {
    writer.u8(kOpening);
    writer.text(opening.dataset);
    write_log_source(writer, opening.source);
    writer.u32(opening.timeline.value());
    writer.u64(opening.start.value());
    writer.i64(opening.opened_ns);
  }
  void operator()(const JournalLog& log) const {
    Bytes head(kLogHeadBytes);
    encode_log_head(log, head);
    writer.raw(head);
    writer.raw(log.stored);
  }
  void operator()(const JournalHistory& history) const {
    writer.u8(kHistory);
    writer.id(history.log);
    writer.u32(history.timeline.value());
    writer.raw(history.text);
  }
  void operator()(const LossExposure& exposure) const {
    writer.u8(kExposure);
    writer.id(exposure.log);
    writer.u64(exposure.from.value());
    writer.u64(exposure.to.value());
    writer.i64(exposure.began_ns);
    writer.i64(exposure.ended_ns);
    writer.text(exposure.reason);
  }
  void operator()(const Cut& cut) const {
    writer.u8(kCut);
    writer.id(cut.id);
    writer.text(cut.group);
    writer.i64(cut.taken_ns);
    writer.varint(cut.members.size());
    for (const CutMember& member : cut.members) {
      writer.id(member.registry);
      writer.text(member.dataset);
      writer.u32(member.timeline.value());
      writer.u64(member.position.value());
    }
  }
};

Result<JournalRecord> decode_opening(BinaryReader& reader) {
  JournalOpening opening;
  opening.dataset = TRY(reader.text(kMaxName));
  opening.source = TRY(read_log_source(reader));
  opening.timeline = LogTimeline(TRY(reader.u32()));
  opening.start = LogPosition(TRY(reader.u64()));
  opening.opened_ns = TRY(reader.i64());
  TRY(reader.end());
  return JournalRecord(std::move(opening));
}

Result<JournalRecord> decode_log(BinaryReader& reader) {
  JournalLog log;
  log.log = TRY(reader.id<LogId>());
  log.timeline = LogTimeline(TRY(reader.u32()));
  log.start = LogPosition(TRY(reader.u64()));
  const std::uint8_t codec = TRY(reader.u8());
  if (codec > 1) return Error(Code::Unsupported, std::string(kNoun) + ": unknown codec " + std::to_string(codec));
  log.codec = static_cast<LogCodec>(codec);
  log.log_bytes = TRY(reader.u32());
  if (log.log_bytes == 0 || log.log_bytes > kMaxLogBytes) return reader.corrupt("bytes of log out of range");
  log.stored = TRY(reader.raw(reader.remaining()));
  if (log.stored.empty() || (log.codec == LogCodec::Raw && log.stored.size() != log.log_bytes))
    return reader.corrupt("holds another number of bytes than it says");
  return JournalRecord(log);
}

Result<JournalRecord> decode_history(BinaryReader& reader) {
  JournalHistory history;
  history.log = TRY(reader.id<LogId>());
  history.timeline = LogTimeline(TRY(reader.u32()));
  if (reader.remaining() > kMaxHistory) return reader.corrupt("history is too long");
  history.text = to_bytes(as_text(TRY(reader.raw(reader.remaining()))));
  return JournalRecord(std::move(history));
}

Result<JournalRecord> decode_exposure(BinaryReader& reader) {
  LossExposure exposure;
  exposure.log = TRY(reader.id<LogId>());
  exposure.from = LogPosition(TRY(reader.u64()));
  exposure.to = LogPosition(TRY(reader.u64()));
  exposure.began_ns = TRY(reader.i64());
  exposure.ended_ns = TRY(reader.i64());
  exposure.reason = TRY(reader.text(kMaxReason));
  TRY(reader.end());
  return JournalRecord(std::move(exposure));
}

Result<JournalRecord> decode_cut(BinaryReader& reader) {
  Cut cut;
  cut.id = TRY(reader.id<CutId>());
  cut.group = TRY(reader.text(kMaxName));
  cut.taken_ns = TRY(reader.i64());
  const std::size_t members = TRY(reader.count(kLeastMemberBytes));
  for (std::size_t i = 0; i < members; ++i) {
    CutMember member;
    member.registry = TRY(reader.id<RegistryId>());
    member.dataset = TRY(reader.text(kMaxName));
    member.timeline = LogTimeline(TRY(reader.u32()));
    member.position = LogPosition(TRY(reader.u64()));
    cut.members.push_back(std::move(member));
  }
  TRY(reader.end());
  return JournalRecord(std::move(cut));
}

}  // namespace

LogId log_id(std::string_view dataset, const LogSource& source) {
  BinaryWriter writer;
  writer.text("exclave/log/v1");
  writer.text(dataset);
  write_log_source(writer, source);
  return LogId::from_view(crypto::sha256(writer.view()).view().first(LogId::kSize));
}

void write_log_source(BinaryWriter& writer, const LogSource& source) {
  writer.u64(source.system);
  writer.u32(source.major);
  writer.u64(source.segment_bytes);
}

Result<LogSource> read_log_source(BinaryReader& reader) {
  LogSource source;
  source.system = TRY(reader.u64());
  source.major = TRY(reader.u32());
  if (source.major < kOldestMajor || source.major > kNewestMajor)
    return Error(Code::Unsupported, "PostgreSQL " + std::to_string(source.major) + " is not known here");
  source.segment_bytes = TRY(reader.u64());
  const std::uint64_t bytes = source.segment_bytes;
  if (bytes < (1U << 20) || bytes > (1U << 30) || (bytes & (bytes - 1)) != 0)
    return reader.corrupt("WAL segment size is no power of two from 1 MiB to 1 GiB");
  return source;
}

void encode_log_head(const JournalLog& record, MutableByteView out) {
  CHECK(out.size() == kLogHeadBytes);
  BinaryWriter writer;
  writer.reserve(kLogHeadBytes);
  writer.u8(kLog);
  writer.id(record.log);
  writer.u32(record.timeline.value());
  writer.u64(record.start.value());
  writer.u8(static_cast<std::uint8_t>(record.codec));
  writer.u32(record.log_bytes);
  std::copy(writer.view().begin(), writer.view().end(), out.begin());
}

Bytes encode_record(const JournalRecord& record) {
  BinaryWriter writer;
  std::visit(Encoder{writer}, record);
  return writer.take();
}

Result<JournalRecord> decode_record(ByteView frame) {
  BinaryReader reader(frame, kNoun);
  const std::uint8_t kind = TRY(reader.u8());
  switch (kind) {
    case kOpening:
      return decode_opening(reader);
    case kLog:
      return decode_log(reader);
    case kHistory:
      return decode_history(reader);
    case kExposure:
      return decode_exposure(reader);
    case kCut:
      return decode_cut(reader);
    default:
      return Error(Code::Unsupported, std::string(kNoun) + ": unknown kind " + std::to_string(kind));
  }
}

}  // namespace exclave::format
