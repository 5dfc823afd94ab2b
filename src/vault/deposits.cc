#include "vault/deposits.h"

#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "crypto/tree_hash.h"
#include "format/object.h"
#include "vault/detail/access.h"
#include "vault/detail/copy_check.h"

namespace exclave::vault {
namespace {

constexpr std::size_t kStoredPieceBytes = 256 * 1024;
static_assert(kStoredPieceBytes <= format::object_bytes(format::kSizeClasses.front()),
              "a header lies in the first piece");

std::string noun_of(const format::SignedEntry& entry) {
  return "entry " + std::to_string(entry.entry.index.value()) + " of stream " + entry.entry.stream.hex().substr(0, 16);
}

Status check_size(std::uint64_t bytes) {
  if (format::class_of_bytes(bytes).has_value()) return {};
  return Error(Code::InvalidInput, "object has " + std::to_string(bytes) + " bytes, which is no size class");
}

// Adds, and stays at the top instead of wrapping.
std::int64_t later_by(std::int64_t seconds, std::uint64_t duration) {
  const std::int64_t limit = std::numeric_limits<std::int64_t>::max();
  if (duration > static_cast<std::uint64_t>(limit)) return limit;
  std::int64_t sum = 0;
  return __builtin_add_overflow(seconds, static_cast<std::int64_t>(duration), &sum) ? limit : sum;
}

}  // namespace

Result<const policy::Registry*> Deposits::registry_for(const policy::Policy& policy, const Origin& origin,
                                                       const format::StreamDescriptor& stream) const {
  const policy::Registry* const registry =
      origin.has_value() ? TRY(require_writer(policy, *origin)) : policy.registry(stream.registry);
  if (registry == nullptr) {
    return Error(Code::Denied, "registry " + stream.registry.hex() + " is not in policy version " +
                                   std::to_string(policy.version.value()));
  }
  if (policy.vault_by_receipt(parts_.receipt_key) == nullptr) {
    return Error(Code::Denied, "this vault's receipt key is not in policy version " +
                                   std::to_string(policy.version.value()) + ": it takes nothing in");
  }
  return registry;
}

Status Deposits::open_stream(const Origin& origin, const format::SignedStream& stream) {
  const format::StreamDescriptor& descriptor = stream.descriptor;
  const detail::GatePass pass(gate_);
  const auto acts = parts_.acts.in_force();
  const policy::Policy& policy = acts->policy.policy;
  const policy::Registry* const registry = TRY(registry_for(policy, origin, descriptor));
  if (descriptor.realm != policy.realm) return Error(Code::Denied, "stream is of another realm");
  if (descriptor.registry != registry->id) return Error(Code::Denied, "stream is of another registry than its writer");
  if (origin.has_value() && descriptor.writer != origin->identity)
    return Error(Code::Denied, "stream names another writer than its sender");
  if (!origin.has_value()) {
    const auto writers = policy::writers_of(TRY(parts_.acts.policies()), registry->id);
    if (std::count(writers.begin(), writers.end(), descriptor.writer) == 0)
      return Error(Code::Denied, "stream was signed by nobody who ever was its registry's writer");
  }
  const Status genuine = stream.check_signature();
  if (!genuine.ok()) return Error(Code::Denied, genuine.error().message());
  if (acts->era(descriptor.registry, descriptor.era) == nullptr) {
    return Error(Code::Precondition, "the document of era " + std::to_string(descriptor.era.value()) + " of registry " +
                                         descriptor.registry.hex() + " is not at this vault")
        .hint("publish the era document to every vault first");
  }
  const format::StreamId id = descriptor.id();
  Records::Change change(parts_.records);
  if (TRY(parts_.records.stream(id)).has_value()) return {};

  RegistryRow row = TRY(parts_.records.registry(registry->id));
  if (row.streams >= store::kMostStreams) {
    return Error(Code::Exhausted,
                 "registry " + registry->name + " has " + std::to_string(row.streams) + " streams, which is the limit");
  }
  if (row.used_bytes > registry->quota_bytes || kStreamCharge > registry->quota_bytes - row.used_bytes) {
    return exhausted(*registry, Error(Code::Exhausted, "quota is used up"));
  }
  row.streams += 1;
  row.used_bytes += kStreamCharge;
  change.put_stream(stream);
  change.put_head(id, HeadRow{{}, format::chain_start(id), 0, 0});
  change.put_registry(registry->id, row);
  return parts_.records.commit(change);
}

// Each costs descriptors and memory, and who restores is told of all at once.
Status Deposits::check_open_segments(const policy::Registry& registry) {
  std::uint64_t open = 0;
  for (const store::OpenSegment& segment : parts_.segments.list()) {
    const auto stream = TRY(parts_.records.stream(segment.stream));
    if (stream.has_value() && stream->descriptor.registry == registry.id) ++open;
  }
  if (open < kMostOpenSegmentsPerRegistry) return {};
  return exhausted(registry, Error(Code::Exhausted, "registry " + registry.id.hex() + " has " + std::to_string(open) +
                                                        " segments open: some are to be closed first"));
}

Status Deposits::open_segment(const wire::Caller& caller, const format::StreamDescriptor& stream,
                              const format::SegmentPlace& place, const SegmentRow& row) {
  const detail::GatePass pass(gate_);
  const auto acts = parts_.acts.in_force();
  const policy::Registry* const registry = TRY(registry_for(acts->policy.policy, caller, stream));
  if (registry->id != stream.registry) return Error(Code::Denied, "the stream's writer writes another registry by now");
  Records::Change change(parts_.records);
  const auto open = TRY(parts_.records.segment(place));
  if (open.has_value()) {
    if (open->size_class != row.size_class) {
      return Error(Code::InvalidInput,
                   format::to_string(place) + " was opened with class " + std::to_string(open->size_class));
    }
    parts_.segments.add(place, *open);
    return {};
  }
  const HeadRow head = TRY(parts_.records.head(place.stream)).value_or(HeadRow{});
  if (place.index < head.next || TRY(parts_.records.entry(place.stream, place.index)).has_value()) {
    return Error(Code::Conflict, format::to_string(place) + " is closed");
  }
  if (place.index.value() - head.next.value() >= store::kMostOpenSegments) {
    return Error(Code::Precondition, format::to_string(place) + ": segment " + std::to_string(head.next.value()) +
                                         " is to be closed first");
  }
  TRY(check_open_segments(*registry));
  RegistryRow used = TRY(parts_.records.registry(registry->id));
  const std::uint64_t wanted = TRY(checked_add(claims_.reserved(registry->id), row.bytes()));
  if (used.used_bytes > registry->quota_bytes || wanted > registry->quota_bytes - used.used_bytes) {
    return exhausted(*registry, Error(Code::Exhausted, "quota of registry " + registry->id.hex() + ": " +
                                                           std::to_string(used.used_bytes) + " bytes of " +
                                                           std::to_string(registry->quota_bytes) + " are used, " +
                                                           std::to_string(row.bytes()) + " more were asked for"));
  }
  used.used_bytes += row.bytes();
  change.put_segment(place, row);
  change.put_registry(registry->id, used);
  TRY(parts_.records.commit(change));
  parts_.segments.add(place, row);
  return {};
}

Result<HeadRow> Deposits::put(const Origin& origin, const format::SignedEntry& entry, wire::ObjectSource& source) {
  const auto acts = parts_.acts.in_force();
  const auto stream = TRY(parts_.records.stream(entry.entry.stream));
  // Who may not write here shall hear that, and not whether the stream is open.
  const policy::Registry* const registry = TRY(
      registry_for(acts->policy.policy, origin, stream.has_value() ? stream->descriptor : format::StreamDescriptor()));
  if (!stream.has_value() || stream->descriptor.registry != registry->id) {
    return Error(Code::NotFound, "stream " + entry.entry.stream.hex() + " is not open here");
  }
  if (origin.has_value() && stream->descriptor.writer != origin->identity) {
    return Error(Code::Denied, "stream " + entry.entry.stream.hex() + " was opened by an earlier writer");
  }
  const Status genuine = entry.check_signature(stream->descriptor.writer);
  if (!genuine.ok()) return Error(Code::Denied, genuine.error().message());
  const bool is_journal = stream->descriptor.kind == format::StreamKind::Journal;
  if (is_journal && entry.entry.snapshot_oldest.has_value()) {
    return Error(Code::InvalidInput, noun_of(entry) + ": a journal has no snapshots");
  }

  Claims::Claim claim = TRY(claims_.take(registry->id, entry.entry.stream, entry.entry.index, entry.entry.object));
  const HeadRow head = TRY(parts_.records.head(entry.entry.stream)).value_or(HeadRow{});
  const Place place = TRY(place_of(entry, head));
  const auto held = TRY(held_object(registry->id, entry.entry.object));
  if (place == Place::Held && held.has_value()) return head;
  // A segment that is open here: closed by its entry alone, if it bears the name.
  const auto open =
      is_journal ? TRY(parts_.records.segment({entry.entry.stream, entry.entry.index})) : std::optional<SegmentRow>();
  const bool closes = open.has_value() && !held.has_value() && source.size() == 0;
  const auto not_held = [&] {
    return Error(Code::NotFound, "object " + entry.entry.object.hex() + " is not held here, and no bytes came with it");
  };
  if (!held.has_value() && !closes && source.size() == 0) return not_held();
  if (!held.has_value() && !closes) TRY(check_size(source.size()));
  if (place == Place::Free) {
    const RegistryRow row = TRY(parts_.records.registry(registry->id));
    const std::uint64_t cost = kEntryCharge + (held.has_value() ? 0 : closes ? open->bytes() : source.size());
    const std::uint64_t charge = cost - std::min(cost, open.has_value() ? open->bytes() : 0);
    // What an open segment was charged pays for its entry, too, if its object counts already: commit() says when.
    const Status room = charge == 0 ? Status() : claim.reserve(charge, row.used_bytes, registry->quota_bytes);
    if (!room.ok()) return exhausted(*registry, room.error());
    has_room_again(*registry, row.used_bytes);
  }
  if (held.has_value()) {
    TRY(check_held(*acts, stream->descriptor, entry, *held));
    return commit(origin, stream->descriptor, entry, *held);
  }
  if (closes) {
    const auto closed = TRY(close_segment(*acts, stream->descriptor, entry));
    if (!closed.has_value()) return not_held();
    return commit(origin, stream->descriptor, entry, *closed);
  }
  const ObjectRow received = TRY(receive(*acts, stream->descriptor, entry, source));
  return commit(origin, stream->descriptor, entry, received);
}

// A tenth, so that what is small enough to fit in beside a flood does not make each refusal news again.
void Deposits::has_room_again(const policy::Registry& registry, std::uint64_t used_bytes) {
  if (used_bytes > registry.quota_bytes - registry.quota_bytes / 10) return;
  const MutexLock lock(mutex_);
  alarmed_.erase(registry.id);
}

Result<bool> Deposits::has_quota_for(const format::RegistryId& id, std::uint64_t object_bytes) {
  const auto acts = parts_.acts.in_force();
  const policy::Registry* const registry = acts->policy.policy.registry(id);
  if (registry == nullptr) return false;
  const std::uint64_t used = TRY(parts_.records.registry(id)).used_bytes;
  const auto wanted =
      checked_add(TRY(checked_add(used, claims_.reserved(id))), TRY(checked_add(object_bytes, kEntryCharge)));
  return wanted.ok() && wanted.value() <= registry->quota_bytes;
}

Error Deposits::exhausted(const policy::Registry& registry, const Error& error) {
  bool is_news = false;
  {
    const MutexLock lock(mutex_);
    is_news = alarmed_.insert(registry.id).second;
  }
  // Once: whoever floods the vault shall not flood its log too.
  if (is_news) parts_.log.write(env::LogLevel::Error, "registry " + registry.name + ": " + error.message());
  return error;
}

Result<Deposits::Place> Deposits::place_of(const format::SignedEntry& entry, const HeadRow& head) {
  const auto held = TRY(parts_.records.entry(entry.entry.stream, entry.entry.index));
  if (held.has_value()) {
    const bool same = held->object == entry.entry.object && held->chain == entry.entry.chain &&
                      held->snapshot_oldest == entry.entry.snapshot_oldest;
    if (same) return Place::Held;
    return fork(entry_of(entry.entry.stream, entry.entry.index, *held), entry);
  }
  if (entry.entry.index < head.next)
    return Error(Code::Corrupt, noun_of(entry) + " has no row, yet lies below the head");
  if (entry.entry.index.value() - head.next.value() > kMaxIndexGap) {
    return Error(Code::InvalidInput,
                 noun_of(entry) + " is too far beyond the head at " + std::to_string(head.next.value()));
  }
  TRY(check_neighbours(entry, head));
  return Place::Free;
}

Status Deposits::check_neighbours(const format::SignedEntry& entry, const HeadRow& head) {
  const format::Entry& claimed = entry.entry;
  std::optional<EntryRow> before;
  std::optional<format::ChainHash> chain_before;
  if (claimed.index.value() == 0) {
    chain_before = format::chain_start(claimed.stream);
  } else {
    before = TRY(parts_.records.entry(claimed.stream, format::EntryIndex(claimed.index.value() - 1)));
    if (before.has_value()) chain_before = before->chain;
  }
  if (claimed.index == head.next && (!chain_before.has_value() || *chain_before != head.chain)) {
    return Error(Code::Corrupt, "head of stream " + claimed.stream.hex() + " does not fit its last entry");
  }
  if (chain_before.has_value() &&
      claimed.chain != format::next_chain(*chain_before, claimed.object, claimed.snapshot_oldest)) {
    // Against the stream's start an entry contradicts nothing but arithmetic: a mistake, not a second history.
    if (!before.has_value()) return Error(Code::InvalidInput, noun_of(entry) + " does not begin the stream's chain");
    return fork(entry_of(claimed.stream, format::EntryIndex(claimed.index.value() - 1), *before), entry);
  }
  const format::EntryIndex index_after(claimed.index.value() + 1);
  const auto after = TRY(parts_.records.entry(claimed.stream, index_after));
  if (after.has_value() && after->chain != format::next_chain(claimed.chain, after->object, after->snapshot_oldest)) {
    return fork(entry_of(claimed.stream, index_after, *after), entry);
  }
  return {};
}

Error Deposits::fork(const format::SignedEntry& held, const format::SignedEntry& entry) {
  const format::StreamId& stream = entry.entry.stream;
  Records::Change change(parts_.records);
  const auto known = parts_.records.fork(stream);
  if (known.ok() && !known.value().has_value()) {
    parts_.log.write(env::LogLevel::Error, "fork: " + noun_of(entry) + " contradicts entry " +
                                               std::to_string(held.entry.index.value()) +
                                               " that is held; the writer signed both");
    change.put_fork(stream, {held.document(), entry.document()});
    const Status kept = parts_.records.commit(change);
    if (!kept.ok()) parts_.log.write(env::LogLevel::Error, "fork evidence was not kept: " + kept.error().message());
  }
  return {Code::Conflict,
          noun_of(entry) + " contradicts entry " + std::to_string(held.entry.index.value()) + " that is held here"};
}

Result<std::optional<ObjectRow>> Deposits::held_object(const format::RegistryId& registry,
                                                       const format::ObjectName& name) const {
  const auto row = TRY(parts_.records.object(name));
  if (!row.has_value() || row->key.registry != registry) return std::optional<ObjectRow>();
  if (parts_.damages.has(name)) return std::optional<ObjectRow>();
  const auto size = parts_.objects.size_of(name);
  // A lost file is received anew, so that a writer can heal what the disk lost; so is one that was cut short.
  if (!size.ok() && size.error().code() == Code::NotFound) return std::optional<ObjectRow>();
  if (!size.ok()) return size.error();
  if (size.value() != row->bytes) return std::optional<ObjectRow>();
  return row;
}

Status Deposits::check_key(const ActsInForce& acts, const format::StreamDescriptor& stream,
                           const format::SignedEntry& entry, const format::KeyId& key) const {
  const policy::Era* const era = acts.era(stream.registry, stream.era);
  if (era == nullptr || key.registry != stream.registry || key.era != stream.era || !era->has(key)) {
    return Error(Code::Denied, noun_of(entry) + ": object is sealed for " + format::to_string(key) +
                                   ", which is no key of the stream's era");
  }
  const auto oldest = entry.entry.snapshot_oldest;
  if (oldest.has_value() && *oldest > key.period) {
    return Error(Code::InvalidInput, noun_of(entry) + ": its snapshot needs periods later than its own");
  }
  return {};
}

Status Deposits::check_kind(const format::StreamDescriptor& stream, const format::SignedEntry& entry,
                            ByteView front) const {
  const format::Suite suite = TRY(format::decode_header(front)).suite;
  if (stream.kind == format::StreamKind::Objects) {
    if (suite == format::Suite::Chunked) return {};
    return Error(Code::InvalidInput, noun_of(entry) + ": a journal's segment in a stream of objects");
  }
  const auto segment = format::decode_segment_front(front);
  if (!segment.ok()) return Error(Code::InvalidInput, noun_of(entry) + ": " + segment.error().message());
  const format::SegmentPlace place{entry.entry.stream, entry.entry.index};
  if (segment.value().place == place) return {};
  return Error(Code::InvalidInput, noun_of(entry) + ": its object is " + format::to_string(segment.value().place));
}

Status Deposits::check_held(const ActsInForce& acts, const format::StreamDescriptor& stream,
                            const format::SignedEntry& entry, const ObjectRow& held) const {
  TRY(check_key(acts, stream, entry, held.key));
  Bytes front(format::kSegmentFrontBytes);
  TRY(parts_.objects.read(entry.entry.object, 0, front));
  return check_kind(stream, entry, front);
}

Result<std::optional<ObjectRow>> Deposits::close_segment(const ActsInForce& acts,
                                                         const format::StreamDescriptor& stream,
                                                         const format::SignedEntry& entry) {
  const format::ObjectName& name = entry.entry.object;
  const format::SegmentPlace place{entry.entry.stream, entry.entry.index};
  const auto open = parts_.segments.row(place);
  if (!open.has_value()) return std::optional<ObjectRow>();
  TRY(check_key(acts, stream, entry, open->key));
  const auto adopted = TRY(parts_.segments.adopt(
      place, name, [&](const SegmentFiles::Attempt& attempt) { return publish(attempt, name, open->bytes()); }));
  if (!adopted.has_value()) return std::optional<ObjectRow>();
  TRY(parts_.damages.clear(name));
  ObjectRow row;
  row.key = adopted->key;
  row.bytes = adopted->bytes();
  return std::optional(row);
}

Result<ObjectRow> Deposits::receive(const ActsInForce& acts, const format::StreamDescriptor& stream,
                                    const format::SignedEntry& entry, wire::ObjectSource& source) {
  const std::uint64_t size = source.size();
  auto upload = TRY(parts_.objects.begin_upload(entry.entry.object, size));
  Bytes buffer(kStoredPieceBytes);
  crypto::TreeHasher hasher;
  const auto given = source.name();
  ObjectRow row;
  row.bytes = size;
  for (std::uint64_t done = 0; done < size;) {
    const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(kStoredPieceBytes, size - done));
    const ByteView piece = TRY(source.next(MutableByteView(buffer).first(take)));
    if (done == 0) {
      const auto header = format::decode_header(piece);
      if (!header.ok() && header.error().code() == Code::Unsupported) return header.error();
      if (!header.ok()) return Error(Code::InvalidInput, noun_of(entry) + ": " + header.error().message());
      if (format::object_bytes(header.value().size_class) != size) {
        return Error(Code::InvalidInput, noun_of(entry) + ": object has " + std::to_string(size) +
                                             " bytes, its class " + std::to_string(header.value().size_class) +
                                             " wants " +
                                             std::to_string(format::object_bytes(header.value().size_class)));
      }
      row.key = header.value().key;
      TRY(check_key(acts, stream, entry, row.key));
      TRY(check_kind(stream, entry, piece));
    }
    if (!given.has_value()) hasher.update(piece);
    TRY(upload->append(piece));
    done += take;
  }
  const format::ObjectName found = given.value_or(format::ObjectName(hasher.finish().array()));
  if (found != entry.entry.object) {
    return Error(Code::InvalidInput,
                 noun_of(entry) + ": the bytes have the name " + found.hex() + ", not " + entry.entry.object.hex());
  }
  TRY(publish([&](store::IfPresent if_present) { return upload->publish(if_present); }, found, size));
  TRY(parts_.damages.clear(found));
  return row;
}

Status Deposits::publish(const SegmentFiles::Attempt& attempt, const format::ObjectName& name, std::uint64_t bytes) {
  if (TRY(attempt(store::IfPresent::Keep)) == store::PutOutcome::Stored) return {};
  const auto damage = TRY(detail::find_damage(parts_.objects, name, bytes, [](std::size_t) -> Status { return {}; }));
  if (!damage.has_value()) {
    if (!TRY(parts_.records.object(name)).has_value()) ++adopted_objects_;
    return {};
  }
  TRY(attempt(store::IfPresent::SetAside));
  parts_.log.write(env::LogLevel::Error,
                   "object " + name.hex() + ": the file that lay there was set aside: " + *damage);
  return {};
}

Result<HeadRow> Deposits::commit(const Origin& origin, const format::StreamDescriptor& stream,
                                 const format::SignedEntry& entry, ObjectRow deposited) {
  const detail::GatePass pass(gate_);
  const auto enter = [&] { return commit_entry(origin, stream, entry, deposited); };
  const format::SegmentPlace place{entry.entry.stream, entry.entry.index};
  auto head =
      stream.kind == format::StreamKind::Journal ? parts_.segments.close(place, entry.entry.object, enter) : enter();
  if (head.ok()) return head;
  const Status charged = charge_without_entry(stream, entry.entry.object, deposited);
  if (!charged.ok()) {
    parts_.log.write(env::LogLevel::Error,
                     "object " + entry.entry.object.hex() +
                         " is stored without an entry and was not counted: " + charged.error().message());
  }
  return head;
}

Status Deposits::charge_without_entry(const format::StreamDescriptor& stream, const format::ObjectName& name,
                                      ObjectRow deposited) {
  Records::Change change(parts_.records);
  if (TRY(parts_.records.object(name)).has_value()) return {};
  const auto acts = parts_.acts.in_force();
  const policy::Registry* const registry = acts->policy.policy.registry(stream.registry);
  deposited.retain_until_seconds =
      later_by(parts_.clock.now().seconds(), registry != nullptr ? registry->retention_seconds : 0);
  RegistryRow row = TRY(parts_.records.registry(stream.registry));
  row.used_bytes = TRY(checked_add(row.used_bytes, deposited.bytes));
  change.put_object(name, deposited);
  change.put_registry(stream.registry, row);
  change.put_object_count(TRY(parts_.records.object_count()) + 1);
  return parts_.records.commit(change);
}

Result<HeadRow> Deposits::commit_entry(const Origin& origin, const format::StreamDescriptor& stream,
                                       const format::SignedEntry& entry, ObjectRow deposited) {
  const auto acts = parts_.acts.in_force();  // a policy may have come while the object did
  const policy::Registry* const registry = TRY(registry_for(acts->policy.policy, origin, stream));
  if (registry->id != stream.registry) return Error(Code::Denied, "the stream's writer writes another registry by now");
  Records::Change change(parts_.records);
  HeadRow head = TRY(parts_.records.head(entry.entry.stream)).value_or(HeadRow{});
  if (TRY(place_of(entry, head)) == Place::Held) return head;

  const auto known = TRY(parts_.records.object(entry.entry.object));
  std::uint64_t charge = kEntryCharge;
  if (!known.has_value()) charge += deposited.bytes;
  RegistryRow row = TRY(parts_.records.registry(registry->id));
  const format::SegmentPlace place{entry.entry.stream, entry.entry.index};
  const auto open =
      stream.kind == format::StreamKind::Journal ? TRY(parts_.records.segment(place)) : std::optional<SegmentRow>();
  if (open.has_value()) row.used_bytes -= std::min(row.used_bytes, open->bytes());
  if (row.used_bytes > registry->quota_bytes || charge > registry->quota_bytes - row.used_bytes) {
    return exhausted(*registry, Error(Code::Exhausted, "quota was lowered meanwhile"));
  }
  row.used_bytes += charge;

  const std::int64_t retain_until = later_by(parts_.clock.now().seconds(), registry->retention_seconds);
  deposited.retain_until_seconds =
      known.has_value() ? std::max(known->retain_until_seconds, retain_until) : retain_until;
  head = TRY(advanced(head, entry));

  change.put_entry(entry);
  if (open.has_value()) change.erase_segment(place);
  change.put_object(entry.entry.object, deposited);
  change.put_registry(registry->id, row);
  change.put_head(entry.entry.stream, head);
  if (!known.has_value()) change.put_object_count(TRY(parts_.records.object_count()) + 1);
  TRY(parts_.records.commit(change));
  return head;
}

Result<HeadRow> Deposits::advanced(HeadRow head, const format::SignedEntry& entry) const {
  head.held += 1;
  if (entry.entry.index != head.next) return head;
  head.next = format::EntryIndex(head.next.value() + 1);
  head.chain = entry.entry.chain;
  head.durable_at_seconds = parts_.clock.now().seconds();
  // Those that came early. At most kMaxIndexGap of them, since no entry is further beyond the head.
  const auto join = [&](format::EntryIndex index, const EntryRow& row) -> Result<table::Visit> {
    if (index != head.next) return table::Visit::Stop;
    if (row.chain != format::next_chain(head.chain, row.object, row.snapshot_oldest)) {
      return Error(Code::Corrupt, "entries of stream " + entry.entry.stream.hex() + " do not chain at index " +
                                      std::to_string(index.value()));
    }
    head.next = format::EntryIndex(index.value() + 1);
    head.chain = row.chain;
    return table::Visit::Continue;
  };
  TRY(parts_.records.scan_entries(entry.entry.stream, head.next, join));
  return head;
}

}  // namespace exclave::vault
