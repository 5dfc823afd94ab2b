#include "table/detail/log_records.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "base/crc32c.h"

namespace exclave::table::detail {
namespace {

constexpr std::string_view kFamily = "exclave table log ";
constexpr std::string_view kFirstLine = "exclave table log 1\n";
constexpr std::uint32_t kMagic = 0x4c6f6752;
constexpr std::size_t kOperationHeaderBytes = 7;
constexpr Byte kPut = 1;
constexpr Byte kErase = 2;

struct Record {
  std::uint64_t durable = 0;
  ByteView payload;
};

std::uint32_t record_crc(std::uint64_t position, ByteView sizes, ByteView payload) {
  std::array<Byte, 8> place{};
  store_u64(place, position);
  return crc32c(payload, crc32c(sizes, crc32c(place)));
}

std::optional<Record> whole_record_at(ByteView log, std::size_t position) {
  const ByteView rest = log.subspan(position);
  if (rest.size() < kRecordHeaderBytes || load_u32(rest) != kMagic) return std::nullopt;
  const std::size_t payload_bytes = load_u32(rest.subspan(4, 4));
  if (payload_bytes > rest.size() - kRecordHeaderBytes) return std::nullopt;
  const ByteView payload = rest.subspan(kRecordHeaderBytes, payload_bytes);
  if (load_u32(rest.subspan(16, 4)) != record_crc(position, rest.subspan(4, 12), payload)) return std::nullopt;
  return Record{load_u64(rest.subspan(8, 8)), payload};
}

// Does a whole record behind `position` say that the file was durable beyond it?
bool has_witness_against(ByteView log, std::size_t position) {
  for (std::size_t at = position + 1; at + kRecordHeaderBytes <= log.size(); ++at) {
    const std::optional<Record> record = whole_record_at(log, at);
    if (record && record->durable > position) return true;
  }
  return false;
}

Result<Batch> decode_payload(ByteView payload) {
  const auto malformed = [] { return Error(Code::Corrupt, "log record is malformed"); };
  Batch batch;
  while (!payload.empty()) {
    if (payload.size() < kOperationHeaderBytes) return malformed();
    const Byte kind = payload[0];
    const std::size_t key_bytes = load_u16(payload.subspan(1, 2));
    const std::size_t value_bytes = load_u32(payload.subspan(3, 4));
    payload = payload.subspan(kOperationHeaderBytes);
    if (key_bytes > payload.size() || value_bytes > payload.size() - key_bytes) return malformed();
    const ByteView key = payload.first(key_bytes), value = payload.subspan(key_bytes, value_bytes);
    if (kind == kPut) {
      batch.put(key, value);
    } else if (kind == kErase && value.empty()) {
      batch.erase(key);
    } else {
      return malformed();
    }
    payload = payload.subspan(key_bytes + value_bytes);
  }
  if (!batch.check_limits().ok()) return malformed();
  return batch;
}

Result<std::uint64_t> decode_header(ByteView log) {
  const std::string_view text = as_text(log.first(std::min(log.size(), kFirstLine.size())));
  if (text != kFirstLine) {
    const bool other_version = text.size() == kFirstLine.size() && text.starts_with(kFamily);
    return Error(other_version ? Code::Unsupported : Code::Corrupt, "is not a table log of version 1");
  }
  if (log.size() < kLogHeaderBytes) return Error(Code::Corrupt, "log header is cut short");
  if (load_u32(log.subspan(28, 4)) != crc32c(log.first(28))) return Error(Code::Corrupt, "log header is damaged");
  const std::uint64_t base_bytes = load_u64(log.subspan(20, 8));
  if (base_bytes < kLogHeaderBytes || log.size() < base_bytes) {
    return Error(Code::Corrupt,
                 fmt::format("log of {} bytes is shorter than the {} it was made with", log.size(), base_bytes));
  }
  return base_bytes;
}

}  // namespace

Bytes encode_log_header(std::uint64_t base_bytes) {
  Bytes header(kLogHeaderBytes);
  const MutableByteView view(header);
  std::copy(kFirstLine.begin(), kFirstLine.end(), header.begin());
  store_u64(view.subspan(20, 8), base_bytes);
  store_u32(view.subspan(28, 4), crc32c(ByteView(header).first(28)));
  return header;
}

void append_record(Bytes& out, const Batch& batch, std::uint64_t position, std::uint64_t durable) {
  const std::size_t begin = out.size();
  out.resize(begin + kRecordHeaderBytes);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Batch::Operation operation = batch.operation(i);
    std::array<Byte, kOperationHeaderBytes> header{};
    const MutableByteView view(header);
    header[0] = operation.kind == Batch::Kind::Put ? kPut : kErase;
    store_u16(view.subspan(1, 2), static_cast<std::uint16_t>(operation.key.size()));
    store_u32(view.subspan(3, 4), static_cast<std::uint32_t>(operation.value.size()));
    append(out, header);
    append(out, operation.key);
    append(out, operation.value);
  }
  const MutableByteView record = MutableByteView(out).subspan(begin);
  store_u32(record, kMagic);
  store_u32(record.subspan(4, 4), static_cast<std::uint32_t>(record.size() - kRecordHeaderBytes));
  store_u64(record.subspan(8, 8), durable);
  store_u32(record.subspan(16, 4), record_crc(position, record.subspan(4, 12), record.subspan(kRecordHeaderBytes)));
}

Result<LogContent> read_log(ByteView log) {
  const std::uint64_t base_bytes = TRY(decode_header(log));
  LogContent content;
  std::size_t at = kLogHeaderBytes;
  while (at < log.size()) {
    const std::optional<Record> record = whole_record_at(log, at);
    if (!record) {
      if (at < base_bytes || has_witness_against(log, at)) {
        return Error(Code::Corrupt, fmt::format("log is damaged at byte {}", at));
      }
      break;
    }
    content.batches.push_back(TRY(decode_payload(record->payload)));
    at += kRecordHeaderBytes + record->payload.size();
  }
  content.whole_bytes = at;
  return content;
}

}  // namespace exclave::table::detail
