// What tests of restores begin with: listings that a writer could forge, and the marks of unfinished restores.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {

using format::ListingEntry;

inline format::ListingEntry entry_of(std::string path, format::EntryType type) {
  format::ListingEntry entry;
  entry.path = std::move(path);
  entry.type = type;
  entry.mode = type == format::EntryType::Directory ? 0755 : 0644;
  return entry;
}
inline format::ListingEntry link_to(std::string path, std::string target) {
  format::ListingEntry entry = entry_of(std::move(path), format::EntryType::Symlink);
  entry.link_target = std::move(target);
  return entry;
}

class Restore : public PosixRealm {
 protected:
  // A snapshot as a writer with stolen keys could make it: any listing at all, sealed and signed as it should be.
  format::ObjectName forge(const std::vector<format::ListingEntry>& entries) {
    must(agent_->open());
    const custody::AgentKeys agent_keys = keys().agent_keys();
    format::ChunkIdentifier identifier(agent_keys.dedup);
    format::ListingEncoder encoder;
    format::BinaryWriter listing;
    for (const format::ListingEntry& entry : entries) encoder.append(entry, listing);

    format::StreamDescriptor descriptor;
    descriptor.realm = keys().policy().realm;
    descriptor.writer = keys().writer().public_key();
    descriptor.registry = keys().registry().id;
    descriptor.era = keys().era().number;
    must(env_.random.fill(descriptor.start.mutable_view()));
    auto index = must(repo::DedupIndex::open(agent_->table()));
    const auto stream =
        must(spread::StreamWriter::open(env_.threads, env_.clock, pointers(writer_taps_), 2,
                                        format::SignedStream::sign(descriptor, keys().writer()), keys().writer()));
    repo::PackWriter packs(env_.threads, env_.clock, repo::Sealer(keys().policy().realm, env_.random),
                           [&]() -> Result<const format::SealingKey*> { return &agent_keys.periods.front(); }, *stream,
                           index, {});
    const format::ChunkId id = identifier.of_bytes(format::ChunkKind::Listing, listing.view());
    const auto size = static_cast<std::uint32_t>(listing.size());
    must(packs.add({id, format::ChunkKind::Listing, format::ChunkCodec::Raw, size, listing.view()}));
    const format::ChunkId content = identifier.of_bytes(format::ChunkKind::Content, as_bytes(kContent));
    must(
        packs.add({content, format::ChunkKind::Content, format::ChunkCodec::Raw, kContent.size(), as_bytes(kContent)}));
    must(packs.finish());
    Bytes sections;
    std::uint32_t count = 0;
    for (const repo::PackRecord& pack : must(index.unindexed_packs())) {
      format::append_index_section(sections, pack.name, pack.size_class, pack.period, pack.directory);
      ++count;
    }
    format::Snapshot snapshot;
    snapshot.dataset = "files";
    snapshot.number = 1;
    snapshot.dedup_key = agent_keys.dedup.clone();
    snapshot.listing.push_back({id, size});
    snapshot.indexes.push_back(must(packs.put_plaintext(format::PlaintextType::Index, sections, count, {})));
    const auto written = must(packs.put_plaintext(format::PlaintextType::Snapshot, format::encode_snapshot(snapshot), 1,
                                                  format::PeriodNumber(0)));
    must(packs.settle());
    stream->finish(std::nullopt);
    return written.name;
  }
  format::ListingEntry file_of(std::string path) {
    format::ListingEntry entry = entry_of(std::move(path), format::EntryType::Regular);
    entry.size = kContent.size();
    const custody::AgentKeys agent_keys = keys().agent_keys();
    format::ChunkIdentifier identifier(agent_keys.dedup);
    entry.slices.push_back({identifier.of_bytes(format::ChunkKind::Content, as_bytes(kContent)), 0, kContent.size()});
    return entry;
  }
  // The mark of an unfinished restore, as an earlier run left it for this target. `trusted`: "-" trusts nothing; else the
  // boot in which it was written.
  std::string mark_of(const std::string& target, const format::ObjectName& snapshot, const std::string& trusted) {
    const auto there = must(files().open_directory(at(target)));
    const env::FileInfo info = must(there->info());
    const auto created = must(there->created());
    const std::string this_boot(as_text(must(files().read_file("/proc/sys/kernel/random/boot_id", 100))).substr(0, 36));
    return snapshot.hex() + " " + trusted + " " + std::to_string(info.inode) + " " + std::to_string(info.device) + " " +
           (created.has_value() ? std::to_string(created->nanoseconds) : "-") + " " +
           (trusted == "-" ? this_boot : trusted) + "\n";
  }
  void mark_unfinished(const std::string& target, const format::ObjectName& snapshot, const std::string& paths = "") {
    write_file(files(), at(target + ".exclave-restore"), as_bytes(mark_of(target, snapshot, "-") + paths));
  }
  // Everything below the base but target and vaults: what must not change.
  std::string outside() {
    std::string all;
    for (const std::string& name : must(files().list(at("outside")))) {
      all += name + "=" + std::string(as_text(must(files().read_file(at("outside/" + name), 1000)))) + "\n";
    }
    for (const std::string& name : must(files().list(base_.path()))) all += name + "\n";
    return all;
  }

  static constexpr std::string_view kContent = "written by the restore";
};

}  // namespace exclave::realm_tests
