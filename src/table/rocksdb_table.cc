#include "table/rocksdb_table.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/mutex.h"
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

// RocksDB's LOG file is left out. What matters comes back as a status; and once a line could not be written to it, the
// next one ends the process by an assertion: a full disk would kill every vault that only wanted to say so.
class NoDiary final : public rocksdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

rocksdb::Options options_for_small_keys() {
  rocksdb::LRUCacheOptions cache_options;
  cache_options.capacity = kCacheBytes;
  cache_options.strict_capacity_limit = false;  // strict makes reads fail when the cache is full
  cache_options.high_pri_pool_ratio = 0.5;
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(cache_options);

  rocksdb::Options options;
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
  options.info_log = std::make_shared<NoDiary>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

using Database = std::shared_ptr<rocksdb::DB>;  // owned by the table and by the calls in progress

// Create: there is no table yet. The other two are of one that is there.
enum class Opening { Create, ToWrite, ToRead };
constexpr int kMostLooks = 5;  // files vanish while another process compacts them

// What RocksDB makes before CURRENT, and leaves behind when it dies in between; there is no row in it.
bool is_of_a_creation(std::string_view name) {
  return name == "." || name == ".." || name == "LOCK" || name == "IDENTITY" || name == "MANIFEST-000001" ||
         name.starts_with("LOG") || name.starts_with("OPTIONS-") || name.ends_with(".dbtmp");
}

Error lost_files() {
  return {Code::Corrupt, "its file CURRENT is gone; the table is left as it is"};
}

// RocksDB would put a new database in the place of one whose CURRENT is gone, and delete the files of the old one.
Result<bool> has_current_file(const std::string& directory) {
  const rocksdb::Status current = rocksdb::Env::Default()->FileExists(directory + "/CURRENT");
  if (current.ok()) return true;
  if (current.IsNotFound()) return false;
  return to_error(current);
}

Result<Opening> opening_of(const std::string& directory) {
  if (TRY(has_current_file(directory))) return Opening::ToWrite;
  std::vector<std::string> names;
  TRY(to_status(rocksdb::Env::Default()->GetChildren(directory, &names)));
  if (std::all_of(names.begin(), names.end(), is_of_a_creation)) return Opening::Create;
  return lost_files();
}

Result<Database> open_database(const std::string& directory, Opening opening) {
  if (opening != Opening::Create && !TRY(has_current_file(directory))) return lost_files();
  try {
    rocksdb::DB* db = nullptr;
    rocksdb::Options options = options_for_small_keys();
    options.create_if_missing = opening == Opening::Create;
    if (opening == Opening::ToRead) options.max_open_files = -1;  // all at once: another process may remove them
    const rocksdb::Status status = opening == Opening::ToRead ? rocksdb::DB::OpenForReadOnly(options, directory, &db)
                                                              : rocksdb::DB::Open(options, directory, &db);
    if (!status.ok()) return to_error(status);
    return Database(db);
  } catch (const std::exception& exception) {  // RocksDB throws where the library beneath it does
    return Error(Code::Unavailable, printable(exception.what()));
  }
}

// Made by chance when the database was created: another one in its place has another.
Result<std::string> identity_of(rocksdb::DB& db) {
  std::string identity;
  TRY(to_status(db.GetDbIdentity(identity)));
  return identity;
}

class RocksdbTable final : public Table {
 public:
  // `identity`: of `db`, which was opened ToRead or otherwise.
  RocksdbTable(std::string directory, Database db, std::string identity, Opening opening)
      : directory_(std::move(directory)),
        identity_(std::move(identity)),
        is_to_look_at_(opening == Opening::ToRead),
        db_(std::move(db)) {}

  // RocksDB itself leaves the memtable to the log when it is closed.
  ~RocksdbTable() override {
    if (!failure_.has_value() && !is_to_look_at_) ignore(flush(), "the log has it, and replays it");
  }
  RocksdbTable(const RocksdbTable&) = delete;
  RocksdbTable& operator=(const RocksdbTable&) = delete;

  Result<std::optional<Bytes>> get(ByteView key) const override {
    const Database db = TRY(database());
    rocksdb::PinnableSlice value;
    const rocksdb::Status status = db->Get(rocksdb::ReadOptions(), db->DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) return std::optional<Bytes>();
    if (!status.ok()) return to_error(status);
    return std::optional<Bytes>(to_bytes(view(value)));
  }

  Status write(const Batch& batch, Durability durability) override {
    TRY(batch.check_limits());
    const Mended mended = TRY(mend());
    const Database db = TRY(database());  // held: it is not opened anew before this write is done
    // The batch may have been made of what was read before: the failed one may be there now.
    if (batch.generation().has_value() ? *batch.generation() != generation() : mended == Mended::Now)
      return Error(Code::Unavailable, "the table was opened anew after a failed write");
    const rocksdb::Status status = write_to(*db, batch, durability);
    if (status.ok()) return {};
    Error failure = to_error(status);
    const MutexLock lock(mutex_);
    failure_ = failure;
    return failure;
  }

  std::uint64_t generation() const override {
    const MutexLock lock(mutex_);
    return generation_;
  }

  Status settled() const override {
    const MutexLock lock(mutex_);
    if (failure_.has_value()) return *failure_;
    return {};
  }

  Status flush() override {
    TRY(mend());
    const Database db = TRY(database());
    const rocksdb::Status flushed = db->Flush(rocksdb::FlushOptions());
    if (flushed.ok()) return {};
    const MutexLock lock(mutex_);
    failure_ = to_error(flushed);
    return *failure_;
  }

  Status scan(const KeyRange& range, const Visitor& visitor) const override {
    const Database db = TRY(database());
    rocksdb::ReadOptions options;
    options.fill_cache = false;  // a scan must not push out what gets need
    rocksdb::Slice end;
    if (range.end) {
      end = slice(*range.end);
      options.iterate_upper_bound = &end;
    }
    const std::unique_ptr<rocksdb::Iterator> iterator(db->NewIterator(options));
    for (iterator->Seek(slice(range.from)); iterator->Valid(); iterator->Next()) {
      if (TRY(visitor(view(iterator->key()), view(iterator->value()))) == Visit::Stop) return {};
    }
    return to_status(iterator->status());
  }

 private:
  static rocksdb::Status write_to(rocksdb::DB& db, const Batch& batch, Durability durability) {
    if (batch.empty()) return durability == Durability::Synced ? db.SyncWAL() : rocksdb::Status();
    rocksdb::WriteBatch native(batch.bytes() + 16 * batch.size() + 16);
    rocksdb::Status added;
    for (std::size_t i = 0; i < batch.size() && added.ok(); ++i) {
      const Batch::Operation operation = batch.operation(i);
      switch (operation.kind) {
        case Batch::Kind::Put:
          added = native.Put(slice(operation.key), slice(operation.value));
          break;
        case Batch::Kind::Erase:
          added = native.Delete(slice(operation.key));
          break;
      }
    }
    if (!added.ok()) return added;
    rocksdb::WriteOptions options;
    options.sync = durability == Durability::Synced;
    return db.Write(options, &native);
  }

  Result<Database> database() const {
    const MutexLock lock(mutex_);
    if (db_ == nullptr) return failure_.value();
    return db_;
  }

  // After a failed write: closes and opens, or fails with the reason why there can be no writing yet.
  enum class Mended { NotNeeded, Now };
  Result<Mended> mend() {
    const MutexLock lock(mutex_);
    if (!failure_.has_value()) return Mended::NotNeeded;
    // Calls in progress end soon; RocksDB cannot be closed under them.
    if (db_.use_count() > 1) return *failure_;
    db_.reset();
    auto opened = reopen(Opening::ToWrite);
    if (opened.ok()) {
      db_ = opened.take();
      failure_.reset();
      ++generation_;
      return Mended::Now;
    }
    failure_ = opened.take_error();
    auto readable = reopen(Opening::ToRead);
    if (readable.ok()) db_ = readable.take();
    return *failure_;
  }

  // The same database, or Corrupt: another file system may lie where it was.
  Result<Database> reopen(Opening opening) const {
    const auto noun = [&] { return "table " + printable(directory_); };
    Database db = TRY(open_database(directory_, opening).in(noun));
    if (TRY(identity_of(*db).in(noun)) != identity_)
      return Error(Code::Corrupt, "another table lies where it was").in(noun());
    return db;
  }

  const std::string directory_;
  const std::string identity_;
  const bool is_to_look_at_;  // then it is const
  mutable Mutex mutex_;
  Database db_ GUARDED_BY(mutex_);                   // null only together with a failure
  std::optional<Error> failure_ GUARDED_BY(mutex_);  // of the last write
  std::uint64_t generation_ GUARDED_BY(mutex_) = 0;
};

}  // namespace

Result<std::unique_ptr<Table>> open_rocksdb(const std::string& directory) {
  const auto noun = [&] { return "table " + printable(directory); };
  const rocksdb::Status exists = rocksdb::Env::Default()->FileExists(directory);
  if (exists.IsNotFound()) return Error(Code::NotFound, "no such directory").in(noun());
  if (!exists.ok()) return to_error(exists).in(noun());
  const Opening opening = TRY(opening_of(directory).in(noun));
  Database db = TRY(open_database(directory, opening).in(noun));
  std::string identity = TRY(identity_of(*db).in(noun));
  return std::unique_ptr<Table>(std::make_unique<RocksdbTable>(directory, std::move(db), std::move(identity), opening));
}

Result<std::unique_ptr<const Table>> open_rocksdb_to_look(const std::string& directory) {
  const auto noun = [&] { return "table " + printable(directory); };
  if (!TRY(has_current_file(directory).in(noun))) return Error(Code::NotFound, "there is no table").in(noun());
  auto opened = open_database(directory, Opening::ToRead);
  for (int look = 1; look < kMostLooks && !opened.ok(); ++look) opened = open_database(directory, Opening::ToRead);
  Database db = TRY(std::move(opened).in(noun));
  std::string identity = TRY(identity_of(*db).in(noun));
  return std::unique_ptr<const Table>(
      std::make_unique<RocksdbTable>(directory, std::move(db), std::move(identity), Opening::ToRead));
}

}  // namespace exclave::table
