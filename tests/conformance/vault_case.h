// A vault bench on a simulated machine: what tests of a vault begin with.
#pragma once

#include <gtest/gtest.h>

#include "tests/conformance/vault_bench.h"
#include "tests/conformance/worlds.h"

namespace exclave::conformance {

// A bench on a simulated machine whose disk, clock and faults the test can reach. Runs on the test's own thread.
class VaultTest : public ::testing::Test {
 protected:
  VaultTest() : bench_(lux().env(), "/srv/vault", Door::Embedded) { must(writer().open_stream(stream_.stream())); }

  sim::Machine& lux() { return universe_.machine("lux"); }
  store::VaultApi& writer() {
    if (writer_ == nullptr) writer_ = bench_.as(bench_.realm.writer());
    return *writer_;
  }
  store::VaultApi& site() {
    if (site_ == nullptr) site_ = bench_.as(bench_.realm.site());
    return *site_;
  }
  Bytes object(std::uint64_t fill) const { return sealed_object({.registry = bench_.realm.land(), .fill = fill}); }
  std::uint64_t used() { return must(writer().quota(bench_.realm.land())).used_bytes; }
  std::string path_of(const format::ObjectName& name) const {
    return "/srv/vault/objects/" + name.hex().substr(0, 2) + "/" + name.hex();
  }
  std::int64_t retained_until(std::uint64_t index) {
    return must(site().entries(stream_.id(), format::EntryIndex(index), 1)).at(0).retain_until_seconds;
  }

  WriterStream open_journal() {
    WriterStream journal(bench_.realm, bench_.realm.writer(), bench_.realm.land(), "journal",
                         format::StreamKind::Journal);
    must(writer().open_stream(journal.stream()));
    return journal;
  }
  // The journal's segment `index`, whose first frame has that number.
  SegmentMaker segment_of(const WriterStream& journal, std::uint64_t index) {
    return SegmentMaker({.registry = bench_.realm.land(),
                         .stream = journal.id(),
                         .index = index,
                         .first_number = index,
                         .label = "segment " + std::to_string(index)});
  }
  // Doors are of one start.
  void restart() {
    bench_.restart();
    writer_.reset();
    site_.reset();
  }
  struct Leftover {
    std::string file;
    format::ObjectName object;
  };
  // A closed segment's file beside its object, as if the power had gone between the entry and the file's removal.
  Leftover leave_a_closed_segment() {
    WriterStream journal = open_journal();
    SegmentMaker segment = segment_of(journal, 0);
    segment.add(1000);
    must(segment.send(writer(), 0));
    const Leftover left{"/srv/vault/journal/" + journal.id().hex() + "/0", format::name_of(segment.whole())};
    must(writer().put(journal.next(left.object), {}));
    must(env::create_file_durably(lux().env().files, left.file, segment.whole(), 0600));
    return left;
  }
  // While the vault is away, its disk spoils the journal's first segment.
  void restart_with_segment_spoiled_at(const WriterStream& journal, std::uint64_t at) {
    bench_.close();
    const auto folder = must(lux().env().files.open_directory("/srv/vault/journal/" + journal.id().hex()));
    must(must(folder->open_for_write("0"))->write_at(at, Bytes(64, 0xEE)));
    restart();
  }

  sim::Universe universe_{1};
  VaultBench bench_;
  WriterStream stream_{bench_.realm, bench_.realm.writer(), bench_.realm.land()};
  std::unique_ptr<store::VaultApi> writer_;
  std::unique_ptr<store::VaultApi> site_;
};

}  // namespace exclave::conformance
