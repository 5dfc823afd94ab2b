#include "vault/readings.h"

#include <algorithm>

namespace exclave::vault {

Status Readings::announce(const policy::Policy& policy, const policy::VaultEntry& reader,
                          const format::SignedReading& signed_reading, std::uint64_t bytes) {
  const format::Reading& reading = signed_reading.reading;
  const std::string noun = "reading of object " + reading.object.hex().substr(0, 16);
  if (reading.realm != policy.realm) return Error(Code::Denied, noun + " is of another realm");
  if (reading.reader != reader.receipt)
    return Error(Code::Denied, noun + " is announced for another vault than its sender");
  if (reading.holder != holder_) return Error(Code::Denied, noun + " is announced to another vault");
  const Status genuine = signed_reading.check_signature();
  if (!genuine.ok()) return Error(Code::Denied, genuine.error().message());
  {
    const detail::GatePass pass(gate_);
    Records::Change change(records_);
    ReaderRow row = TRY(records_.reader(reader.receipt)).value_or(ReaderRow{});
    row.objects += 1;
    row.bytes += bytes;
    row.last_at_seconds = clock_.now().seconds();
    change.put_reading(signed_reading);
    change.put_reader(reader.receipt, row);
    TRY(records_.commit(change));
  }
  const MutexLock lock(mutex_);
  std::deque<Open>& open = open_[reader.receipt];
  if (open.size() == kMaxOpen) open.pop_front();
  open.push_back({reading.object, bytes});
  return {};
}

Status Readings::spend(const policy::VaultEntry& reader, const format::ObjectName& object, std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  std::deque<Open>& open = open_[reader.receipt];
  const auto found = std::find_if(open.begin(), open.end(),
                                  [&](const Open& each) { return each.object == object && each.bytes_left >= bytes; });
  if (found == open.end()) {
    return Error(Code::Denied, "vault " + reader.name + " has not announced that it reads object " +
                                   object.hex().substr(0, 16) + ", or has read it already");
  }
  found->bytes_left -= bytes;
  if (found->bytes_left == 0) open.erase(found);
  return {};
}

Result<std::vector<store::PeerReadings>> Readings::by_vault(const policy::Policy& policy) const {
  std::vector<store::PeerReadings> readings;
  TRY(records_.scan_readers([&](const crypto::Ed25519PublicKey& key, const ReaderRow& row) -> Result<table::Visit> {
    const policy::VaultEntry* const vault = policy.vault_by_receipt(key);
    readings.push_back({vault != nullptr ? vault->name : key.hex(), row.objects, row.bytes, row.last_at_seconds});
    return table::Visit::Continue;
  }));
  std::sort(readings.begin(), readings.end(), [](const auto& a, const auto& b) { return a.vault < b.vault; });
  return readings;
}

}  // namespace exclave::vault
