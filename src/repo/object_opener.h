// ObjectOpener: reads sealed objects of one registry with released keys: whole, or only the segments a range touches.
// Hides: which period's key fits, fronts, segment arithmetic, falling over to another copy when bytes fail their check.
//
// I1  Every byte handed out was authenticated by its segment's tag under the key of the period the header names.
// I2  A copy that fails is reported through the reader (store::ObjectReader::read_checked), never used. What is judged
//     together, a front and segments, comes from one copy: a lying vault never makes another one's bytes look bad.
// Threads: all calls from any thread.
// Errors: NotFound, Corrupt (no copy is good), Denied (period not released), Unavailable.
#pragma once

#include <map>
#include <vector>

#include "format/object.h"
#include "format/pack.h"
#include "format/snapshot.h"
#include "store/object_store.h"

namespace exclave::repo {

// Memory that a reader keeps for its next range: it grows to the largest one and stays.
struct OpeningRoom {
  Bytes sealed;
  Bytes plain;
};

class ObjectOpener {
 public:
  // `reader` outlives it.
  ObjectOpener(const format::RealmId& realm, std::vector<format::OpeningKey> keys, store::ObjectReader& reader);

  // Plaintext of a whole object. The object's name is checked too: one that was swapped for another genuine object is
  // refused.
  Result<Bytes> open_whole(const format::ObjectReference& reference);
  // The same for an object of which only the name is known for sure: that vouches for its header, too. `bytes`: its
  // size as far as is known; if that turns out wrong, the other classes are tried.
  struct Opened {
    format::ObjectReference reference;
    Bytes plain;
  };
  Result<Opened> open_by_name(const format::ObjectName& name, std::uint64_t bytes);
  // Plaintext [at, at + size) of an object, authenticated per segment: a view into `room`, good until that is used
  // again.
  Result<ByteView> open_range(const format::ObjectReference& reference, std::size_t at, std::size_t size,
                              OpeningRoom& room);

  bool is_answering() const { return reader_.is_answering(); }
  bool has_key(format::PeriodNumber period) const { return keys_.contains(period); }

 private:
  Result<const format::OpeningKey*> key_for(format::PeriodNumber period) const;
  Result<Opened> open_by_name_as(const format::ObjectName& name, std::uint8_t size_class);
  Status open_segments(const format::ObjectReference& reference, ByteView front, ByteView sealed,
                       std::uint32_t first_segment, MutableByteView out) const;

  format::RealmId realm_;
  std::map<format::PeriodNumber, format::OpeningKey> keys_;
  store::ObjectReader& reader_;
};

}  // namespace exclave::repo
