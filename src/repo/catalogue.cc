#include "repo/catalogue.h"

#include <algorithm>

#include "crypto/hash.h"

namespace exclave::repo {
namespace {

constexpr std::string_view kMagic = "EXCLCAT1";
constexpr std::size_t kBlockBytes = 64U << 10;
constexpr std::uint32_t kEndMark = 0xffffffff;
constexpr std::uint32_t kMaxBlockBytes = 256U << 20;  // one entry of a huge file may make a large block
constexpr std::size_t kFactsBytes = 24;
// The header is written last, over this many reserved bytes: totals and snapshot name are known only at the end.
constexpr std::size_t kHeaderRoom = 16384;

Result<Bytes> encode_header(const CatalogueHeader& header) {
  format::BinaryWriter writer;
  writer.raw(as_bytes(kMagic));
  writer.id(header.realm);
  writer.id(header.registry);
  writer.u32(header.era.value());
  writer.text(header.dataset);
  writer.id(header.snapshot);
  writer.u32(header.oldest_period.value());
  writer.text(header.root);
  format::write_totals(writer, header.totals);
  writer.raw(crypto::sha256(writer.view()).view().first(8));
  if (writer.size() > kHeaderRoom) return Error(Code::InvalidInput, "captured path is longer than 8 KiB");
  Bytes bytes = writer.take();
  bytes.resize(kHeaderRoom);
  return bytes;
}

Error damaged(std::string_view path, std::string_view why) {
  return Error(Code::Corrupt, "catalogue " + std::string(path) + ": " + std::string(why));
}

}  // namespace

std::string catalogue_file_name(std::string_view dataset) {
  return std::string(dataset) + ".catalogue";
}

CatalogueWriter::CatalogueWriter(std::unique_ptr<env::FileSystem::Draft> draft) : draft_(std::move(draft)) {}

Result<CatalogueWriter> CatalogueWriter::create(env::FileSystem& files, std::string_view directory) {
  CatalogueWriter writer(TRY(files.draft(directory, 0600)));
  TRY(writer.draft_->file().write_at(0, Bytes(kHeaderRoom)));
  writer.offset_ = kHeaderRoom;
  return writer;
}

Status CatalogueWriter::append(const format::ListingEntry& entry, const LocalFacts& facts) {
  encoder_.append(entry, records_);
  facts_.i64(facts.changed_ns);
  facts_.u64(facts.inode);
  facts_.u64(facts.device);
  ++in_block_;
  ++entries_;
  if (records_.size() >= kBlockBytes) return end_block();
  return {};
}

Status CatalogueWriter::end_block() {
  if (in_block_ == 0) return {};
  if (records_.size() > kMaxBlockBytes)
    return Error(Code::Exhausted, "catalogue: one entry is larger than a block may be");
  crypto::Sha256Hasher hasher;
  hasher.update(records_.view());
  hasher.update(facts_.view());
  format::BinaryWriter block;
  block.u32(static_cast<std::uint32_t>(records_.size()));
  block.u32(in_block_);
  block.raw(hasher.finish().view().first(8));
  block.raw(records_.view());
  block.raw(facts_.view());
  TRY(draft_->file().write_at(offset_, block.view()));
  offset_ += block.size();
  records_.clear();
  facts_.clear();
  encoder_.reset();
  in_block_ = 0;
  return {};
}

Status CatalogueWriter::commit(const CatalogueHeader& header) && {
  TRY(end_block());
  format::BinaryWriter trailer;
  trailer.u32(kEndMark);
  trailer.u64(entries_);
  TRY(draft_->file().write_at(offset_, trailer.view()));
  TRY(draft_->file().write_at(0, TRY(encode_header(header))));
  return draft_->publish_replacing(catalogue_file_name(header.dataset));
}

Result<CatalogueReader> CatalogueReader::open(env::FileSystem& files, std::string_view directory,
                                              std::string_view dataset) {
  CatalogueReader reader;
  reader.path_ = env::join_path(directory, catalogue_file_name(dataset));
  reader.file_ = TRY(files.open_file(reader.path_));
  reader.file_->sequential();
  TRY(reader.read_header());
  if (reader.header_.dataset != dataset) return damaged(reader.path_, "belongs to another dataset");
  return reader;
}

Status CatalogueReader::read_exactly(MutableByteView out) {
  while (!out.empty()) {
    const std::size_t got = TRY(file_->read_at(offset_, out));
    if (got == 0) return damaged(path_, "ends too early");
    offset_ += got;
    out = out.subspan(got);
  }
  return {};
}

Status CatalogueReader::read_header() {
  Bytes bytes(kHeaderRoom);
  TRY(read_exactly(bytes));
  format::BinaryReader reader(bytes, "catalogue header");
  if (as_text(TRY(reader.raw(kMagic.size()))) != kMagic) return damaged(path_, "is not a catalogue of this version");
  header_.realm = TRY(reader.id<format::RealmId>());
  header_.registry = TRY(reader.id<format::RegistryId>());
  header_.era = format::EraNumber(TRY(reader.u32()));
  header_.dataset = TRY(reader.text(256));
  header_.snapshot = TRY(reader.id<format::ObjectName>());
  header_.oldest_period = format::PeriodNumber(TRY(reader.u32()));
  header_.root = TRY(reader.text(kHeaderRoom));
  header_.totals = TRY(format::read_totals(reader));
  const std::size_t covered = bytes.size() - reader.remaining();
  const ByteView check = TRY(reader.raw(8));
  if (!equal(check, crypto::sha256(ByteView(bytes).first(covered)).view().first(8)))
    return damaged(path_, "header is damaged");
  return {};
}

Status CatalogueReader::read_block() {
  std::array<Byte, 4> first{};
  TRY(read_exactly(first));
  const std::uint32_t record_bytes = load_u32(first);
  if (record_bytes == kEndMark) {
    std::array<Byte, 8> count{};
    TRY(read_exactly(count));
    if (load_u64(count) != entries_) return damaged(path_, "lacks entries");
    at_end_ = true;
    return {};
  }
  std::array<Byte, 12> rest{};
  TRY(read_exactly(rest));
  const std::uint32_t count = load_u32(rest);
  if (record_bytes > kMaxBlockBytes || count == 0 || count > record_bytes) return damaged(path_, "block is damaged");
  Bytes body(record_bytes + std::size_t{count} * kFactsBytes);
  TRY(read_exactly(body));
  if (!equal(ByteView(rest).subspan(4), crypto::sha256(body).view().first(8)))
    return damaged(path_, "block is damaged");
  block_.clear();
  next_in_block_ = 0;
  format::ListingDecoder decoder;
  TRY(decoder.feed(ByteView(body).first(record_bytes), [&](format::ListingEntry entry) -> Status {
    block_.push_back({std::move(entry), {}});
    return {};
  }));
  TRY(decoder.finish());
  if (block_.size() != count) return damaged(path_, "block has another number of entries than it says");
  format::BinaryReader facts(ByteView(body).subspan(record_bytes), "catalogue facts");
  for (CatalogueEntry& entry : block_) {
    entry.facts.changed_ns = TRY(facts.i64());
    entry.facts.inode = TRY(facts.u64());
    entry.facts.device = TRY(facts.u64());
  }
  entries_ += count;
  return {};
}

Result<std::optional<CatalogueEntry>> CatalogueReader::next() {
  while (!at_end_ && next_in_block_ == block_.size()) TRY(read_block());
  if (next_in_block_ == block_.size()) return std::optional<CatalogueEntry>();
  CatalogueEntry entry = std::move(block_[next_in_block_++]);
  if (any_ && format::compare_in_walk_order(last_path_, entry.entry.path) >= 0)
    return damaged(path_, "entries are out of order");
  any_ = true;
  last_path_ = entry.entry.path;
  return std::optional(std::move(entry));
}

}  // namespace exclave::repo
