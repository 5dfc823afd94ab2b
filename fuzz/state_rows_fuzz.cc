// Rows of a vault's and of an agent's table: every key holds the input. Rejected, or what is read is written back byte
// for byte.
#include <algorithm>

#include "base/check.h"
#include "repo/dedup_index.h"
#include "vault/records.h"

namespace {

using namespace exclave;  // a test program of one file

// Answers every question with one row; a scan finds it under a key that is longer or shorter than it should be.
class OneRow final : public table::Table {
 public:
  explicit OneRow(ByteView row) : row_(row) {}
  Bytes last_written;  // the last value of the last batch

  Result<std::optional<Bytes>> get(ByteView) const override { return std::optional(to_bytes(row_)); }
  Status write(const table::Batch& batch, table::Durability) override {
    last_written = to_bytes(batch.operation(batch.size() - 1).value);
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

 private:
  const ByteView row_;
};

void read_records(OneRow& table, ByteView input) {
  vault::Records records(table);
  const format::StreamId stream;
  const auto written_by = [&](auto put, const auto& row) {
    vault::Records::Change change(records);
    put(change, row);
    CHECK(records.commit(change).ok());
    return equal(table.last_written, input);
  };
  ignore(records.stream(stream), "only that it returns matters");
  const auto head = records.head(stream);
  if (head.ok()) CHECK(written_by([&](auto& change, auto& row) { change.put_head(stream, row); }, *head.value()));
  const auto entry = records.entry(stream, format::EntryIndex(0));
  if (entry.ok()) {
    const auto put = [&](auto& change, auto& row) {
      change.put_entry(vault::entry_of(stream, format::EntryIndex(0), row));
    };
    CHECK(written_by(put, *entry.value()));
  }
  const auto object = records.object({});
  if (object.ok()) CHECK(written_by([](auto& change, auto& row) { change.put_object({}, row); }, *object.value()));
  const auto registry = records.registry({});
  if (registry.ok()) CHECK(written_by([](auto& change, auto& row) { change.put_registry({}, row); }, registry.value()));
  const auto count = records.object_count();
  if (count.ok()) CHECK(written_by([](auto& change, auto row) { change.put_object_count(row); }, count.value()));
  const auto fork = records.fork(stream);
  if (fork.ok()) CHECK(written_by([&](auto& change, auto& row) { change.put_fork(stream, row); }, *fork.value()));
  ignore(records.segment({}), "only that it returns matters");
  const auto mark = records.mark({});
  if (mark.ok()) CHECK(written_by([](auto& change, auto& row) { change.put_mark(row); }, *mark.value()));
  const auto see_entry = [](format::EntryIndex, const vault::EntryRow&) -> Result<table::Visit> {
    return table::Visit::Continue;
  };
  ignore(records.scan_entries(stream, format::EntryIndex(0), see_entry), "only that it returns matters");
  const auto see_stream = [](const format::StreamId&) -> Result<table::Visit> { return table::Visit::Continue; };
  ignore(records.scan_streams({}, stream, see_stream), "only that it returns matters");
}

void read_index(OneRow& table, ByteView input) {
  auto opened = repo::DedupIndex::open(table);
  OneRow no_counter(as_bytes("12345678"));  // so that rows of other sizes are read too
  ignore(repo::DedupIndex::open(no_counter), "only that it returns matters");
  if (!opened.ok()) return;
  const repo::DedupIndex& index = opened.value();
  ignore(index.find({}), "only that it returns matters");
  ignore(index.unindexed_packs(), "only that it returns matters");
  ignore(index.index_objects(), "only that it returns matters");
  ignore(index.snapshots(), "only that it returns matters");
  ignore(index.receipts(), "only that it returns matters");
  static_cast<void>(input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  OneRow table(input);
  read_records(table, input);
  read_index(table, input);
  return 0;
}
