// The frozen samples of records that stand inside sealed objects: snapshots of streams and of base backups, and each kind of a database
// journal's records. Written once by DISABLED_wrote_the_records_like_this, never again; every later build must read them.
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "format/snapshot.h"
#include "format/testing/samples.h"

namespace exclave::format {
namespace {

using testing::id_of;
using testing::repository_file;
using testing::secret_of;
using testing::value_in;

constexpr std::string_view kRecordsPage = "testdata/format/records.md";
constexpr LogSource kSampleSource{0x68f1c2a3b4c5d6e7, 15, 1 << 24};

Snapshot sample_snapshot(DatasetKind kind) {
  Snapshot snapshot;
  snapshot.kind = kind;
  snapshot.dataset = kind == DatasetKind::Database ? "people" : "dump";
  snapshot.number = 3;
  snapshot.started_ns = 1'800'000'000'000'000'001;
  snapshot.finished_ns = 1'800'000'002'000'000'003;
  snapshot.host = "registry-host";
  snapshot.source = kind == DatasetKind::Database ? "host=/run/postgresql" : "standard input";
  snapshot.program = "exclave 0.1.0";
  snapshot.totals = {1201, 28, 2, 900'000'123, 0};
  snapshot.oldest_period = PeriodNumber(2);
  snapshot.dedup_key = secret_of("dedup key");
  snapshot.listing.push_back({id_of<ChunkId>("listing chunk"), 4000});
  snapshot.indexes.push_back({id_of<ObjectName>("index"), 18, PeriodNumber(2)});
  if (kind == DatasetKind::Database) {
    snapshot.base = BaseBackupFacts{kSampleSource, LogTimeline(2), LogPosition(0x5000028), LogPosition(0x5000138)};
  }
  return snapshot;
}

// Every kind of record once, as they are written today.
std::map<std::string, Bytes> made_records() {
  static const Bytes history = to_bytes("1\t0/5000000\tno recovery target specified\n");
  static const Bytes log = from_hex("deadbeef00112233").take();
  const LogId id = log_id("people", kSampleSource);
  std::map<std::string, Bytes> records;
  records["snapshot of a stream"] = encode_snapshot(sample_snapshot(DatasetKind::ByteStream));
  records["snapshot of a base backup"] = encode_snapshot(sample_snapshot(DatasetKind::Database));
  records["opening"] =
      encode_record(JournalOpening{"people", kSampleSource, LogTimeline(1), LogPosition(0x3000148), 1'800'000'000});
  records["wal, raw"] = encode_record(JournalLog{id, LogTimeline(1), LogPosition(0x3000148), LogCodec::Raw, 8, log});
  records["wal, zstd"] =
      encode_record(JournalLog{id, LogTimeline(1), LogPosition(0x3000150), LogCodec::Zstd, 8192, log});
  records["history"] = encode_record(JournalHistory{id, LogTimeline(2), history});
  records["exposure"] = encode_record(LossExposure{id, LogPosition(0x3000148), LogPosition(0x4000000), 1'800'000'000,
                                                   1'800'000'060, "only 1 of 3 vaults answered"});
  Cut cut;
  cut.id = id_of<CutId>("cut");
  cut.group = "registries";
  cut.taken_ns = 1'800'000'000'000'000'000;
  cut.members = {{id_of<RegistryId>("registry"), "people", LogTimeline(1), LogPosition(0x3000148)},
                 {id_of<RegistryId>("other registry"), "land", LogTimeline(7), LogPosition(0x900000060)}};
  records["cut"] = encode_record(cut);
  return records;
}

TEST(RecordSamples, DISABLED_wrote_the_records_like_this) {
  std::ofstream page(std::string(EXCLAVE_SOURCE_DIR) + "/" + std::string(kRecordsPage));
  page << "# Frozen records\n\nWhat stands inside sealed objects, kind by kind: [snapshot "
          "records](../../docs/formats/snapshot.md) and a "
          "[database\njournal's records](../../docs/formats/database-journal.md). Read by "
          "`src/format/record_samples_test.cc`, "
          "which also says what each means.\n\n| record | bytes |\n|---|---|\n";
  for (const auto& [name, bytes] : made_records()) page << "| " << name << " | `" << to_hex(bytes) << "` |\n";
}

TEST(RecordSamples, every_frozen_record_is_read_and_means_what_it_meant) {
  const std::string page = repository_file(std::string(kRecordsPage));
  for (const auto& [name, made] : made_records()) {
    const auto frozen = from_hex(value_in(page, name));
    ASSERT_TRUE(frozen.ok()) << name;
    EXPECT_EQ(frozen.value(), made) << name;  // so what it means stands above
    if (name.starts_with("snapshot")) {
      const auto read = decode_snapshot(frozen.value());
      ASSERT_TRUE(read.ok()) << name << ": " << read.error().message();
      EXPECT_EQ(encode_snapshot(read.value()), frozen.value()) << name;
    } else {
      const auto read = decode_record(frozen.value());
      ASSERT_TRUE(read.ok()) << name << ": " << read.error().message();
      EXPECT_EQ(encode_record(read.value()), frozen.value()) << name;
    }
  }
}

}  // namespace
}  // namespace exclave::format
