#include "engine/snapshot_content.h"

#include <algorithm>

namespace exclave::engine {

Result<std::unique_ptr<SnapshotContent>> SnapshotContent::open(repo::ObjectOpener& opener,
                                                               const format::ObjectReference& snapshot,
                                                               const std::vector<FoundObject>& objects) {
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
  if (lost) TRY(content->rebuild_index(objects, snapshot.name));
  content->chunks_.finish_loading();
  return content;
}

// From the packs' own directories. Sizes and headers are what some vault says: only an object that bears its name is
// believed, whichever vault has it.
Status SnapshotContent::rebuild_index(const std::vector<FoundObject>& objects, const format::ObjectName& snapshot) {
  const auto own =
      std::find_if(objects.begin(), objects.end(), [&](const auto& each) { return each.name == snapshot; });
  for (const FoundObject& object : objects) {
    if (object.is_snapshot || object.kind != format::StreamKind::Objects ||
        (own != objects.end() && object.era != own->era))
      continue;
    Status added = chunks_.add_pack(object.name, object.bytes);
    if (added.ok()) continue;
    switch (added.error().code()) {
      case Code::Denied:  // of a period that was not released: nothing of this snapshot, or it will be missed
        break;
      case Code::NotFound:
      case Code::Corrupt:
      case Code::InvalidInput:
        notes_.push_back(added.error().message() + "; what only lies there is lost");
        break;
      case Code::Unavailable:
        if (!chunks_.is_answering()) return added;
        notes_.push_back(added.error().message() + "; what only lies there can be had when its vault answers");
        break;
      default:
        return added;
    }
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
