// Listing: every entry of a captured tree in walk order, as a stream of records cut into chunks.
// Hides: prefix compression of paths and owners, and how a huge file's slices spread over several records.
//
//   listing chunk := record+                  decoder state is reset at every chunk, so equal chunks decode equally
//   record        := length varint | body
//   body          := flags u16 | shared varint | suffix bytes | part
//   first part    := type u8 mode varint [owner] mtime i64 size varint [target] [device] [link id] [xattrs]
//                    [content id], then as every part
//   part          := [extents] slices
//   path          := first `shared` bytes of the previous record's path || suffix
//
// Walk order: depth first, a directory before what it holds, names of one directory in bytewise order.
// Paths are relative to the captured root, without leading "/" or "./"; the root itself is "".
// Units/limits: at most kMaxSlicesPerPart slices and extents in a part; an entry's path and its attributes are below 1
//     MiB each.
// I1  Slices, laid end to end, are the file's data: all of it, or for a sparse file the bytes of its extents in order.
// I2  A decoder accepts only paths that stay below the root: no empty, "." or ".." component, no NUL.
// I3  A decoder accepts an entry just if entry_flaw() finds nothing.
// Threads: an encoder or decoder by one thread.
// Errors: Corrupt.
// Source: docs/formats/listing.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/binary.h"
#include "format/ids.h"

namespace exclave::format {

// A decoder refuses more; who writes a listing leaves out, and reports, what would need it.
inline constexpr std::size_t kMaxXattrs = 4096;
inline constexpr std::size_t kMaxXattrBytes = std::size_t{1} << 20;  // names and values of one entry
inline constexpr std::size_t kMaxPathBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxOwnerNameBytes = 256;

enum class EntryType : std::uint8_t {
  Regular = 1,
  Directory = 2,
  Symlink = 3,
  Fifo = 4,
  Socket = 5,
  CharDevice = 6,
  BlockDevice = 7
};
enum class EntryProblem : std::uint8_t { None = 0, Unreadable = 1, ChangedWhileRead = 2 };

struct Slice {
  ChunkId chunk;
  std::uint32_t offset = 0;  // into the chunk's plaintext
  std::uint32_t length = 0;
  friend bool operator==(const Slice&, const Slice&) = default;
};

struct DataExtent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  friend bool operator==(const DataExtent&, const DataExtent&) = default;
};

struct ExtendedAttribute {
  std::string name;
  Bytes value;
  friend bool operator==(const ExtendedAttribute&, const ExtendedAttribute&) = default;
};

struct HardLinkId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend auto operator<=>(const HardLinkId&, const HardLinkId&) = default;
};

struct Owner {
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::string user_name;  // empty if unknown at home
  std::string group_name;
  friend bool operator==(const Owner&, const Owner&) = default;
};

struct ListingEntry {
  std::string path;
  EntryType type = EntryType::Regular;
  EntryProblem problem = EntryProblem::None;
  std::uint32_t mode = 0;  // 0..07777
  Owner owner;
  std::int64_t modified_ns = 0;
  std::uint64_t size = 0;          // of a regular file
  std::string link_target;         // of a symlink
  std::uint32_t device_major = 0;  // of a device node
  std::uint32_t device_minor = 0;
  std::optional<HardLinkId> hard_link;  // set when the file had more than one name
  std::vector<ExtendedAttribute> xattrs;
  std::optional<ContentId> content;  // of a small file that is a group member
  bool sparse = false;               // extents say where the data lie
  std::vector<DataExtent> extents;
  std::vector<Slice> slices;
  friend bool operator==(const ListingEntry&, const ListingEntry&) = default;
};

inline constexpr std::size_t kMaxSlicesPerPart = 4096;

// I3. Why no decoder takes this entry, or nullopt. It decides for both sides: a decoder refuses by it, and who writes a
// listing asks before each append() and leaves the entry out. One entry that is refused costs the whole snapshot.
std::optional<std::string_view> entry_flaw(const ListingEntry& entry);
// The same of all but extents and slices, which a capture knows only once it has read the file.
std::optional<std::string_view> attributes_flaw(const ListingEntry& entry);

class ListingEncoder {
 public:
  // Appends the records of one entry to `out`. `on_record` (if set) is called after each with its bytes: the place to
  // cut. Returning true starts a new chunk: state is reset. Precondition, if somebody is to read it: I3, and paths come
  // in walk order.
  using OnRecord = std::function<bool(ByteView record)>;
  void append(const ListingEntry& entry, BinaryWriter& out, const OnRecord& on_record = {});
  void reset();

 private:
  void encode_part(const ListingEntry& entry, std::size_t part, BinaryWriter& body);

  std::string previous_path_;
  std::optional<Owner> previous_owner_;
  std::optional<ChunkId> previous_chunk_;
};

class ListingDecoder {
 public:
  // The entry may be moved from, or swapped for another: whatever is left there gives its memory to the next one.
  using Sink = std::function<Status(ListingEntry&&)>;
  // Decodes one chunk; complete entries go to `sink` in order.
  Status feed(ByteView chunk, const Sink& sink);
  // An entry waits for parts in the next chunk.
  bool is_inside_entry() const { return inside_entry_; }
  // Corrupt if an entry waits for parts that never came.
  Status finish();

 private:
  struct ChunkState;
  Status decode_part(BinaryReader& body, ChunkState& state, const Sink& sink);
  ListingEntry entry_;
  bool inside_entry_ = false;
};

// Compares paths in walk order: '/' sorts before every other byte.
int compare_in_walk_order(std::string_view a, std::string_view b);
// I2 for one path ("" is the root and fine).
bool is_safe_path(std::string_view path);

}  // namespace exclave::format
