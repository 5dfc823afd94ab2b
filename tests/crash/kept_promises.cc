// kept_promises: holds vaults to what an agent remembers of them, on disk, with no daemon in between.
//
//   kept_promises AGENT_TABLE NAME=VAULT_DIRECTORY ...
//
// For each receipt in the agent's table: the vault's head has reached it, its chain is the one receipted, every entry
// up to it has its row, and every object its row and a file of the right size. Prints one line for each broken promise
// ("broken ..."), each pack that the agent knows to be durable and no index names yet ("pack NAME BYTES"), and a count.
// Ends with 0 if none is broken, 1 if one is, 2 if it cannot look. Nothing else may have the tables open; opening them
// does what opening does after a crash, so that an older state is to be looked at in a copy.
#include <cstdio>
#include <map>
#include <string>

#include "format/object.h"
#include "posix/world.h"
#include "repo/dedup_index.h"
#include "store/directory_store.h"
#include "table/rocksdb_table.h"
#include "vault/records.h"

namespace {

using namespace exclave;

struct VaultOnDisk {
  std::unique_ptr<table::Table> table;
  std::unique_ptr<store::ObjectStore> objects;
};

class Promises {
 public:
  explicit Promises(env::FileSystem& files) : files_(files) {}

  Status add_vault(const std::string& name, const std::string& directory) {
    VaultOnDisk vault;
    vault.table = TRY(table::open_rocksdb(directory + "/table"));
    vault.objects = TRY(store::open_directory_store(files_, directory + "/objects"));
    vaults_[name] = std::move(vault);
    return {};
  }

  Status check(const repo::KeptReceipt& kept) {
    const auto found = vaults_.find(kept.vault);
    if (found == vaults_.end()) return {};
    VaultOnDisk& vault = found->second;
    const vault::Records records(*vault.table);
    const format::Receipt& receipt = kept.receipt.receipt;
    const std::string who = kept.vault + " stream " + receipt.stream.hex().substr(0, 16) + " receipt of entry " +
                            std::to_string(receipt.index.value());
    ++receipts_;
    const auto head = TRY(records.head(receipt.stream));
    if (!head.has_value() || head->next <= receipt.index) broken(who + ": the head has not reached it");
    std::optional<format::ChainHash> chain;
    std::uint64_t next = 0;
    TRY(records.scan_entries(receipt.stream, format::EntryIndex(0),
                             [&](format::EntryIndex index, const vault::EntryRow& row) -> Result<table::Visit> {
                               if (index > receipt.index) return table::Visit::Stop;
                               if (index.value() != next) broken(who + ": entry " + std::to_string(next) + " is gone");
                               next = index.value() + 1;
                               chain = row.chain;
                               TRY(check_object(vault, records, row.object, who));
                               return table::Visit::Continue;
                             }));
    if (next != receipt.index.value() + 1) broken(who + ": the entries end at " + std::to_string(next));
    if (chain != receipt.chain) broken(who + ": the chain is another one");
    return {};
  }

  int finish() const {
    std::printf("receipts %llu broken %llu\n", static_cast<unsigned long long>(receipts_),
                static_cast<unsigned long long>(broken_));
    return broken_ == 0 ? 0 : 1;
  }

 private:
  void broken(const std::string& what) {
    ++broken_;
    std::printf("broken %s\n", what.c_str());
  }

  Status check_object(VaultOnDisk& vault, const vault::Records& records, const format::ObjectName& name,
                      const std::string& who) {
    const auto row = TRY(records.object(name));
    if (!row.has_value()) {
      broken(who + ": object " + name.hex() + " has no row");
      return {};
    }
    const auto size = vault.objects->size_of(name);
    if (!size.ok()) {
      broken(who + ": " + size.error().message());
    } else if (size.value() != row->bytes) {
      broken(who + ": object " + name.hex() + " has " + std::to_string(size.value()) + " bytes");
    }
    return {};
  }

  env::FileSystem& files_;
  std::map<std::string, VaultOnDisk> vaults_;
  std::uint64_t receipts_ = 0;
  std::uint64_t broken_ = 0;
};

Result<int> run(env::FileSystem& files, const std::vector<std::string>& arguments) {
  Promises promises(files);
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::size_t equals = arguments[i].find('=');
    if (equals == std::string::npos) return Error(Code::InvalidInput, "write NAME=VAULT_DIRECTORY");
    TRY(promises.add_vault(arguments[i].substr(0, equals), arguments[i].substr(equals + 1)));
  }
  const auto table = TRY(table::open_rocksdb(arguments.front()));
  const repo::DedupIndex index = TRY(repo::DedupIndex::open(*table));
  for (const auto& kept : TRY(index.receipts())) TRY(promises.check(kept));
  for (const repo::PackRecord& pack : TRY(index.unindexed_packs())) {
    std::printf("pack %s %llu\n", pack.name.hex().c_str(),
                static_cast<unsigned long long>(format::object_bytes(pack.size_class)));
  }
  return promises.finish();
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) {
    std::fputs("usage: kept_promises AGENT_TABLE NAME=VAULT_DIRECTORY ...\n", stderr);
    return 2;
  }
  posix::World world;
  env::Env env = world.env();
  const auto code = run(env.files, arguments);
  if (code.ok()) return code.value();
  std::fprintf(stderr, "kept_promises: %s\n", code.error().message().c_str());
  return 2;
}
