// Records of a database's journal: what the plaintext of each frame says.
// Hides: field order and which codec is used when.
//
//   stream := opening (wal | history | exposure | cut)*
//
// Units/limits: positions are bytes of the server's log (its LSN); a wal record holds 1 to kMaxLogBytes bytes of it.
// I1  A decoded record obeys the limits; the order of records in a stream is the reader's to check.
// Threads: values. Errors: Corrupt, Unsupported (kind, codec).
// Source: docs/formats/database-journal.md.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "format/binary.h"
#include "format/ids.h"

namespace exclave::format {

using LogPosition = Tagged<std::uint64_t, struct LogPositionTag>;
using LogTimeline = Tagged<std::uint32_t, struct LogTimelineTag>;

inline constexpr std::size_t kMaxLogBytes = 1'048'000;  // a frame holds it, however badly it compresses

// Which server's log this is.
struct LogSource {
  std::uint64_t system = 0;
  std::uint32_t major = 0;
  std::uint64_t segment_bytes = 0;
  friend bool operator==(const LogSource&, const LogSource&) = default;
};
// The fields as they stand in openings and in snapshot records of kind 3.
void write_log_source(BinaryWriter& writer, const LogSource& source);
Result<LogSource> read_log_source(BinaryReader& reader);

// Which log a record is of: a journal is read from the middle, too, where no opening stands.
using LogId = Id<8, struct LogIdTag>;
LogId log_id(std::string_view dataset, const LogSource& source);

struct JournalOpening {
  std::string dataset;
  LogSource source;
  LogTimeline timeline;
  LogPosition start;
  std::int64_t opened_ns = 0;
};

enum class LogCodec : std::uint8_t { Raw = 0, Zstd = 1 };

struct JournalLog {
  LogId log;
  LogTimeline timeline;
  LogPosition start;
  LogCodec codec = LogCodec::Raw;
  std::uint32_t log_bytes = 0;
  ByteView stored;  // into the frame's plaintext
};

struct JournalHistory {
  LogId log;
  LogTimeline timeline;
  Bytes text;
};

struct LossExposure {
  LogId log;
  LogPosition from;
  LogPosition to;
  std::int64_t began_ns = 0;
  std::int64_t ended_ns = 0;
  std::string reason;
};

using CutId = Id<16, struct CutIdTag>;

struct CutMember {
  RegistryId registry;
  std::string dataset;
  LogTimeline timeline;
  LogPosition position;
  friend bool operator==(const CutMember&, const CutMember&) = default;
};
struct Cut {
  CutId id;
  std::string group;
  std::int64_t taken_ns = 0;
  std::vector<CutMember> members;
};

using JournalRecord = std::variant<JournalOpening, JournalLog, JournalHistory, LossExposure, Cut>;

Bytes encode_record(const JournalRecord& record);
// Views in the result point into `frame`.
Result<JournalRecord> decode_record(ByteView frame);

// What stands before the bytes of a wal record, for whoever writes both into one buffer without a copy.
inline constexpr std::size_t kLogHeadBytes = 1 + LogId::kSize + 4 + 8 + 1 + 4;
// Precondition: out.size() == kLogHeadBytes. `record.stored` is not looked at.
void encode_log_head(const JournalLog& record, MutableByteView out);

}  // namespace exclave::format
