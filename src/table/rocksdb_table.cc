#include "table/rocksdb_table.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include "base/text.h"

namespace exclave::table {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kCacheBytes = 48 * kMiB;     // blocks, index and filter partitions, and memtables
constexpr std::size_t kMemtableBytes = 24 * kMiB;  // of which memtables

rocksdb::Slice slice(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
ByteView view(const rocksdb::Slice& slice) {
  return as_bytes({slice.data(), slice.size()});
}

Error to_error(const rocksdb::Status& status) {
  const std::string message = printable(status.ToString());
  const bool is_lock = message.find("While lock file") != std::string::npos ||
                       message.find("lock hold by current process") != std::string::npos;
  if (status.IsCorruption()) return {Code::Corrupt, message};
  if (status.IsNoSpace() || status.IsMemoryLimit()) return {Code::Exhausted, message};
  if (status.IsIOError() && is_lock) return {Code::Conflict, message};
  if (status.IsPathNotFound()) return {Code::Corrupt, message};  // a file that the manifest names is gone
  if (status.IsNotSupported()) return {Code::Unsupported, message};
  if (status.IsInvalidArgument()) return {Code::Precondition, message};
  return {Code::Unavailable, message};
}

Status to_status(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return to_error(status);
}

// Blocks are small because gets are random; index and filters are cut into partitions that live in the cache, so that
// memory does not grow with the table.
rocksdb::BlockBasedTableOptions block_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions options;
  options.block_cache = cache;
  options.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(10));
  options.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  options.partition_filters = true;
  options.cache_index_and_filter_blocks = true;
  options.cache_index_and_filter_blocks_with_high_priority = true;
  options.checksum = rocksdb::kXXH3;
  options.format_version = 5;
  return options;
}

rocksdb::Options options_for_small_keys() {
  rocksdb::LRUCacheOptions cache_options;
  cache_options.capacity = kCacheBytes;
  cache_options.strict_capacity_limit = false;  // strict makes reads fail when the cache is full
  cache_options.high_pri_pool_ratio = 0.5;
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(cache_options);

  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kNoCompression;  // keys and values are hashes: nothing to gain
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(block_options(cache)));
  options.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(kMemtableBytes, cache);
  options.write_buffer_size = 8 * kMiB;
  options.max_write_buffer_number = 3;
  options.level_compaction_dynamic_level_bytes = true;
  options.max_background_jobs = 2;
  options.max_open_files = 256;
  options.max_total_wal_size = 64 * kMiB;
  options.bytes_per_sync = kMiB;  // spreads writeback of compactions, so that synced writes need not wait for it
  // After a power loss the unsynced end of the log may hold pages out of order: stop at the first bad record (I2). What
  // was synced and is missing is noticed by the sizes that the manifest tracks.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.track_and_verify_wals_in_manifest = true;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.max_log_file_size = kMiB;
  options.keep_log_file_num = 2;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

class RocksdbTable final : public Table {
 public:
  explicit RocksdbTable(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}

  Result<std::optional<Bytes>> get(ByteView key) const override {
    rocksdb::PinnableSlice value;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) return std::optional<Bytes>();
    if (!status.ok()) return to_error(status);
    return std::optional<Bytes>(to_bytes(view(value)));
  }

  Status write(const Batch& batch, Durability durability) override {
    TRY(batch.check_limits());
    if (batch.empty()) return durability == Durability::Synced ? to_status(db_->SyncWAL()) : Status();
    rocksdb::WriteBatch native(batch.bytes() + 16 * batch.size() + 16);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const Batch::Operation operation = batch.operation(i);
      switch (operation.kind) {
        case Batch::Kind::Put:
          TRY(to_status(native.Put(slice(operation.key), slice(operation.value))));
          break;
        case Batch::Kind::Erase:
          TRY(to_status(native.Delete(slice(operation.key))));
          break;
      }
    }
    rocksdb::WriteOptions options;
    options.sync = durability == Durability::Synced;
    return to_status(db_->Write(options, &native));
  }

  Status scan(const KeyRange& range, const Visitor& visitor) const override {
    rocksdb::ReadOptions options;
    options.fill_cache = false;  // a scan must not push out what gets need
    rocksdb::Slice end;
    if (range.end) {
      end = slice(*range.end);
      options.iterate_upper_bound = &end;
    }
    const std::unique_ptr<rocksdb::Iterator> iterator(db_->NewIterator(options));
    for (iterator->Seek(slice(range.from)); iterator->Valid(); iterator->Next()) {
      if (TRY(visitor(view(iterator->key()), view(iterator->value()))) == Visit::Stop) return {};
    }
    return to_status(iterator->status());
  }

  std::uint64_t approximate_count() const override {
    std::uint64_t count = 0;
    return db_->GetIntProperty(rocksdb::DB::Properties::kEstimateNumKeys, &count) ? count : 0;
  }

 private:
  const std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace

Result<std::unique_ptr<Table>> open_rocksdb(const std::string& directory) {
  const auto noun = [&] { return "table " + printable(directory); };
  try {
    const rocksdb::Status exists = rocksdb::Env::Default()->FileExists(directory);
    if (exists.IsNotFound()) return Error(Code::NotFound, "no such directory").in(noun());
    if (!exists.ok()) return to_error(exists).in(noun());
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options_for_small_keys(), directory, &db);
    if (!status.ok()) return to_error(status).in(noun());
    return std::unique_ptr<Table>(std::make_unique<RocksdbTable>(std::unique_ptr<rocksdb::DB>(db)));
  } catch (const std::exception& exception) {  // RocksDB throws where the library beneath it does
    return Error(Code::Unavailable, printable(exception.what())).in(noun());
  }
}

}  // namespace exclave::table
