#include "engine/snapshot_content.h"

namespace exclave::engine {

Result<std::unique_ptr<SnapshotContent>> SnapshotContent::open(repo::ObjectOpener& opener,
                                                               const format::ObjectReference& snapshot,
                                                               const std::vector<FoundObject>& objects,
                                                               store::ObjectReader& reader) {
  std::unique_ptr<SnapshotContent> content(new SnapshotContent(opener));
  content->record_ = TRY(repo::open_snapshot(opener, snapshot));
  bool lost = false;
  for (const format::ObjectReference& index : content->record_.indexes) {
    Status added = content->chunks_.add_index(index);
    if (added.ok()) continue;
    const Code code = added.error().code();
    if (code != Code::NotFound && code != Code::Corrupt) return added.take_error();
    content->notes_.push_back("index " + added.error().message() + "; chunks are found through the packs themselves");
    lost = true;
  }
  if (lost) TRY(content->rebuild_index(objects, reader));
  content->chunks_.finish_loading();
  return content;
}

Status SnapshotContent::rebuild_index(const std::vector<FoundObject>& objects, store::ObjectReader& reader) {
  for (const FoundObject& object : objects) {
    if (object.is_snapshot) continue;
    Bytes header_bytes(format::kObjectHeaderBytes);
    Status read = reader.read(object.name, 0, header_bytes);
    auto header = read.ok() ? format::decode_header(header_bytes) : Result<format::ObjectHeader>(read.take_error());
    if (!header.ok()) {
      notes_.push_back("object " + object.name.hex().substr(0, 16) + " is lost: " + header.error().message());
      continue;
    }
    const format::ObjectReference reference{object.name, header.value().size_class, header.value().key.period};
    if (!opener_.has_key(reference.period)) continue;
    // Index objects have no directory of chunks: they are refused as packs, and that is fine.
    Status added = chunks_.add_pack(reference);
    if (!added.ok() && added.error().code() == Code::Unavailable) return added;
  }
  return {};
}

Status SnapshotContent::for_each_entry(const Sink& sink) const {
  repo::ChunkDecoder decoder(record_.dedup_key);
  format::ListingDecoder listing;
  std::string last_path;
  bool any = false;
  for (const format::ListingReference& reference : record_.listing) {
    const ByteView plain = TRY(chunks_.read(reference.id, decoder).in([] { return "listing"; }));
    if (plain.size() != reference.plain_bytes)
      return Error(Code::Corrupt, "listing: a chunk has another size than recorded");
    TRY(listing.feed(plain, [&](format::ListingEntry entry) -> Status {
      if (any && format::compare_in_walk_order(last_path, entry.path) >= 0)
        return Error(Code::Corrupt, "listing: entries are out of order");
      any = true;
      last_path = entry.path;
      return sink(std::move(entry));
    }));
  }
  return listing.finish();
}

}  // namespace exclave::engine
