// Rows of a vault's and of an agent's table: every key holds the input. Rejected, or what is read is written back byte
// for byte.
#include <algorithm>
#include <map>

#include "base/check.h"
#include "repo/dedup_index.h"
#include "repo/relied_entries.h"
#include "vault/records.h"

namespace {

using namespace exclave;  // a test program of one file

// Answers every question with one row; a scan finds it under its key, and then under longer and shorter ones.
class OneRow : public table::Table {
 public:
  explicit OneRow(ByteView row) : row_(row) {}

  // Whether the last batch puts the same row under a key of that kind, as the last of its kind.
  bool has_written(char kind) const {
    const auto found = written_.find(static_cast<Byte>(kind));
    return found != written_.end() && equal(found->second, row_);
  }

  Result<std::optional<Bytes>> get(ByteView) const override { return std::optional(to_bytes(row_)); }
  Status write(const table::Batch& batch, table::Durability) override {
    written_.clear();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const table::Batch::Operation operation = batch.operation(i);
      if (operation.kind == table::Batch::Kind::Put) written_[operation.key[0]] = to_bytes(operation.value);
    }
    return {};
  }
  std::uint64_t generation() const override { return 0; }
  Status settled() const override { return {}; }
  Status flush() override { return {}; }
  Status scan(const table::KeyRange& range, const Visitor& visitor) const override {
    const Bytes& least = range.from;
    Bytes after = range.from;
    after.push_back(0);
    Bytes beyond{least[0], 0xff};
    for (const Bytes& key : {least, after, beyond}) {
      if (TRY(visitor(key, row_)) == table::Visit::Stop) break;
    }
    return {};
  }

 protected:
  ByteView row() const { return row_; }

 private:
  const ByteView row_;
  std::map<Byte, Bytes> written_;  // by the kind of the key
};

// An agent's: it has no counter, so that rows of other sizes than a counter's are reached, and its keys are right.
class AgentRow final : public OneRow {
 public:
  using OneRow::OneRow;
  Result<std::optional<Bytes>> get(ByteView key) const override {
    if (equal(key, as_bytes("n"))) return std::optional<Bytes>();
    return OneRow::get(key);
  }
  Status scan(const table::KeyRange& range, const Visitor& visitor) const override {
    TRY(visitor(range.from, row()));
    return {};
  }
};

void read_records(OneRow& table) {
  vault::Records records(table);
  const format::StreamId stream;
  const auto has_written = [&](auto put, const auto& row, char kind) {
    vault::Records::Change change(records);
    put(change, row);
    CHECK(records.commit(change).ok());
    return table.has_written(kind);
  };
  const auto descriptor = records.stream(stream);
  if (descriptor.ok())
    CHECK(has_written([](auto& change, auto& row) { change.put_stream(row); }, *descriptor.value(), 's'));
  const auto head = records.head(stream);
  if (head.ok()) CHECK(has_written([&](auto& change, auto& row) { change.put_head(stream, row); }, *head.value(), 'h'));
  const auto entry = records.entry(stream, format::EntryIndex(0));
  if (entry.ok()) {
    const auto put = [&](auto& change, auto& row) {
      change.put_entry(vault::entry_of(stream, format::EntryIndex(0), row));
    };
    CHECK(has_written(put, *entry.value(), 'e'));
  }
  const auto object = records.object({});
  if (object.ok())
    CHECK(has_written([](auto& change, auto& row) { change.put_object({}, row); }, *object.value(), 'o'));
  const auto registry = records.registry({});
  if (registry.ok())
    CHECK(has_written([](auto& change, auto& row) { change.put_registry({}, row); }, registry.value(), 'q'));
  const auto count = records.object_count();
  if (count.ok()) CHECK(has_written([](auto& change, auto row) { change.put_object_count(row); }, count.value(), 'n'));
  const auto fork = records.fork(stream);
  if (fork.ok()) CHECK(has_written([&](auto& change, auto& row) { change.put_fork(stream, row); }, *fork.value(), 'f'));
  const auto segment = records.segment({});
  if (segment.ok())
    CHECK(has_written([](auto& change, auto& row) { change.put_segment({}, row); }, *segment.value(), 'j'));
  const auto mark = records.mark({});
  if (mark.ok()) CHECK(has_written([](auto& change, auto& row) { change.put_mark(row); }, *mark.value(), 'm'));
  const auto reader = records.reader({});
  if (reader.ok())
    CHECK(has_written([](auto& change, auto& row) { change.put_reader({}, row); }, *reader.value(), 'p'));
  const auto reading = records.reading({}, {});
  if (reading.ok()) CHECK(has_written([](auto& change, auto& row) { change.put_reading(row); }, *reading.value(), 'w'));
  const auto scrub = records.scrub();
  if (scrub.ok()) CHECK(has_written([](auto& change, auto& row) { change.put_scrub(row); }, *scrub.value(), 'c'));
  const auto see_entry = [](format::EntryIndex, const vault::EntryRow&) -> Result<table::Visit> {
    return table::Visit::Continue;
  };
  ignore(records.scan_entries(stream, format::EntryIndex(0), see_entry), "only that it returns matters");
  const auto see_stream = [](const format::StreamId&) -> Result<table::Visit> { return table::Visit::Continue; };
  ignore(records.scan_streams({}, stream, see_stream), "only that it returns matters");
  const auto see_row = [](const auto&, const auto&) -> Result<table::Visit> { return table::Visit::Continue; };
  ignore(records.scan_readers(see_row), "only that it returns matters");
  ignore(records.scan_objects({}, see_row), "only that it returns matters");
  ignore(records.scan_segments(see_row), "only that it returns matters");
  const auto see_damage = [](const auto&, const auto&, const auto&) -> Result<table::Visit> {
    return table::Visit::Continue;
  };
  ignore(records.scan_damages(see_damage), "only that it returns matters");
}

void read_index(ByteView input) {
  OneRow counter(input);
  CHECK(repo::DedupIndex::open(counter).ok() == (input.size() == 8));

  ignore(repo::relied_in(counter), "only that it returns matters");

  AgentRow table(input);
  auto opened = repo::DedupIndex::open(table);
  CHECK(opened.ok());
  repo::DedupIndex& index = opened.value();
  const auto period = index.find({});
  if (period.ok()) {
    const repo::PackRecord pack{{}, 0, *period.value(), Bytes(format::kDirectoryEntryBytes)};
    CHECK(index.add_durable_pack(pack).ok() && table.has_written('c'));
  }
  const auto packs = index.unindexed_packs();
  if (packs.ok()) CHECK(index.add_durable_pack(packs.value().at(0)).ok() && table.has_written('p'));
  const auto references = index.index_objects();
  if (references.ok()) CHECK(index.finish_snapshot({}, references.value()).ok() && table.has_written('i'));
  const auto snapshots = index.snapshots();
  if (snapshots.ok()) CHECK(index.finish_snapshot(snapshots.value().at(0), {}).ok() && table.has_written('s'));
  const auto receipts = index.receipts();
  if (receipts.ok()) CHECK(index.keep_receipt("", receipts.value().at(0).receipt).ok() && table.has_written('r'));
  const auto start = index.take_start(0);
  if (start.ok()) CHECK(start.value() == load_u64(input) + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  OneRow table(input);
  read_records(table);
  read_index(input);
  return 0;
}
