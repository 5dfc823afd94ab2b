#include "repo/catalogue.h"

#include <algorithm>

#include "crypto/hash.h"
#include "format/pack.h"

namespace exclave::repo {
namespace {

constexpr std::string_view kMagic = "EXCLCAT2";
constexpr std::uint32_t kEndMark = 0xffffffff;
constexpr std::uint32_t kMaxRecordsBytes = format::kMaxChunkPlainBytes;
constexpr std::size_t kFactsBytes = 24;
constexpr std::size_t kCheckBytes = 8;
constexpr std::size_t kBlockHeadBytes = 4 + 4 + 1 + format::ChunkId::kSize + kCheckBytes;
constexpr std::size_t kCheckOffset = kBlockHeadBytes - kCheckBytes;
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

// Over everything in the block but itself.
crypto::Hash256 block_check(ByteView head, ByteView body) {
  crypto::Sha256Hasher hasher;
  hasher.update(head.first(kCheckOffset));
  hasher.update(body);
  return hasher.finish();
}

Result<LocalFacts> read_facts(format::BinaryReader& reader) {
  LocalFacts facts;
  facts.changed_ns = TRY(reader.i64());
  facts.inode = TRY(reader.u64());
  facts.device = TRY(reader.u64());
  return facts;
}

Error damaged(std::string_view path, std::string_view why) {
  return Error(Code::Corrupt, "catalogue " + std::string(path) + ": " + std::string(why));
}

}  // namespace

std::string catalogue_file_name(std::string_view dataset) {
  return std::string(dataset) + ".catalogue";
}

CatalogueWriter CatalogueWriter::create(env::FileSystem& files, std::string_view directory) {
  CatalogueWriter writer;
  auto draft = files.draft(directory, env::kPrivateFile);
  if (draft.ok()) {
    writer.draft_ = draft.take();
    writer.write(Bytes(kHeaderRoom), 0);
  } else {
    writer.failure_ = draft.take_error();
  }
  return writer;
}

void CatalogueWriter::begin_entry(const LocalFacts& facts) {
  facts_.i64(facts.changed_ns);
  facts_.u64(facts.inode);
  facts_.u64(facts.device);
  ++begun_;
}

void CatalogueWriter::end_chunk(const format::ChunkId& id, ByteView records, ChunkEnd end) {
  CHECK(!records.empty() && records.size() <= kMaxRecordsBytes);
  format::BinaryWriter block;
  block.u32(static_cast<std::uint32_t>(records.size()));
  block.u32(begun_);
  block.u8(static_cast<std::uint8_t>(end));
  block.id(id);
  Bytes body;
  body.reserve(records.size() + facts_.size());
  append(body, records);
  append(body, facts_.view());
  block.raw(block_check(block.view(), body).view().first(kCheckBytes));
  block.raw(body);
  write(block.view(), begun_);
  facts_.clear();
  begun_ = 0;
}

void CatalogueWriter::keep(const CatalogueBlock& block) {
  CHECK(begun_ == 0);
  write(block.bytes, block.entries);
}

void CatalogueWriter::write(ByteView block, std::uint32_t entries) {
  if (failure_.has_value()) return;
  Status written = draft_->file().write_at(offset_, block);
  if (!written.ok()) {
    failure_ = written.take_error();
    draft_.reset();
    return;
  }
  offset_ += block.size();
  entries_ += entries;
}

Status CatalogueWriter::commit(const CatalogueHeader& header) && {
  CHECK(begun_ == 0);
  if (failure_.has_value()) return *failure_;
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
  reader.size_ = TRY(reader.file_->info()).size;
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

Result<bool> CatalogueReader::read_block() {
  count_ = 0;
  next_in_block_ = 0;
  stands_alone_ = false;
  if (at_end_) return false;
  std::array<Byte, kBlockHeadBytes> head{};
  TRY(read_exactly(MutableByteView(head).first(4)));
  const std::uint32_t records_bytes = load_u32(head);
  if (records_bytes == kEndMark) {
    std::array<Byte, 8> started{};
    TRY(read_exactly(started));
    if (load_u64(started) != started_) return damaged(path_, "lacks entries");
    TRY(decoder_.finish().in([&] { return "catalogue " + path_; }));
    at_end_ = true;
    return false;
  }
  TRY(read_exactly(MutableByteView(head).subspan(4)));
  format::BinaryReader fields(ByteView(head).subspan(4), "catalogue block");
  const std::uint32_t started = TRY(fields.u32());
  const std::uint8_t end = TRY(fields.u8());
  block_.listing = {TRY(fields.id<format::ChunkId>()), records_bytes};
  block_.entries = started;
  const std::uint64_t body_bytes = records_bytes + std::uint64_t{started} * kFactsBytes;
  // The sizes may be damaged themselves: they are believed only as far as the file reaches.
  if (records_bytes == 0 || records_bytes > kMaxRecordsBytes || started > records_bytes || end > 1 ||
      body_bytes > size_ - std::min(size_, offset_))
    return damaged(path_, "block is damaged");
  block_.bytes.resize(kBlockHeadBytes + static_cast<std::size_t>(body_bytes));
  std::copy(head.begin(), head.end(), block_.bytes.begin());
  const MutableByteView body = MutableByteView(block_.bytes).subspan(kBlockHeadBytes);
  TRY(read_exactly(body));
  if (!equal(ByteView(head).subspan(kCheckOffset), block_check(head, body).view().first(kCheckBytes)))
    return damaged(path_, "block is damaged");
  TRY(decode_block(records_bytes, static_cast<ChunkEnd>(end)).in([&] { return "catalogue " + path_; }));
  return true;
}

Status CatalogueReader::decode_block(std::uint32_t records_bytes, ChunkEnd end) {
  const ByteView body = ByteView(block_.bytes).subspan(kBlockHeadBytes);
  format::BinaryReader facts(body.subspan(records_bytes), "catalogue facts");
  const bool begins_inside = decoder_.is_inside_entry();
  for (std::uint32_t i = 0; i < block_.entries; ++i) facts_.push_back(TRY(read_facts(facts)));
  TRY(decoder_.feed(body.first(records_bytes),
                    [&](format::ListingEntry&& entry) { return add_entry(std::move(entry)); }));
  if (facts_.size() != (decoder_.is_inside_entry() ? 1U : 0U))
    return Error(Code::Corrupt, "block has another number of entries than it says");
  started_ += block_.entries;
  stands_alone_ = end == ChunkEnd::ByRule && !begins_inside && !decoder_.is_inside_entry();
  return {};
}

Status CatalogueReader::add_entry(format::ListingEntry&& entry) {
  if (any_ && format::compare_in_walk_order(last_path_, entry.path) >= 0)
    return Error(Code::Corrupt, "entries are out of order");
  if (facts_.empty()) return Error(Code::Corrupt, "block has another number of entries than it says");
  any_ = true;
  last_path_ = entry.path;
  if (count_ == entries_.size()) entries_.emplace_back();
  std::swap(entries_[count_].entry, entry);
  entries_[count_].facts = facts_.front();
  facts_.pop_front();
  ++count_;
  return {};
}

Result<std::optional<CatalogueEntry>> CatalogueReader::next() {
  while (next_in_block_ == count_) {
    if (!TRY(read_block())) return std::optional<CatalogueEntry>();
  }
  return std::optional(std::move(entries_[next_in_block_++]));
}

Result<std::vector<CatalogueEntry>> CatalogueBlock::decode() const {
  const ByteView body = ByteView(bytes).subspan(kBlockHeadBytes);
  format::BinaryReader facts(body.subspan(listing.plain_bytes), "catalogue facts");
  format::ListingDecoder decoder;
  std::vector<CatalogueEntry> decoded;
  decoded.reserve(entries);
  TRY(decoder.feed(body.first(listing.plain_bytes), [&](format::ListingEntry&& entry) -> Status {
    auto entry_facts = TRY(read_facts(facts));
    decoded.push_back({std::move(entry), std::move(entry_facts)});
    return {};
  }));
  return decoded;
}

}  // namespace exclave::repo
