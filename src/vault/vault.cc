#include "vault/vault.h"

#include <algorithm>

#include "vault/detail/access.h"
#include "vault/detail/private_errors.h"

namespace exclave::vault {
namespace {

// Terms are certified by mandates, which come with ledgers; until then every vault is in the first one.
constexpr format::Term kFirstTerm{1};

std::string acts_in(const std::string& directory) {
  return env::join_path(directory, "acts");
}
std::string objects_in(const std::string& directory) {
  return env::join_path(directory, "objects");
}
std::string table_in(const std::string& directory) {
  return env::join_path(directory, "table");
}
std::string lock_in(const std::string& directory) {
  return env::join_path(directory, "lock");
}

Result<std::unique_ptr<store::ObjectStore>> open_objects(const World& world, const std::string& directory,
                                                         const store::DirectoryStoreOptions& options) {
  return TRY(store::open_directory_store(world.files, objects_in(directory), options));
}

Result<bool> holds_objects(store::ObjectStore& objects) {
  bool is_one_there = false;
  const Status listed = objects.list([&](const format::ObjectName&) -> Status {
    is_one_there = true;
    return Error(Code::Cancelled, "one is enough");
  });
  if (!listed.ok() && !is_one_there) return listed.error();
  return is_one_there;
}

// A vault whose table is gone must not go on as an empty one: it would promise anew what it had promised and forgotten.
Error lost_table() {
  return Error(Code::Corrupt, "there are objects, but the table that knows of them is gone")
      .hint("bring the table back from the machine's own backup, or replace the vault by a new one in the next policy");
}

// Before the table is opened, which would make one in an empty directory. NotFound if the directory itself is gone.
Result<std::unique_ptr<table::Table>> open_table_of(const World& world, const std::string& directory,
                                                    store::ObjectStore& objects, const OpenTable& open_table) {
  const std::vector<std::string> files = TRY(world.files.list(table_in(directory)));
  if (files.empty() && TRY(holds_objects(objects))) return lost_table();
  auto table = open_table(table_in(directory));
  if (!table.ok() && table.error().code() == Code::Corrupt) {
    return table.take_error().hint(lost_table().hint_text());
  }
  return table;
}

// Null if the vault's creation was not finished.
Result<std::unique_ptr<ActBook>> open_acts(const World& world, const std::string& directory,
                                           store::ObjectStore& objects, table::Table& table) {
  auto book = TRY(ActBook::open(world.files, world.threads, world.log, acts_in(directory), table));
  // Nothing is deposited before the creation is finished.
  if (book == nullptr && TRY(holds_objects(objects))) return lost_table();
  return book;
}

}  // namespace

Status create(const World& world, const std::string& directory, const std::vector<Bytes>& acts,
              const OpenTable& open_table) {
  const VerifiedActs verified = TRY(verify_acts(acts));
  TRY(world.files.make_directories(directory, env::kPrivateDirectory));
  const auto lock = TRY(world.files.lock(lock_in(directory)));
  TRY(world.files.make_directories(acts_in(directory), env::kPrivateDirectory));
  TRY(world.files.make_directories(table_in(directory), env::kPrivateDirectory));
  TRY(store::create_directory_store(world.files, objects_in(directory)));
  const auto objects = TRY(open_objects(world, directory, {}));
  const auto table = TRY(open_table_of(world, directory, *objects, open_table));
  const auto book = TRY(open_acts(world, directory, *objects, *table));
  if (book != nullptr) return Error(Code::AlreadyExists, "there is a vault in " + directory);
  return ActBook::create(world.files, acts_in(directory), *table, verified);
}

Vault::Vault(const World& world, std::string directory, crypto::Ed25519SigningKey receipt_key, Settings settings)
    : world_(world),
      directory_(std::move(directory)),
      receipt_key_(std::move(receipt_key)),
      settings_(std::move(settings)) {}

Vault::~Vault() = default;

Result<std::unique_ptr<Vault>> Vault::open(const World& world, const std::string& directory,
                                           crypto::Ed25519SigningKey receipt_key, const OpenTable& open_table,
                                           const Settings& settings) {
  std::unique_ptr<Vault> vault(new Vault(world, directory, std::move(receipt_key), settings));
  TRY(vault->open_parts(open_table).in([&] { return "vault in " + directory; }));
  return vault;
}

Status Vault::open_parts(const OpenTable& open_table) {
  TRY(world_.files.stat(table_in(directory_)));
  lock_ = TRY(world_.files.lock(lock_in(directory_)));
  objects_ = detail::with_private_errors(TRY(open_objects(world_, directory_, settings_.store)), world_.log);
  table_ = detail::with_private_errors(TRY(open_table_of(world_, directory_, *objects_, open_table)), world_.log);
  records_ = std::make_unique<Records>(*table_);
  damages_ = TRY(Damages::open(*records_));
  acts_ = TRY(open_acts(world_, directory_, *objects_, *table_));
  if (acts_ == nullptr) return Error(Code::NotFound, "its creation was not finished");
  segments_ = TRY(SegmentFiles::open(
      {world_.files, world_.log, world_.threads, *records_, *objects_, settings_.store.reserve_bytes},
      env::join_path(directory_, "journal")));
  deposits_ = std::make_unique<Deposits>(Deposits::Parts{world_.clock, world_.log, world_.threads, *acts_, *records_,
                                                         *objects_, *damages_, *segments_, receipt_key_.public_key()});
  journals_ = std::make_unique<Journals>(Journals::Parts{*acts_, *records_, *segments_, *deposits_});
  TRY(count_unlisted());
  readings_ = std::make_unique<Readings>(world_.clock, world_.threads, *records_, receipt_key_.public_key());
  // A vault that the newest policy has left out, or re-keyed, still serves what it holds, under its old name.
  for (const policy::SignedPolicy& policy : TRY(acts_->policies())) {
    const policy::VaultEntry* const self = policy.policy.vault_by_receipt(receipt_key_.public_key());
    if (self != nullptr) name_ = self->name;
  }
  if (name_.empty()) return Error(Code::Precondition, "its receipt key is in no policy version that it holds");
  return {};
}

Status Vault::count_unlisted() {
  std::uint64_t lying = 0;
  TRY(objects_->list([&](const format::ObjectName&) -> Status {
    ++lying;
    return {};
  }));
  const std::uint64_t listed = TRY(records_->object_count());
  unlisted_at_opening_ = lying - std::min(lying, listed);
  if (unlisted_objects() == 0) return {};
  world_.log.write(env::LogLevel::Error,
                   "the table knows " + std::to_string(listed) + " objects and " + std::to_string(lying) +
                       " lie there: it is older than what was promised on it; a repair brings back what it has lost");
  return {};
}

std::uint64_t Vault::unlisted_objects() const {
  const std::uint64_t adopted = deposits_->adopted_objects();
  const std::uint64_t left = unlisted_at_opening_ - std::min(unlisted_at_opening_, adopted);
  return left > kMostCutOff ? left : 0;
}

RepairReport Vault::repair(const std::vector<store::VaultApi*>& others, const RepairOptions& options,
                           std::stop_token stop) {
  const Repairer::Parts parts{world_.clock, world_.log, *acts_,     *records_,
                              *objects_,    *damages_,  *deposits_, receipt_key_};
  return Repairer(parts, others, options).run(stop);
}

Result<bool> Vault::is_scrub_due(std::chrono::seconds every) const {
  const auto last = TRY(records_->scrub());
  if (!last.has_value() || !last->is_finished) return true;
  const std::int64_t now = world_.clock.now().seconds();
  // A clock that was set back must not put scrubs off for years.
  return now < last->begun_at_seconds || now - last->begun_at_seconds >= every.count();
}

bool Vault::knows(const wire::Caller& caller) {
  return require_known(acts_->in_force()->policy.policy, caller).ok();
}

Result<store::VaultStatus> Vault::status(const wire::Caller& caller) {
  const auto acts = acts_->in_force();
  TRY(require_known(acts->policy.policy, caller));
  store::VaultStatus status;
  status.name = name_;
  status.policy = acts->policy.policy.version;
  status.now_seconds = world_.clock.now().seconds();
  const auto free = world_.files.free_bytes(objects_in(directory_));
  if (!free.ok()) return detail::private_error(world_.log, "free space", free.error());
  status.free_bytes = free.value();
  status.object_count = TRY(records_->object_count());
  status.damaged_objects = damages_->count();
  status.unlisted_objects = unlisted_objects();
  status.program = settings_.program;
  status.readings = TRY(readings_->by_vault(acts->policy.policy));
  return status;
}

Status Vault::open_stream(const wire::Caller& caller, const format::SignedStream& stream) {
  return deposits_->open_stream(caller, stream);
}

Result<std::optional<format::SignedReceipt>> Vault::put(const wire::Caller& caller, const format::SignedEntry& entry,
                                                        wire::ObjectSource& source) {
  const HeadRow head = damages_->vouched(entry.entry.stream, TRY(deposits_->put(caller, entry, source)));
  const Status settled = table_->settled();
  if (!settled.ok()) {  // an entry that was held already was only read; a write mends the table, if it can be mended
    ignore(table_->write({}, table::Durability::Synced), "whoever asks again is told");
    return settled.error();
  }
  if (head.next <= entry.entry.index) return std::optional<format::SignedReceipt>();
  const auto acts = acts_->in_force();
  return receipt_for(acts->policy.policy, entry.entry.stream, head);
}

std::optional<format::SignedReceipt> Vault::receipt_for(const policy::Policy& policy, const format::StreamId& stream,
                                                        const HeadRow& head) const {
  if (head.next.value() == 0) return std::nullopt;
  format::Receipt receipt;
  receipt.vault = receipt_key_.public_key();
  receipt.realm = policy.realm;
  receipt.policy = policy.version;
  receipt.stream = stream;
  receipt.index = format::EntryIndex(head.next.value() - 1);
  receipt.chain = head.chain;
  receipt.term = kFirstTerm;
  receipt.durable_at_seconds = head.durable_at_seconds;
  return format::SignedReceipt::sign(receipt, receipt_key_);
}

Result<store::QuotaUse> Vault::quota(const wire::Caller& caller, const format::RegistryId& registry) {
  const auto acts = acts_->in_force();
  const policy::Registry* const own = TRY(require_writer_of(acts->policy.policy, caller, registry));
  return store::QuotaUse{TRY(records_->registry(registry)).used_bytes, own->quota_bytes};
}

Error Vault::unreadable(const format::ObjectName& name, const Error& error) const {
  if (error.code() != Code::NotFound) return error;
  world_.log.write(env::LogLevel::Error, "object " + name.hex() + ": " + error.message());
  return Error(Code::NotFound, "object " + name.hex() + ": the vault's disk has lost it");
}

Result<ObjectRow> Vault::present_object(const format::ObjectName& name) const {
  const auto row = TRY(records_->object(name));
  if (!row.has_value()) return Error(Code::NotFound, "object " + name.hex() + " is not held here");
  const auto size = objects_->size_of(name);
  if (!size.ok()) return unreadable(name, size.error());
  if (size.value() != row->bytes) {
    return Error(Code::Corrupt, "object " + name.hex() + " has changed its size on disk");
  }
  return *row;
}

Result<std::uint64_t> Vault::size_of(const wire::Caller& caller, const format::ObjectName& name) {
  const auto acts = acts_->in_force();
  const policy::Policy& policy = acts->policy.policy;
  if (require_site_or_vault(policy, caller).ok()) return TRY(present_object(name)).bytes;
  const policy::Registry* const own = TRY(require_writer(policy, caller));
  // Not even whether another registry holds it, and in which state.
  const auto row = TRY(records_->object(name));
  if (!row.has_value() || row->key.registry != own->id)
    return Error(Code::NotFound, "object " + name.hex() + " is not held here");
  return TRY(present_object(name)).bytes;
}

Status Vault::read(const wire::Caller& caller, const format::ObjectName& name, std::uint64_t offset,
                   MutableByteView out) {
  const auto acts = acts_->in_force();
  TRY(require_site_or_vault(acts->policy.policy, caller));
  const ObjectRow row = TRY(present_object(name));
  if (offset > row.bytes || out.size() > row.bytes - offset) {
    return Error(Code::InvalidInput, "object " + name.hex() + " ends before the range that was asked for");
  }
  const auto reader = require_vault(acts->policy.policy, caller);
  if (reader.ok() && !out.empty()) TRY(readings_->spend(*reader.value(), name, out.size()));
  const Status read = objects_->read(name, offset, out);
  if (!read.ok()) return unreadable(name, read.error());
  return {};
}

Result<std::uint64_t> Vault::append_frames(const wire::Caller& caller, const format::SegmentPlace& place,
                                           std::uint8_t size_class, std::uint64_t offset, ByteView bytes) {
  return journals_->append(caller, place, size_class, offset, bytes);
}

Result<format::SignedMarkReceipt> Vault::put_mark(const wire::Caller& caller, const format::SignedMark& mark) {
  TRY(journals_->put_mark(caller, mark));
  const auto acts = acts_->in_force();
  format::MarkReceipt receipt;
  receipt.vault = receipt_key_.public_key();
  receipt.realm = acts->policy.policy.realm;
  receipt.policy = acts->policy.policy.version;
  receipt.place = mark.mark.place;
  receipt.end = mark.mark.end;
  receipt.hash = mark.mark.hash;
  receipt.term = kFirstTerm;
  receipt.durable_at_seconds = world_.clock.now().seconds();
  return format::SignedMarkReceipt::sign(receipt, receipt_key_);
}

Result<std::vector<store::OpenSegment>> Vault::open_segments(const wire::Caller& caller,
                                                             const format::RegistryId& registry) {
  return journals_->list(caller, registry);
}

Status Vault::read_frames(const wire::Caller& caller, const format::SegmentPlace& place, std::uint64_t offset,
                          MutableByteView out) {
  return journals_->read(caller, place, offset, out);
}

Status Vault::announce_reading(const wire::Caller& caller, const format::SignedReading& reading) {
  const auto acts = acts_->in_force();
  const policy::VaultEntry* const reader = TRY(require_vault(acts->policy.policy, caller));
  const ObjectRow row = TRY(present_object(reading.reading.object));
  return readings_->announce(acts->policy.policy, *reader, reading, row.bytes);
}

Result<wire::HeadsPage> Vault::heads(const wire::Caller& caller, const format::RegistryId& registry,
                                     const std::optional<format::StreamId>& from) {
  const auto acts = acts_->in_force();
  TRY(require_reader_of_heads(acts->policy.policy, caller, registry));
  wire::HeadsPage page;
  const auto visit = [&](const format::StreamId& id) -> Result<table::Visit> {
    if (page.heads.size() == wire::kHeadsPerPage) {
      page.next = id;
      return table::Visit::Stop;
    }
    const auto stream = TRY(records_->stream(id));
    const auto head = TRY(records_->head(id));
    if (!stream.has_value() || !head.has_value()) {
      return Error(Code::Corrupt, "stream " + id.hex() + " has lost its rows");
    }
    page.heads.push_back({*stream, head->held, receipt_for(acts->policy.policy, id, damages_->vouched(id, *head))});
    return table::Visit::Continue;
  };
  TRY(records_->scan_streams(registry, from.value_or(format::StreamId()), visit));
  // Nothing is signed that only memory may hold; who restores is shown it.
  if (!table_->settled().ok()) {
    for (store::StreamHead& head : page.heads) head.receipt.reset();
  }
  return page;
}

Result<std::vector<store::HeldEntry>> Vault::entries(const wire::Caller& caller, const format::StreamId& stream,
                                                     format::EntryIndex from, std::size_t limit) {
  TRY(require_site_or_vault(acts_->in_force()->policy.policy, caller));
  if (!TRY(records_->stream(stream)).has_value()) {
    return Error(Code::NotFound, "stream " + stream.hex() + " is not open here");
  }
  limit = std::min(limit, store::kMaxEntriesPerCall);
  std::vector<store::HeldEntry> entries;
  if (limit == 0) return entries;
  const auto visit = [&](format::EntryIndex index, const EntryRow& row) -> Result<table::Visit> {
    const auto object = TRY(records_->object(row.object));
    if (!object.has_value()) return Error(Code::Corrupt, "object " + row.object.hex() + " has lost its row");
    entries.push_back({entry_of(stream, index, row), object->bytes, object->retain_until_seconds, object->key.period});
    return entries.size() < limit ? table::Visit::Continue : table::Visit::Stop;
  };
  TRY(records_->scan_entries(stream, from, visit));
  return entries;
}

Result<std::vector<store::Act>> Vault::acts(const wire::Caller& caller) {
  const auto acts = acts_->in_force();
  TRY(require_known(acts->policy.policy, caller));
  return acts->list;
}

Result<Bytes> Vault::act(const wire::Caller& caller, const crypto::Hash256& hash) {
  TRY(require_known(acts_->in_force()->policy.policy, caller));
  return acts_->document(hash);
}

Status Vault::put_act(const wire::Caller& caller, ByteView document) {
  TRY(require_known(acts_->in_force()->policy.policy, caller));
  return acts_->adopt(document);
}

}  // namespace exclave::vault
