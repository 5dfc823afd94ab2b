#include "repo/chunk_source.h"

#include <algorithm>
#include <tuple>

namespace exclave::repo {

Result<ByteView> ChunkDecoder::decode(const ChunkPlace& place, const format::ChunkId& id, ByteView stored) {
  if (plain_.size() < place.plain_bytes) plain_.resize(place.plain_bytes);
  const MutableByteView plain = MutableByteView(plain_).first(place.plain_bytes);
  if (place.codec == format::ChunkCodec::Raw) {
    if (stored.size() != plain.size())
      return Error(Code::Corrupt, "chunk " + id.hex().substr(0, 16) + ": has a wrong size");
    std::copy(stored.begin(), stored.end(), plain.begin());
  } else {
    TRY(decompressor_.decompress(stored, plain).in([&] { return "chunk " + id.hex().substr(0, 16); }));
  }
  TRY(identifier_.verify(place.kind, plain, id));
  return ByteView(plain);
}

void ChunkSource::add_entries(const format::ObjectReference& pack, const std::vector<format::ChunkEntry>& entries) {
  const auto ordinal = static_cast<std::uint32_t>(packs_.size());
  packs_.push_back(pack);
  for (const format::ChunkEntry& entry : entries) {
    places_.push_back(
        {entry.id, {ordinal, entry.offset, entry.stored_bytes, entry.plain_bytes, entry.kind, entry.codec}});
  }
}

Status ChunkSource::add_index(const format::ObjectReference& reference) {
  const Bytes plain = TRY(opener_.open_whole(reference));
  for (const format::IndexSection& section : TRY(format::read_index(plain))) {
    add_entries({section.pack, section.size_class, section.period}, section.entries);
  }
  return {};
}

Status ChunkSource::add_pack(const format::ObjectName& name, std::uint64_t bytes) {
  auto opened = opener_.open_by_name(name, bytes);
  if (!opened.ok() && opened.error().code() == Code::Unavailable) lacks_packs_ = true;
  const ObjectOpener::Opened object = TRY(std::move(opened));
  if (format::read_payload(object.plain, format::PlaintextType::Index).ok()) return {};
  add_entries(object.reference,
              TRY(format::read_pack_directory(object.plain).in([&] { return format::object_words(name); })));
  return {};
}

void ChunkSource::finish_loading() {
  // The same chunk may stand in two packs (two captures that ran into each other): the first will do.
  std::sort(places_.begin(), places_.end(), [](const Located& a, const Located& b) {
    return std::tie(a.id, a.place.pack, a.place.offset) < std::tie(b.id, b.place.pack, b.place.offset);
  });
  const auto end =
      std::unique(places_.begin(), places_.end(), [](const Located& a, const Located& b) { return a.id == b.id; });
  places_.erase(end, places_.end());
}

Result<ChunkPlace> ChunkSource::locate(const format::ChunkId& id) const {
  const auto found =
      std::lower_bound(places_.begin(), places_.end(), id,
                       [](const Located& located, const format::ChunkId& wanted) { return located.id < wanted; });
  if (found == places_.end() || found->id != id) {
    if (lacks_packs_) {
      return Error(Code::Unavailable, "chunk " + id.hex().substr(0, 16) +
                                          " is in no index that could be read, and perhaps in a pack of a vault that " +
                                          "does not answer");
    }
    return Error(Code::Corrupt, "chunk " + id.hex().substr(0, 16) + " is in no index that could be read");
  }
  return found->place;
}

Result<ByteView> ChunkSource::fetch(std::uint32_t pack, std::uint32_t offset, std::uint32_t size,
                                    ChunkDecoder& decoder) const {
  return opener_.open_range(packs_[pack], offset, size, decoder.room());
}

Result<ByteView> ChunkSource::decode(const format::ChunkId& id, const ChunkPlace& place, ByteView stored,
                                     ChunkDecoder& decoder) const {
  auto decoded = decoder.decode(place, id, stored);
  if (decoded.ok() || decoded.error().code() != Code::Corrupt) return decoded;
  const Bytes whole = TRY(opener_.open_whole(packs_[place.pack]));
  if (place.offset > whole.size() || place.stored_bytes > whole.size() - place.offset) return decoded;
  return decoder.decode(place, id, ByteView(whole).subspan(place.offset, place.stored_bytes));
}

Result<ByteView> ChunkSource::read(const format::ChunkId& id, ChunkDecoder& decoder) const {
  const ChunkPlace place = TRY(locate(id));
  const ByteView stored = TRY(fetch(place.pack, place.offset, place.stored_bytes, decoder));
  return decode(id, place, stored, decoder);
}

Result<format::Snapshot> open_snapshot(ObjectOpener& opener, const format::ObjectReference& reference) {
  const crypto::SecretBytes plain(  // with the dedup key
      TRY(opener.open_whole(reference).in([&] { return "snapshot " + reference.name.hex().substr(0, 16); })));
  return format::decode_snapshot(TRY(format::read_payload(plain.view(), format::PlaintextType::Snapshot)));
}

}  // namespace exclave::repo
