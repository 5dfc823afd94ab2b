#include "store/directory_store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/mutex.h"

namespace exclave::store {
namespace {

constexpr std::uint32_t kObjectMode = 0400;
constexpr std::string_view kAsideName = "damaged";
constexpr unsigned kMostAside = 1000;  // copies of one object: a disk that spoils one more often is to be replaced
constexpr std::size_t kCopyBytes = 1U << 20;

std::string fan_out_name(Byte first) {
  return to_hex(ByteView(&first, 1));
}

// Bytes that uploads in progress were promised and have not written yet: free_bytes() does not know of them.
class Promises {
 public:
  void add(std::uint64_t bytes) {
    const MutexLock lock(mutex_);
    bytes_ += bytes;
  }
  void release(std::uint64_t bytes) {
    const MutexLock lock(mutex_);
    CHECK(bytes <= bytes_);
    bytes_ -= bytes;
  }
  std::uint64_t sum() {
    const MutexLock lock(mutex_);
    return bytes_;
  }

 private:
  Mutex mutex_;
  std::uint64_t bytes_ GUARDED_BY(mutex_) = 0;
};

class DirectoryUpload final : public ObjectUpload {
 public:
  // `files` and `promises` outlive the upload; `expected_bytes` has been added to the promises.
  DirectoryUpload(env::FileSystem& files, Promises& promises, std::string directory, std::string aside,
                  const format::ObjectName& name, std::uint64_t expected_bytes)
      : files_(files),
        promises_(promises),
        directory_(std::move(directory)),
        aside_(std::move(aside)),
        name_(name),
        missing_(expected_bytes) {}
  DirectoryUpload(const DirectoryUpload&) = delete;
  DirectoryUpload& operator=(const DirectoryUpload&) = delete;
  ~DirectoryUpload() override { promises_.release(missing_); }

  Status open() {
    draft_ = TRY(files_.draft(directory_, kObjectMode).in([&] { return noun_of(name_); }));
    return {};
  }

  Status append(ByteView data) override {
    if (data.size() > missing_) {
      return Error(Code::InvalidInput, noun_of(name_) + ": more bytes than were announced");
    }
    TRY(draft_->file().append(data).in([&] { return noun_of(name_); }));
    missing_ -= data.size();
    promises_.release(data.size());
    return {};
  }

  Result<PutOutcome> publish(IfPresent if_present) override {
    if (missing_ != 0) {
      return Error(Code::InvalidInput, noun_of(name_) + ": " + std::to_string(missing_) + " bytes are missing");
    }
    if (if_present == IfPresent::SetAside) {
      TRY(replace().in([&] { return noun_of(name_); }));
      return PutOutcome::Stored;
    }
    const Status published = draft_->publish_new(name_.hex());
    if (published.ok()) return PutOutcome::Stored;
    if (published.error().code() != Code::AlreadyExists) return Error(published.error()).in(noun_of(name_));
    // Whoever published it may not have synced the directory yet, or may have failed to: the name must last all the
    // same.
    TRY(files_.sync_directory(directory_).in([&] { return noun_of(name_); }));
    return PutOutcome::AlreadyPresent;
  }

 private:
  // Cut off anywhere, it leaves the old file under the name, or the new one.
  Status replace() {
    TRY(draft_->file().sync());  // first: a disk that cannot sync shall not collect copies of what it has
    TRY(keep_aside());
    return draft_->publish_replacing(name_.hex());
  }

  // A second name for the file that has the object's, where no reader looks. Without one there is nothing to keep.
  Status keep_aside() {
    TRY(files_.make_directories(aside_, env::kPrivateDirectory));
    const auto source = TRY(files_.open_directory(directory_));
    const auto target = TRY(files_.open_directory(aside_));
    for (unsigned copy = 1;; ++copy) {
      Status linked = target->create_link(name_.hex() + "-" + std::to_string(copy), *source, name_.hex());
      if (linked.ok()) return files_.sync_directory(aside_);
      if (linked.error().code() == Code::NotFound) return {};
      if (linked.error().code() != Code::AlreadyExists || copy == kMostAside) return linked;
    }
  }

  env::FileSystem& files_;
  Promises& promises_;
  const std::string directory_;
  const std::string aside_;
  const format::ObjectName name_;
  std::uint64_t missing_;
  std::unique_ptr<env::FileSystem::Draft> draft_;
};

class DirectoryStore final : public ObjectStore {
 public:
  DirectoryStore(env::FileSystem& files, std::string path, const DirectoryStoreOptions& options)
      : files_(files), path_(std::move(path)), options_(options) {}

  Status clean_up() {
    for (unsigned first = 0; first < 256; ++first) {
      TRY(files_.remove_temporaries(env::join_path(path_, fan_out_name(static_cast<Byte>(first)))));
    }
    return {};
  }

  Result<std::uint64_t> size_of(const format::ObjectName& name) override {
    return TRY(files_.stat(file_of(name)).in([&] { return noun_of(name); })).size;
  }

  Status read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) override {
    auto file = TRY(files_.open_file(file_of(name)).in([&] { return noun_of(name); }));
    const std::size_t got = TRY(file->read_at(offset, out).in([&] { return noun_of(name); }));
    if (got != out.size())
      return Error(Code::InvalidInput, noun_of(name) + " ends before the range that was asked for");
    return {};
  }

  Result<std::unique_ptr<ObjectUpload>> begin_upload(const format::ObjectName& name,
                                                     std::uint64_t expected_bytes) override {
    // Promised before looking, so that of two uploads racing for the last room at least one sees the other.
    promises_.add(expected_bytes);
    auto upload =
        std::make_unique<DirectoryUpload>(files_, promises_, directory_of(name), aside(), name, expected_bytes);
    const std::uint64_t wanted = TRY(checked_add(promises_.sum(), options_.reserve_bytes));
    const std::uint64_t free = TRY(files_.free_bytes(path_));
    if (free < wanted) {
      return Error(Code::Exhausted, noun_of(name) + ": no room in " + path_ + ": " + std::to_string(free) +
                                        " bytes are free, " + std::to_string(wanted) + " are needed")
          .hint("give the store's file system more space");
    }
    TRY(upload->open());
    return std::unique_ptr<ObjectUpload>(std::move(upload));
  }

  Result<PutOutcome> adopt(const format::ObjectName& name, const std::string& directory, const std::string& file,
                           IfPresent if_present) override {
    if (if_present == IfPresent::SetAside) return copy(name, env::join_path(directory, file));
    const auto source = TRY(files_.open_directory(directory));
    const auto target = TRY(files_.open_directory(directory_of(name)));
    TRY(source->set_attributes(file, {.mode = kObjectMode, .owner = {}, .modified = {}, .xattrs = {}}).in([&] {
      return noun_of(name);
    }));
    const Status linked = target->create_link(name.hex(), *source, file);
    if (!linked.ok() && linked.error().code() != Code::AlreadyExists) return Error(linked.error()).in(noun_of(name));
    // As in publish: whoever gave it the name may not have made that last.
    TRY(files_.sync_directory(directory_of(name)).in([&] { return noun_of(name); }));
    return linked.ok() ? PutOutcome::Stored : PutOutcome::AlreadyPresent;
  }

  Status list(const std::function<Status(const format::ObjectName&)>& visit) override {
    for (unsigned first = 0; first < 256; ++first) {
      const std::string directory = env::join_path(path_, fan_out_name(static_cast<Byte>(first)));
      for (const std::string& entry : TRY(files_.list(directory))) {
        // Drafts in progress and an operator's stray files are no objects.
        const auto name = format::ObjectName::from_hex(entry);
        if (name.ok() && name.value().view()[0] == first) TRY(visit(name.value()));
      }
    }
    return {};
  }

 private:
  // A name changes hands at once only by a rename, which would take the file's other name.
  Result<PutOutcome> copy(const format::ObjectName& name, const std::string& path) {
    const auto file = TRY(files_.open_file(path).in([&] { return noun_of(name); }));
    const std::uint64_t size = TRY(file->info()).size;
    const auto upload = TRY(begin_upload(name, size));
    Bytes piece;
    for (std::uint64_t at = 0; at < size; at += piece.size()) {
      piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kCopyBytes, size - at)));
      if (TRY(file->read_at(at, piece).in([&] { return noun_of(name); })) != piece.size()) {
        return Error(Code::Corrupt, noun_of(name) + ": " + path + " is cut short");
      }
      TRY(upload->append(piece));
    }
    return upload->publish(IfPresent::SetAside);
  }

  std::string aside() const { return env::join_path(path_, kAsideName); }
  std::string directory_of(const format::ObjectName& name) const {
    return env::join_path(path_, fan_out_name(name.view()[0]));
  }
  std::string file_of(const format::ObjectName& name) const { return env::join_path(directory_of(name), name.hex()); }

  env::FileSystem& files_;
  const std::string path_;
  const DirectoryStoreOptions options_;
  Promises promises_;
};

}  // namespace

Status create_directory_store(env::FileSystem& files, const std::string& path) {
  TRY(files.make_directories(path, env::kPrivateDirectory));
  const std::vector<std::string> present = TRY(files.list(path));
  const auto directory = TRY(files.open_directory(path));
  for (unsigned first = 0; first < 256; ++first) {
    const std::string name = fan_out_name(static_cast<Byte>(first));
    if (std::binary_search(present.begin(), present.end(), name)) continue;
    TRY(directory->create_directory(name, env::kPrivateDirectory));
  }
  return files.sync_directory(path);  // once for all of them: 256 syncs take seconds on a busy disk
}

Result<std::unique_ptr<ObjectStore>> open_directory_store(env::FileSystem& files, const std::string& path,
                                                          const DirectoryStoreOptions& options) {
  auto store = std::make_unique<DirectoryStore>(files, path, options);
  TRY(store->clean_up().in([&] { return "object store " + path; }));
  return std::unique_ptr<ObjectStore>(std::move(store));
}

}  // namespace exclave::store
