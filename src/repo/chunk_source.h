// ChunkSource: finds and reads the chunks a snapshot refers to. Built from the snapshot's index objects, or, where
// those are lost, from the packs' own directories. Hides: the locator's layout (sorted, 56 bytes a chunk), which packs
// and ranges hold what.
//
// I1  Every chunk handed out has the id that was asked for: recomputed with the era's dedup key.
// I2  Decompression is bounded by the directory's plain size.
// Threads: locate and read from any thread after load. Errors: Corrupt (also for a chunk that is in no readable index),
// NotFound, Denied, Unavailable (also for a chunk that may be in a pack which could not be read).
#pragma once

#include <vector>

#include "compress/compress.h"
#include "format/pack.h"
#include "repo/object_opener.h"

namespace exclave::repo {

struct ChunkPlace {
  std::uint32_t pack = 0;  // ordinal, see pack()
  std::uint32_t offset = 0;
  std::uint32_t stored_bytes = 0;
  std::uint32_t plain_bytes = 0;
  format::ChunkKind kind = format::ChunkKind::Content;
  format::ChunkCodec codec = format::ChunkCodec::Raw;
};

// Per-thread state for decoding: a decompressor, a keyed hash, and room for what they work on.
class ChunkDecoder {
 public:
  explicit ChunkDecoder(const crypto::Secret<32>& dedup_key) : identifier_(dedup_key) {}
  // `stored`: the chunk's bytes inside the pack. The chunk's plaintext, its id checked; good until the next call.
  Result<ByteView> decode(const ChunkPlace& place, const format::ChunkId& id, ByteView stored);
  OpeningRoom& room() { return room_; }

 private:
  compress::Decompressor decompressor_;
  format::ChunkIdentifier identifier_;
  OpeningRoom room_;
  Bytes plain_;  // grows to the largest chunk and stays
};

class ChunkSource {
 public:
  explicit ChunkSource(ObjectOpener& opener) : opener_(opener) {}

  // Loads one index object.
  Status add_index(const format::ObjectReference& reference);
  // Loads one pack's own directory: for packs whose index object is lost. `bytes`: its size, as far as is known. An
  // index object is none, and is passed over. After Unavailable, chunks that are found nowhere may lie in it: then
  // locate says so.
  Status add_pack(const format::ObjectName& name, std::uint64_t bytes);
  void finish_loading();  // sorts; after the last add

  // False if no vault answers: then what could not be read says nothing about the pack.
  bool is_answering() const { return opener_.is_answering(); }

  Result<ChunkPlace> locate(const format::ChunkId& id) const;
  const format::ObjectReference& pack(std::uint32_t ordinal) const { return packs_[ordinal]; }
  std::size_t pack_count() const { return packs_.size(); }
  std::size_t chunk_count() const { return places_.size(); }

  // Stored bytes [offset, offset + size) of a pack, in the decoder's room until its next fetch. They are authentic
  // bytes of *some* object of the registry: only decode() tells whether a vault swapped objects.
  Result<ByteView> fetch(std::uint32_t pack, std::uint32_t offset, std::uint32_t size, ChunkDecoder& decoder) const;
  // Decodes and checks a chunk; if its bytes are not the chunk's, fetches the whole pack with its name checked, which
  // goes round the vault that gave the wrong object, and decodes again. The result is good until the decoder's next.
  Result<ByteView> decode(const format::ChunkId& id, const ChunkPlace& place, ByteView stored,
                          ChunkDecoder& decoder) const;

  // Reads one chunk by itself: for listings and single files. Good until the decoder's next.
  Result<ByteView> read(const format::ChunkId& id, ChunkDecoder& decoder) const;

 private:
  struct Located {
    format::ChunkId id;
    ChunkPlace place;
  };
  void add_entries(const format::ObjectReference& pack, const std::vector<format::ChunkEntry>& entries);

  ObjectOpener& opener_;
  std::vector<format::ObjectReference> packs_;
  std::vector<Located> places_;
  bool lacks_packs_ = false;
};

// Opens and decodes a snapshot object.
Result<format::Snapshot> open_snapshot(ObjectOpener& opener, const format::ObjectReference& reference);

}  // namespace exclave::repo
