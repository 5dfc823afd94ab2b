// A timeline history, the name of a WAL file and postgresql.auto.conf: short texts from a server or from a restore.
#include "base/check.h"
#include "pg/recovery_files.h"
#include "pg/timeline_history.h"

namespace {

using namespace exclave;  // a test program of one file

void read_history(ByteView input) {
  const pg::Timeline newest(1'000);
  const auto history = pg::parse_timeline_history(newest, input);
  if (!history.ok()) return;
  pg::Lsn before;
  for (const pg::TimelineSwitch& s : history.value().switches) {
    CHECK(s.switch_point >= before && s.parent < newest);
    CHECK(history.value().left_at(s.parent).take() == s.switch_point);
    before = s.switch_point;
  }
  CHECK(history.value().timeline_of(before) == newest);
}

void read_name(std::string_view input) {
  const pg::SegmentSize size;
  const auto name = pg::parse_wal_file_name(input, size);
  if (!name.ok()) return;
  const auto* segment = std::get_if<pg::SegmentFile>(&name.value());
  const std::string again = segment == nullptr ? pg::history_file_name(std::get<pg::HistoryFile>(name.value()).timeline)
                                               : pg::wal_file_name(segment->timeline, segment->start, size);
  CHECK(again == input);
}

void read_settings(std::string_view input) {
  const std::string kept = pg::auto_conf_without_recovery(input);
  CHECK(pg::auto_conf_without_recovery(kept) == kept);
  CHECK(kept.size() <= input.size() + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  read_history(input);
  read_name(as_text(input));
  read_settings(as_text(input));
  return 0;
}
