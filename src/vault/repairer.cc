#include "vault/repairer.h"
#include "base/text.h"

#include <algorithm>

#include "format/object.h"
#include "vault/detail/copy_check.h"
#include "vault/memory_source.h"

namespace exclave::vault {
namespace {

constexpr std::size_t kMaxProblems = 1000;
constexpr int kReadingAttempts = 3;
// A vault that shows more acts than these which are not this realm's has nothing to teach.
constexpr std::size_t kMaxStrangeActs = 100;

Error cancelled() {
  return {Code::Cancelled, "repair was interrupted; the next one goes on where it was"};
}

}  // namespace

void Repairer::problem(std::string what) {
  if (report_.problems.size() < kMaxProblems) report_.problems.push_back(std::move(what));
}

void Repairer::lost(const store::VaultApi& other, const Error& error) {
  if (is_lost(other)) return;
  lost_.push_back(&other);
  report_.unreachable.push_back(other.name() + ": " + error.message());
}

bool Repairer::is_lost(const store::VaultApi& other) const {
  return std::count(lost_.begin(), lost_.end(), &other) > 0;
}

RepairReport Repairer::run(std::stop_token stop) {
  Status done = fill(stop);
  // A full disk can still be read, and most of what a scrub mends needs no more room than it has.
  if (options_.scrub != Scrub::No && (done.ok() || done.error().code() == Code::Exhausted)) {
    Status scrubbed = scrub(stop);
    if (done.ok()) done = std::move(scrubbed);
  }
  if (!done.ok()) report_.error = done.take_error();
  return std::move(report_);
}

Status Repairer::fill(std::stop_token stop) {
  TRY(adopt_acts(stop));
  const auto acts = parts_.acts.in_force();
  for (const policy::Registry& registry : acts->policy.policy.registries) TRY(fill_gaps(registry, stop));
  return mend_known(stop);
}

// Policies come in the order of their versions and eras after them, as every vault lists them.
Status Repairer::adopt_acts(std::stop_token stop) {
  for (store::VaultApi* other : others_) {
    const auto listed = other->acts();
    if (!listed.ok()) {
      lost(*other, listed.error());
      continue;
    }
    std::size_t strange = 0;
    for (const store::Act& act : listed.value()) {
      if (strange == kMaxStrangeActs) break;
      if (stop.stop_requested()) return cancelled();
      const auto& ours = parts_.acts.in_force()->list;
      const bool is_here =
          std::any_of(ours.begin(), ours.end(), [&](const store::Act& own) { return own.hash == act.hash; });
      if (is_here) continue;
      const auto document = other->act(act.hash);
      if (!document.ok() && document.error().code() == Code::Unavailable) {
        lost(*other, document.error());
        break;
      }
      const Status adopted = document.ok() ? parts_.acts.adopt(document.value()) : Status(Error(document.error()));
      if (adopted.ok()) {
        ++report_.acts;
      } else {
        ++strange;
        problem("vault " + other->name() + " shows an act (" + act.kind + " " + act.hash.hex().substr(0, 16) +
                ") that is not adopted here: " + adopted.error().message());
      }
    }
  }
  return {};
}

Status Repairer::fill_gaps(const policy::Registry& registry, std::stop_token stop) {
  for (store::VaultApi* other : others_) {
    if (is_lost(*other)) continue;
    const auto heads = other->heads(registry.id);
    if (!heads.ok()) {
      lost(*other, heads.error());
      continue;
    }
    for (const store::StreamHead& head : heads.value()) {
      if (is_lost(*other)) break;
      if (TRY(fill_stream(*other, head, stop)) == Taken::RegistryIsFull) return {};
    }
  }
  return {};
}

Result<Repairer::Taken> Repairer::fill_stream(store::VaultApi& other, const store::StreamHead& head,
                                              std::stop_token stop) {
  const format::StreamId id = head.stream.descriptor.id();
  if (head.entries <= TRY(parts_.records.head(id)).value_or(HeadRow{}).next.value()) return Taken::Yes;
  const Status opened = parts_.deposits.open_stream(std::nullopt, head.stream);
  if (!opened.ok()) {
    problem("vault " + other.name() + " shows stream " + id.hex().substr(0, 16) +
            ", which is not taken over: " + opened.error().message());
    return Taken::Yes;
  }
  format::EntryIndex from = TRY(parts_.records.head(id)).value_or(HeadRow{}).next;
  for (;;) {
    const auto page = other.entries(id, from, store::kMaxEntriesPerCall);
    if (!page.ok()) {
      lost(other, page.error());
      return Taken::Yes;
    }
    if (page.value().empty()) return Taken::Yes;
    for (const store::HeldEntry& held : page.value()) {
      if (stop.stop_requested()) return cancelled();
      if (is_lost(other)) return Taken::Yes;
      if (held.entry.entry.index < from) {
        lost(other, Error(Code::Corrupt, "gives entries in another order than they have"));
        return Taken::Yes;
      }
      const Taken taken = TRY(take_entry(other, held, head.stream.descriptor.registry));
      if (taken == Taken::Refused || taken == Taken::RegistryIsFull) return taken;
      from = format::EntryIndex(held.entry.entry.index.value() + 1);
    }
  }
}

Result<Repairer::Taken> Repairer::take_entry(store::VaultApi& other, const store::HeldEntry& held,
                                             const format::RegistryId& registry) {
  const format::Entry& entry = held.entry.entry;
  const bool had_entry = TRY(parts_.records.entry(entry.stream, entry.index)).has_value();
  MemorySource nothing({});
  auto put = parts_.deposits.put(std::nullopt, held.entry, nothing);
  if (!put.ok() && put.error().code() == Code::NotFound) {
    if (missing_.contains(entry.object) || missing_.size() == kMostMissing) return Taken::Missing;
    const auto object = fetch(entry.object, &other);
    if (!object.ok()) {
      missing_.insert(entry.object);
      problem(format::object_words(entry.object) + " is missing here, and " + object.error().message());
      return Taken::Missing;
    }
    MemorySource source(object.value());
    put = parts_.deposits.put(std::nullopt, held.entry, source);
  }
  if (put.ok()) {
    if (!had_entry) ++report_.entries;
    return Taken::Yes;
  }
  const bool is_full = put.error().code() == Code::Exhausted;
  // No room on the disk: whatever comes next would fail the same way. A quota is one registry's own affair.
  if (is_full && TRY(parts_.deposits.has_quota_for(registry, held.object_bytes))) return put.take_error();
  problem("entry " + std::to_string(entry.index.value()) + " of stream " + entry.stream.hex().substr(0, 16) +
          " from vault " + other.name() + ": " + put.error().message());
  return is_full ? Taken::RegistryIsFull : Taken::Refused;
}

Result<Bytes> Repairer::fetch(const format::ObjectName& name, store::VaultApi* first) {
  std::vector<store::VaultApi*> order = others_;
  const auto at = std::find(order.begin(), order.end(), first);
  if (at != order.end()) std::rotate(order.begin(), at, at + 1);
  std::string reasons;
  for (store::VaultApi* other : order) {
    if (is_lost(*other)) continue;
    auto object = fetch_from(*other, name);
    if (object.ok()) {
      ++report_.objects;
      report_.bytes += object.value().size();
      return object;
    }
    if (object.error().code() == Code::Unavailable) lost(*other, object.error());
    if (object.error().code() == Code::Corrupt)
      problem("vault " + other->name() + ": " + format::object_words(name) + ": " + object.error().message());
    append_item(reasons, other->name() + ": " + object.error().message(), "; ");
  }
  return Error(Code::NotFound,
               "no other vault gives a good copy (" + (reasons.empty() ? "none answers" : reasons) + ")");
}

Result<Bytes> Repairer::fetch_from(store::VaultApi& other, const format::ObjectName& name) {
  const auto acts = parts_.acts.in_force();
  const policy::VaultEntry* const holder = acts->policy.policy.vault(other.name());
  if (holder == nullptr) return Error(Code::Denied, "is no longer in the policy");
  const std::uint64_t size = TRY(other.size_of(name));
  if (size > format::kMaxObjectBytes) return Error(Code::Corrupt, "is larger than an object can be");
  Bytes object(static_cast<std::size_t>(size));
  format::Reading reading;
  reading.realm = acts->policy.policy.realm;
  reading.reader = parts_.receipt_key.public_key();
  reading.holder = holder->receipt;
  reading.object = name;
  reading.at_seconds = parts_.clock.now().seconds();
  const auto announced = format::SignedReading::sign(reading, parts_.receipt_key);
  Status read;
  // A connection that broke in the middle has used up what the announcement bought.
  for (int attempt = 0; attempt < kReadingAttempts; ++attempt) {
    TRY(other.announce_reading(announced));
    read = other.read(name, 0, object);
    if (read.ok() || read.error().code() != Code::Denied) break;
  }
  TRY(std::move(read));
  if (format::name_of(object) != name) return Error(Code::Corrupt, "its bytes have another name");
  return object;
}

Status Repairer::scrub(std::stop_token stop) {
  const auto last = TRY(parts_.records.scrub());
  ScrubRow progress;
  progress.begun_at_seconds = parts_.clock.now().seconds();
  if (options_.scrub == Scrub::Resume && last.has_value() && !last->is_finished) progress = *last;
  scrub_began_ = parts_.clock.monotonic();
  const auto is_time_over = [&] {
    return options_.scrub_time.count() > 0 && parts_.clock.monotonic() - scrub_began_ >= options_.scrub_time;
  };
  while (!progress.is_finished && !is_time_over()) {
    std::vector<std::pair<format::ObjectName, ObjectRow>> step;
    progress.is_finished = true;
    TRY(parts_.records.scan_objects(progress.next, [&](const format::ObjectName& name, const ObjectRow& row) {
      if (step.size() == kScrubStep) {
        progress.next = name;
        progress.is_finished = false;
        return Result<table::Visit>(table::Visit::Stop);
      }
      if (!known_.contains(name)) step.emplace_back(name, row);
      return Result<table::Visit>(table::Visit::Continue);
    }));
    TRY(check(step, stop));
    Records::Change change(parts_.records);
    change.put_scrub(progress);
    TRY(parts_.records.commit(change));
  }
  return {};
}

Status Repairer::mend_known(std::stop_token stop) {
  std::vector<std::pair<format::ObjectName, ObjectRow>> known;
  for (const format::ObjectName& name : parts_.damages.some(kScrubStep)) {
    const auto row = TRY(parts_.records.object(name));
    if (row.has_value()) known.emplace_back(name, *row);
    known_.insert(name);
  }
  scrub_began_ = parts_.clock.monotonic();
  return check(known, stop);
}

Status Repairer::check(const std::vector<std::pair<format::ObjectName, ObjectRow>>& objects, std::stop_token stop) {
  std::vector<Damages::Object> lost;
  for (const auto& [name, row] : objects) {
    const auto damage = TRY(look_at(name, row, stop));
    ++report_.checked_objects;
    if (!damage.has_value() || TRY(replace(name, *damage))) {
      TRY(parts_.damages.clear(name));
    } else {
      lost.emplace_back(name, row.key.registry);
    }
    TRY(keep_pace(stop));
  }
  return parts_.damages.note(lost);
}

Status Repairer::keep_pace(std::stop_token stop) {
  if (options_.scrub_bytes_per_second == 0) return {};
  const auto due = std::chrono::nanoseconds(static_cast<std::int64_t>(
      static_cast<double>(report_.checked_bytes) / static_cast<double>(options_.scrub_bytes_per_second) * 1e9));
  while (parts_.clock.monotonic() < scrub_began_ + due) {
    if (stop.stop_requested()) return cancelled();
    const env::Instant soon = parts_.clock.monotonic() + std::chrono::milliseconds(100);
    TRY(parts_.clock.sleep_until(std::min(soon, scrub_began_ + due)));
  }
  return {};
}

Result<std::optional<std::string>> Repairer::look_at(const format::ObjectName& name, const ObjectRow& row,
                                                     std::stop_token stop) {
  return detail::find_damage(parts_.objects, name, row.bytes, [&](std::size_t bytes) -> Status {
    if (stop.stop_requested()) return cancelled();
    report_.checked_bytes += bytes;
    return {};
  });
}

Result<bool> Repairer::replace(const format::ObjectName& name, const std::string& damage) {
  if (!parts_.damages.has(name)) {  // of the others an earlier run has told
    ++report_.damaged;
    parts_.log.write(env::LogLevel::Error, format::object_words(name) + " is damaged: " + damage);
  }
  const auto good = fetch(name, nullptr);
  if (!good.ok()) {
    problem(format::object_words(name) + " is damaged (" + damage + "), and " + good.error().message());
    return false;
  }
  // The damaged file may be all that can be had of the object one day: it stays until the good one takes its place.
  auto upload = parts_.objects.begin_upload(name, good.value().size());
  if (upload.ok()) {
    Status written = upload.value()->append(good.value());
    if (!written.ok()) upload = written.take_error();
  }
  if (!upload.ok() && upload.error().code() != Code::Exhausted) return upload.take_error();
  if (!upload.ok()) {
    problem(format::object_words(name) + " is damaged (" + damage +
            "), and there is no room for a good copy: " + upload.error().message());
    return false;
  }
  const auto published = upload.value()->publish(store::IfPresent::SetAside);
  if (!published.ok()) {
    problem(format::object_words(name) + " is damaged, and could not be replaced: " + published.error().message());
    return false;
  }
  ++report_.replaced;
  parts_.log.write(env::LogLevel::Info, format::object_words(name) + " was replaced by a good copy from another vault");
  return true;
}

}  // namespace exclave::vault
