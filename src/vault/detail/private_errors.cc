#include "vault/detail/private_errors.h"

#include <string>

namespace exclave::vault::detail {
namespace {

constexpr std::string_view kTable = "the vault's table";

std::string_view what_happened(Code code) {
  switch (code) {
    case Code::Exhausted:
      return "the vault's disk is full, or its machine has reached another limit";
    case Code::Corrupt:
      return "the vault's disk gives back other bytes than were written, or none";
    case Code::InvalidInput:
    case Code::NotFound:
    case Code::AlreadyExists:
    case Code::Denied:
    case Code::Conflict:
    case Code::Precondition:
    case Code::Unavailable:
    case Code::OutcomeUnknown:
    case Code::Unsupported:
    case Code::Cancelled:
    case Code::Bug:
      break;
  }
  return "the vault's disk failed";
}

class PrivateTable final : public table::Table {
 public:
  PrivateTable(std::unique_ptr<table::Table> table, env::Log& log) : table_(std::move(table)), log_(log) {}

  Result<std::optional<Bytes>> get(ByteView key) const override {
    auto value = table_->get(key);
    if (!value.ok()) return private_error(log_, kTable, value.error());
    return value;
  }
  Status write(const table::Batch& batch, table::Durability durability) override {
    const Status written = table_->write(batch, durability);
    if (!written.ok()) return private_error(log_, kTable, written.error());
    return {};
  }
  std::uint64_t generation() const override { return table_->generation(); }
  Status settled() const override {
    const Status settled = table_->settled();
    if (!settled.ok()) return private_error(log_, kTable, settled.error());
    return {};
  }
  Status flush() override {
    const Status flushed = table_->flush();
    if (!flushed.ok()) return private_error(log_, kTable, flushed.error());
    return {};
  }
  Status scan(const table::KeyRange& range, const Visitor& visitor) const override {
    bool is_visitors = false;
    Status scanned = table_->scan(range, [&](ByteView key, ByteView value) {
      auto visit = visitor(key, value);
      is_visitors = !visit.ok();
      return visit;
    });
    if (scanned.ok() || is_visitors) return scanned;
    return private_error(log_, kTable, scanned.error());
  }

 private:
  const std::unique_ptr<table::Table> table_;
  env::Log& log_;
};

bool is_answer(const Error& error) {
  return error.code() == Code::NotFound || error.code() == Code::AlreadyExists || error.code() == Code::InvalidInput;
}

class PrivateUpload final : public store::ObjectUpload {
 public:
  PrivateUpload(std::unique_ptr<store::ObjectUpload> upload, env::Log& log, const format::ObjectName& name)
      : upload_(std::move(upload)), log_(log), name_(name) {}

  Status append(ByteView data) override {
    Status appended = upload_->append(data);
    if (appended.ok() || is_answer(appended.error())) return appended;
    return private_error(log_, store::noun_of(name_), appended.error());
  }
  Result<store::PutOutcome> publish(store::IfPresent if_present) override {
    auto published = upload_->publish(if_present);
    if (published.ok() || is_answer(published.error())) return published;
    return private_error(log_, store::noun_of(name_), published.error());
  }

 private:
  const std::unique_ptr<store::ObjectUpload> upload_;
  env::Log& log_;
  const format::ObjectName name_;
};

class PrivateStore final : public store::ObjectStore {
 public:
  PrivateStore(std::unique_ptr<store::ObjectStore> store, env::Log& log) : store_(std::move(store)), log_(log) {}

  Result<std::uint64_t> size_of(const format::ObjectName& name) override {
    auto size = store_->size_of(name);
    if (size.ok() || is_answer(size.error())) return size;
    return private_error(log_, store::noun_of(name), size.error());
  }
  Status read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) override {
    Status got = store_->read(name, offset, out);
    if (got.ok() || is_answer(got.error())) return got;
    return private_error(log_, store::noun_of(name), got.error());
  }
  Result<std::unique_ptr<store::ObjectUpload>> begin_upload(const format::ObjectName& name,
                                                            std::uint64_t expected_bytes) override {
    auto upload = store_->begin_upload(name, expected_bytes);
    if (!upload.ok()) return private_error(log_, store::noun_of(name), upload.error());
    return std::unique_ptr<store::ObjectUpload>(std::make_unique<PrivateUpload>(upload.take(), log_, name));
  }
  Result<store::PutOutcome> adopt(const format::ObjectName& name, const std::string& directory, const std::string& file,
                                  store::IfPresent if_present) override {
    auto adopted = store_->adopt(name, directory, file, if_present);
    if (adopted.ok() || is_answer(adopted.error()) || adopted.error().code() == Code::Unsupported) return adopted;
    return private_error(log_, store::noun_of(name), adopted.error());
  }
  Status list(const std::function<Status(const format::ObjectName&)>& visit) override { return store_->list(visit); }

 private:
  const std::unique_ptr<store::ObjectStore> store_;
  env::Log& log_;
};

}  // namespace

Error private_error(env::Log& log, std::string_view noun, const Error& error) {
  const std::string object(noun);
  log.write(env::LogLevel::Error, object + ": " + error.message());
  return Error(error.code() == Code::Denied ? Code::Unavailable : error.code(),
               object + ": " + std::string(what_happened(error.code())));
}

std::unique_ptr<table::Table> with_private_errors(std::unique_ptr<table::Table> table, env::Log& log) {
  return std::make_unique<PrivateTable>(std::move(table), log);
}

std::unique_ptr<store::ObjectStore> with_private_errors(std::unique_ptr<store::ObjectStore> store, env::Log& log) {
  return std::make_unique<PrivateStore>(std::move(store), log);
}

}  // namespace exclave::vault::detail
