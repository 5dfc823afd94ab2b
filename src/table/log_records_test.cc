#include "table/detail/log_records.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/crc32c.h"

namespace exclave::table::detail {
namespace {

Batch batch_of(int number) {
  Batch batch;
  batch.put(as_bytes("key" + std::to_string(number)), as_bytes("value" + std::to_string(number)));
  batch.erase(as_bytes("key" + std::to_string(number - 1)));
  return batch;
}

struct Log {
  Bytes bytes = encode_log_header(kLogHeaderBytes);
  std::vector<std::size_t> ends = {kLogHeaderBytes};  // of header and records

  // A record that knows the first `known` records to be durable.
  void add(const Batch& batch, std::size_t known) {
    append_record(bytes, batch, bytes.size(), ends[known]);
    ends.push_back(bytes.size());
  }
};

Code code_of(const Result<LogContent>& content) {
  EXPECT_FALSE(content.ok());
  return content.ok() ? Code::Bug : content.error().code();
}

TEST(LogRecords, what_was_written_is_read) {
  Log log;
  for (int i = 0; i < 5; ++i) log.add(batch_of(i), 0);
  const LogContent content = read_log(log.bytes).value();
  ASSERT_EQ(content.batches.size(), 5u);
  EXPECT_EQ(content.whole_bytes, log.bytes.size());
  const Batch& last = content.batches[4];
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(as_text(last.operation(0).key), "key4");
  EXPECT_EQ(as_text(last.operation(0).value), "value4");
  EXPECT_EQ(last.operation(1).kind, Batch::Kind::Erase);
  EXPECT_EQ(as_text(last.operation(1).key), "key3");
}

TEST(LogRecords, the_layout_is_frozen) {
  Log log;
  Batch batch;
  batch.put(as_bytes("k"), as_bytes("vv"));
  batch.erase(as_bytes("e"));
  log.add(batch, 0);
  EXPECT_EQ(to_hex(log.bytes),
            "6578636c617665207461626c65206c6f6720310a00000000000000205d52e1e4"
            "4c6f6752000000120000000000000020e967755d010001000000026b76760200010000000065");
}

TEST(LogRecords, a_log_cut_at_any_length_holds_exactly_the_whole_records) {
  Log log;
  for (int i = 0; i < 4; ++i) log.add(batch_of(i), static_cast<std::size_t>(i));
  for (std::size_t size = 0; size <= log.bytes.size(); ++size) {
    const Result<LogContent> content = read_log(ByteView(log.bytes).first(size));
    if (size < kLogHeaderBytes) {
      EXPECT_EQ(code_of(content), Code::Corrupt) << size;
      continue;
    }
    std::size_t whole = 0;
    while (whole + 1 < log.ends.size() && log.ends[whole + 1] <= size) ++whole;
    ASSERT_TRUE(content.ok()) << size;
    EXPECT_EQ(content.value().batches.size(), whole) << size;
    EXPECT_EQ(content.value().whole_bytes, log.ends[whole]) << size;
  }
}

TEST(LogRecords, any_changed_byte_that_a_later_record_vouches_for_is_corruption) {
  Log log;
  for (int i = 0; i < 4; ++i) log.add(batch_of(i), static_cast<std::size_t>(i));  // each knows all before it
  for (std::size_t at = 0; at < log.bytes.size(); ++at) {
    Bytes changed = log.bytes;
    changed[at] = static_cast<Byte>(changed[at] ^ 0x10);
    const Result<LogContent> content = read_log(changed);
    if (at < log.ends[3]) {
      ASSERT_FALSE(content.ok()) << at;
      EXPECT_EQ(content.error().code(), at >= 18 && at < 20 ? Code::Unsupported : Code::Corrupt) << at;
    } else {  // the last record: nobody knows that it was whole
      ASSERT_TRUE(content.ok()) << at;
      EXPECT_EQ(content.value().batches.size(), 3u);
    }
  }
}

TEST(LogRecords, torn_sectors_that_nobody_vouches_for_are_a_torn_end_even_if_whole_records_follow) {
  Log log;
  log.add(batch_of(0), 0);
  for (int i = 1; i < 5; ++i) log.add(batch_of(i), 1);  // buffered: only the first is known to be durable
  for (std::size_t at = log.ends[1]; at < log.bytes.size(); ++at) {
    Bytes changed = log.bytes;
    std::fill(changed.begin() + static_cast<std::ptrdiff_t>(at),
              changed.begin() + static_cast<std::ptrdiff_t>(std::min(at + 40, changed.size())), Byte{0});
    if (changed == log.bytes) continue;
    const Result<LogContent> content = read_log(changed);
    ASSERT_TRUE(content.ok()) << at;
    EXPECT_GE(content.value().batches.size(), 1u);
    EXPECT_LE(content.value().whole_bytes, at + 1);
  }
}

TEST(LogRecords, the_base_needs_no_witness) {
  Bytes records;
  append_record(records, batch_of(1), kLogHeaderBytes, 0);
  Bytes log = encode_log_header(kLogHeaderBytes + records.size());
  append(log, records);
  ASSERT_EQ(read_log(log).value().batches.size(), 1u);
  for (std::size_t size = 0; size < log.size(); ++size) {
    EXPECT_EQ(code_of(read_log(ByteView(log).first(size))), Code::Corrupt) << size;
  }
  log.back() ^= 1;
  EXPECT_EQ(code_of(read_log(log)), Code::Corrupt);
}

TEST(LogRecords, a_record_is_whole_only_where_it_was_written) {
  Log log;
  log.add(batch_of(0), 0);
  const Bytes record(log.bytes.begin() + kLogHeaderBytes, log.bytes.end());
  append(log.bytes, record);  // the same bytes again, at another place
  EXPECT_EQ(read_log(log.bytes).value().batches.size(), 1u);
}

TEST(LogRecords, refuses_whole_records_that_mean_nothing) {
  // Payloads with a right CRC: built by hand around one operation.
  const auto log_with_payload = [](const Bytes& payload) {
    Bytes log = encode_log_header(kLogHeaderBytes);
    Bytes record(kRecordHeaderBytes), place(8);
    const MutableByteView view(record);
    store_u32(view, 0x4c6f6752);
    store_u32(view.subspan(4, 4), static_cast<std::uint32_t>(payload.size()));
    store_u64(place, log.size());
    store_u32(view.subspan(16, 4), crc32c(payload, crc32c(ByteView(record).subspan(4, 12), crc32c(place))));
    append(log, record);
    append(log, payload);
    return log;
  };
  EXPECT_TRUE(read_log(log_with_payload({1, 0, 1, 0, 0, 0, 1, 'k', 'v'})).ok());
  const std::map<std::string, Bytes> bad = {
      {"unknown kind", {3, 0, 1, 0, 0, 0, 1, 'k', 'v'}},
      {"erase with a value", {2, 0, 1, 0, 0, 0, 1, 'k', 'v'}},
      {"empty key", {1, 0, 0, 0, 0, 0, 1, 'v'}},
      {"header cut short", {1, 0, 1, 0, 0, 0}},
      {"key cut short", {1, 0, 2, 0, 0, 0, 0, 'k'}},
      {"value cut short", {1, 0, 1, 0, 0, 0, 2, 'k', 'v'}},
      {"value far too long", {1, 0, 1, 0xff, 0xff, 0xff, 0xff, 'k', 'v'}},
      {"bytes behind", {1, 0, 1, 0, 0, 0, 1, 'k', 'v', 1}},
  };
  for (const auto& [what, payload] : bad)
    EXPECT_EQ(code_of(read_log(log_with_payload(payload))), Code::Corrupt) << what;
}

}  // namespace
}  // namespace exclave::table::detail
