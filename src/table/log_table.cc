#include "table/log_table.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/mutex.h"
#include "base/text.h"
#include "env/exists.h"
#include "table/detail/log_records.h"

namespace exclave::table {
namespace {

constexpr std::string_view kLogName = "table.log";
constexpr std::string_view kCreatedName = "CREATED";
constexpr std::string_view kLockName = "LOCK";
constexpr std::uint64_t kMaxLogBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kRewriteAboveBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kRewriteAboveBases = 4;
constexpr std::size_t kRewriteBatchBytes = std::size_t{1} << 20;

struct BytewiseLess {
  using is_transparent = void;
  bool operator()(ByteView a, ByteView b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  }
};
using Map = std::map<Bytes, Bytes, BytewiseLess>;

void apply(const Batch& batch, Map& map) {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Batch::Operation operation = batch.operation(i);
    switch (operation.kind) {
      case Batch::Kind::Put:
        map.insert_or_assign(to_bytes(operation.key), to_bytes(operation.value));
        break;
      case Batch::Kind::Erase:
        if (const auto found = map.find(operation.key); found != map.end()) map.erase(found);
        break;
    }
  }
}

Error log_is_full() {
  return {Code::Exhausted, "table log has reached 1 GiB"};
}

class LogTable final : public Table {
 public:
  LogTable(env::FileSystem& files, env::Threads& threads, std::string directory,
           std::unique_ptr<env::FileSystem::Lock> lock, Map map)
      : files_(files),
        directory_(std::move(directory)),
        lock_(std::move(lock)),
        turn_(threads.make_monitor()),
        map_(std::move(map)) {}

  // To be called once before the table is used.
  Status start() { return rewrite(); }

  Result<std::optional<Bytes>> get(ByteView key) const override;
  Status write(const Batch& batch, Durability durability) override;
  // The map has nothing of a batch whose write failed, and is what the log becomes.
  std::uint64_t generation() const override { return 0; }
  Status settled() const override { return {}; }
  Status flush() override;
  Status scan(const KeyRange& range, const Visitor& visitor) const override;

 private:
  // Owns the log's file and the fields of the file while it lives.
  class Turn {
   public:
    explicit Turn(LogTable& table) : table_(table) {
      const env::MonitorLock lock(*table_.turn_);
      while (table_.turn_taken_) table_.turn_->wait();
      table_.turn_taken_ = true;
    }
    ~Turn() {
      const env::MonitorLock lock(*table_.turn_);
      table_.turn_taken_ = false;
      table_.turn_->notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    LogTable& table_;
  };

  bool must_rewrite() const {
    return log_ == nullptr || (log_bytes_ > kRewriteAboveBytes && log_bytes_ > kRewriteAboveBases * base_bytes_);
  }
  // Reads map_ without the mutex: only the turn's taker, who is the caller, changes it.
  Status rewrite() EXCLAVE_ANNOTATION(no_thread_safety_analysis);
  Status append_to_log(const Batch& batch, Durability durability);

  env::FileSystem& files_;
  const std::string directory_;
  const std::unique_ptr<env::FileSystem::Lock> lock_;

  const std::unique_ptr<env::Monitor> turn_;
  bool turn_taken_ = false;                 // guarded by turn_; its taker alone uses the next four
  std::unique_ptr<env::WritableFile> log_;  // null = broken
  std::uint64_t log_bytes_ = 0;
  std::uint64_t durable_bytes_ = 0;
  std::uint64_t base_bytes_ = 0;

  mutable Mutex mutex_;
  Map map_ GUARDED_BY(mutex_);  // changed by the turn's taker only
};

Result<std::optional<Bytes>> LogTable::get(ByteView key) const {
  const MutexLock lock(mutex_);
  const auto found = map_.find(key);
  if (found == map_.end()) return std::optional<Bytes>();
  return std::optional<Bytes>(found->second);
}

Status LogTable::scan(const KeyRange& range, const Visitor& visitor) const {
  std::vector<std::pair<Bytes, Bytes>> snapshot;
  {
    const MutexLock lock(mutex_);
    for (auto at = map_.lower_bound(range.from); at != map_.end(); ++at) {
      if (range.end && !BytewiseLess()(at->first, *range.end)) break;
      snapshot.emplace_back(*at);
    }
  }
  for (const auto& [key, value] : snapshot) {
    if (TRY(visitor(key, value)) == Visit::Stop) return {};
  }
  return {};
}

Status LogTable::write(const Batch& batch, Durability durability) {
  TRY(batch.check_limits());
  const Turn turn(*this);
  if (must_rewrite()) TRY(rewrite());
  Status appended = append_to_log(batch, durability);
  if (!appended.ok()) {
    log_.reset();
    return appended;
  }
  const MutexLock lock(mutex_);
  apply(batch, map_);
  return {};
}

// The base of a log is vouched for by its header; behind it only later records vouch.
Status LogTable::flush() {
  const Turn turn(*this);
  return rewrite();
}

Status LogTable::append_to_log(const Batch& batch, Durability durability) {
  if (!batch.empty()) {
    Bytes record;
    detail::append_record(record, batch, log_bytes_, durable_bytes_);
    if (record.size() > kMaxLogBytes - log_bytes_) return log_is_full();
    TRY(log_->append(record));
    log_bytes_ += record.size();
  }
  if (durability == Durability::Buffered) return {};
  TRY(log_->sync());
  durable_bytes_ = log_bytes_;
  return {};
}

// Writes the map as a new log and puts it in place of the old one.
Status LogTable::rewrite() {
  log_.reset();
  auto draft = TRY(files_.draft(directory_, env::kPrivateFile));
  std::uint64_t position = detail::kLogHeaderBytes;
  TRY(draft->file().append(Bytes(detail::kLogHeaderBytes)));
  Batch batch;
  const auto flush = [&]() -> Status {
    Bytes record;
    detail::append_record(record, batch, position, 0);
    position += record.size();
    batch.clear();
    return draft->file().append(record);
  };
  for (const auto& [key, value] : map_) {
    batch.put(key, value);
    if (batch.bytes() >= kRewriteBatchBytes) TRY(flush());
  }
  if (!batch.empty()) TRY(flush());
  if (position > kMaxLogBytes) return log_is_full();
  TRY(draft->file().write_at(0, detail::encode_log_header(position)));
  TRY(draft->publish_replacing(kLogName));
  log_ = TRY(files_.open_log(env::join_path(directory_, kLogName)));
  log_bytes_ = durable_bytes_ = base_bytes_ = position;
  return {};
}

Result<Map> read_map(env::FileSystem& files, const std::string& directory) {
  Map map;
  const Result<Bytes> log = files.read_file(env::join_path(directory, kLogName), kMaxLogBytes);
  if (!log.ok() && log.error().code() == Code::NotFound) {
    if (!TRY(env::exists(files, env::join_path(directory, kCreatedName)))) return map;  // a new table
    return Error(Code::Corrupt, "its log is gone; the table is left as it is");
  }
  if (!log.ok()) return log.error();
  const detail::LogContent content = TRY(detail::read_log(log.value()));
  for (const Batch& batch : content.batches) apply(batch, map);
  return map;
}

Result<std::unique_ptr<Table>> open_it(env::FileSystem& files, env::Threads& threads, const std::string& directory) {
  TRY(files.list(directory));  // NotFound, rather than making it
  auto lock = TRY(files.lock(env::join_path(directory, kLockName)));
  TRY(files.remove_temporaries(directory));
  Map map = TRY(read_map(files, directory));
  auto table = std::make_unique<LogTable>(files, threads, directory, std::move(lock), std::move(map));
  TRY(table->start());
  const std::string created = env::join_path(directory, kCreatedName);
  if (!TRY(env::exists(files, created))) TRY(env::create_same_durably(files, created, {}, env::kPrivateFile));
  return std::unique_ptr<Table>(std::move(table));
}

}  // namespace

Result<std::unique_ptr<Table>> open_log_table(env::FileSystem& files, env::Threads& threads,
                                              const std::string& directory) {
  return open_it(files, threads, directory).in([&] { return "table " + printable(directory); });
}

}  // namespace exclave::table
