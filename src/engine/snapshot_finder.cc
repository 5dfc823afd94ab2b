#include "engine/snapshot_finder.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <tuple>

#include "base/text.h"
#include "engine/detail/patience.h"
#include "env/at_once.h"
#include "format/object.h"
#include "store/vault_words.h"

namespace exclave::engine {
namespace {

struct VaultView {
  std::string vault;
  std::vector<store::HeldEntry> entries;  // believed ones, from index 0 without gaps
};

std::string stream_words(const format::StreamId& stream) {
  return "stream " + stream.hex().substr(0, 16);
}

// Fetches a stream from one vault, and keeps the part that proves itself. Mostly one call: nothing is asked for behind what the
// vault shows.
Result<VaultView> fetch_stream(store::VaultApi& vault, const store::StreamHead& head, const detail::Patience& patience,
                               std::vector<std::string>& problems) {
  const format::SignedStream& stream = head.stream;
  VaultView view;
  view.vault = vault.name();
  const format::StreamId id = stream.descriptor.id();
  format::ChainHash chain = format::chain_start(id);
  std::uint64_t next = 0;
  while (next < head.entries) {
    TRY(patience.check());
    const auto page = TRY(vault.entries(id, format::EntryIndex(next), store::kMaxEntriesPerCall));
    if (page.empty()) return view;
    for (const store::HeldEntry& held : page) {
      const format::Entry& entry = held.entry.entry;
      if (entry.stream != id || entry.index.value() != next) {
        problems.push_back("vault " + view.vault + ": " + stream_words(id) + " has a gap at entry " +
                           std::to_string(next));
        return view;
      }
      chain = format::next_chain(chain, entry.object, entry.snapshot_oldest);
      if (entry.chain != chain || !held.entry.check_signature(stream.descriptor.writer).ok()) {
        problems.push_back("vault " + view.vault + ": entry " + std::to_string(next) + " of " + stream_words(id) +
                           " does not prove itself");
        return view;
      }
      view.entries.push_back(held);
      ++next;
    }
  }
  return view;
}

// Every capture has a stream, and a vault may be far away: several calls are on their way at once.
constexpr std::size_t kLookersPerVault = 4;
constexpr std::size_t kStreamsWorthALooker = 16;

struct FetchedStream {
  std::optional<Result<VaultView>> view;  // none: another one's failure ended all
  std::vector<std::string> problems;
};

std::vector<FetchedStream> fetch_streams(env::Threads& threads, store::VaultApi& vault,
                                         const std::vector<store::StreamHead>& heads,
                                         const detail::Patience& patience) {
  std::vector<FetchedStream> fetched(heads.size());
  std::atomic<std::size_t> next{0};
  std::atomic<bool> has_failed{false};
  const auto look = [&] {
    while (!has_failed) {
      const std::size_t i = next++;
      if (i >= heads.size()) return;
      fetched[i].view = fetch_stream(vault, heads[i], patience, fetched[i].problems);
      if (!fetched[i].view->ok()) has_failed = true;
    }
  };
  const std::size_t lookers = std::clamp<std::size_t>(heads.size() / kStreamsWorthALooker, 1, kLookersPerVault);
  if (lookers == 1) {
    look();
  } else {
    env::at_once(
        threads, lookers, [&](std::size_t) { return "look-" + vault.name(); }, [&](std::size_t) { look(); });
  }
  return fetched;
}

// All that one vault shows of the registry.
struct VaultAnswer {
  bool has_answered = false;
  std::optional<Error> failure;  // what ended it; what came before stays
  std::vector<std::pair<format::SignedStream, VaultView>> streams;
  std::vector<std::string> problems;
};

VaultAnswer ask(env::Threads& threads, const PinnedRegistry& registry, detail::Patience& patience,
                store::VaultApi& vault) {
  VaultAnswer answer;
  auto heads = vault.heads(registry.registry.id);
  if (!heads.ok()) {
    answer.failure = heads.take_error();
    return answer;
  }
  answer.has_answered = true;
  std::vector<store::StreamHead> own;
  for (store::StreamHead& head : heads.value()) {
    if (registry.is_own(head.stream)) {
      own.push_back(std::move(head));
    } else {
      answer.problems.push_back("vault " + vault.name() + " shows " + stream_words(head.stream.descriptor.id()) +
                                ", which no writer of this registry signed");
    }
  }
  std::vector<FetchedStream> fetched = fetch_streams(threads, vault, own, patience);
  for (std::size_t i = 0; i < own.size(); ++i) {
    std::ranges::move(fetched[i].problems, std::back_inserter(answer.problems));
    if (!fetched[i].view.has_value()) continue;
    if (fetched[i].view->ok()) {
      answer.streams.emplace_back(own[i].stream, fetched[i].view->take());
    } else if (!answer.failure.has_value()) {
      answer.failure = fetched[i].view->take_error();
    }
  }
  if (!answer.failure.has_value()) patience.one_has_answered();
  return answer;
}

// Of all vaults at once: one that is silent costs its time once, and nobody else's.
std::vector<VaultAnswer> ask_all(env::Clock& clock, env::Threads& threads, const PinnedRegistry& registry,
                                 const std::vector<store::VaultApi*>& vaults) {
  std::vector<VaultAnswer> answers(vaults.size());
  detail::Patience patience(clock, registry.policy.quorum.answers_needed(registry.policy.vaults.size()));
  env::at_once(
      threads, vaults.size(), [&](std::size_t i) { return "look-" + vaults[i]->name(); },
      [&](std::size_t i) { answers[i] = ask(threads, registry, patience, *vaults[i]); });
  return answers;
}

// What a vault says of an object without giving it out; nullopt if no object can be like that.
std::optional<format::ObjectReference> told_by(const store::HeldEntry& held) {
  const auto size_class = format::class_of_bytes(held.object_bytes);
  if (!size_class.has_value()) return std::nullopt;
  return format::ObjectReference{held.entry.entry.object, *size_class, held.period};
}

Result<format::ObjectReference> reference_from(const format::ObjectName& name, ByteView header) {
  const format::ObjectHeader decoded = TRY(format::decode_header(header));
  return format::ObjectReference{name, decoded.size_class, decoded.key.period};
}

Result<format::ObjectReference> reference_from_header(store::VaultApi& vault, const format::ObjectName& name) {
  Bytes header(format::kObjectHeaderBytes);
  TRY(vault.read(name, 0, header));
  return reference_from(name, header);
}

// From an object whose bytes bear its name.
Result<format::ObjectReference> reference_from_whole(store::VaultApi& vault, const format::ObjectName& name) {
  const std::uint64_t size = TRY(vault.size_of(name));
  if (size > format::kMaxObjectBytes) return Error(Code::Corrupt, "is larger than an object can be");
  const Bytes object = TRY(store::read_object(vault, name, size));
  if (format::name_of(object) != name) return Error(Code::Corrupt, "its bytes have another name");
  return reference_from(name, object);
}

// Asks for one object those vaults that list it, in turn. A vault that does not answer is not asked again.
class Witnesses {
 public:
  Witnesses(std::vector<store::VaultApi*>& answering, format::ObjectName name,
            std::function<bool(const std::string&)> lists_it)
      : answering_(answering), name_(name), lists_it_(std::move(lists_it)) {}

  using Look = Result<format::ObjectReference> (*)(store::VaultApi&, const format::ObjectName&);
  // The first answer that `is_right`; nullopt if there is none: then failure() says why.
  template <typename IsRight>
  std::optional<format::ObjectReference> find(Look look, IsRight&& is_right) {
    const std::vector<store::VaultApi*> all = answering_;
    for (store::VaultApi* vault : all) {
      if (!lists_it_(vault->name())) continue;
      auto found = look(*vault, name_);
      if (found.ok() && is_right(found.value())) return found.value();
      const Error why = found.ok() ? Error(Code::Corrupt, "its header is another object's") : found.error();
      append_item(reasons_, store::in_list(vault->name(), why), "; ");
      if (!found.ok() && found.error().code() == Code::Unavailable) std::erase(answering_, vault);
    }
    return std::nullopt;
  }
  Error failure() const {
    return {Code::NotFound,
            format::object_words(name_) + ": " + (reasons_.empty() ? "no vault gives it out" : reasons_)};
  }

 private:
  std::vector<store::VaultApi*>& answering_;
  const format::ObjectName name_;
  const std::function<bool(const std::string&)> lists_it_;
  std::string reasons_;
};

void note_lost(RegistryHoldings& holdings, FoundSnapshot snapshot, Error why) {
  holdings.problems.push_back("snapshot " + snapshot.object.name.hex().substr(0, 16) +
                              " cannot be read: " + why.message());
  holdings.lost.push_back({std::move(snapshot), std::move(why)});
}

// Joins what each vault shows.
class HoldingsFinder {
 public:
  explicit HoldingsFinder(const PinnedRegistry& registry) : registry_(registry) {}

  Result<RegistryHoldings> find(const std::vector<store::VaultApi*>& vaults, std::vector<VaultAnswer> answers) {
    std::size_t answered = 0;
    for (std::size_t i = 0; i < vaults.size(); ++i) {
      if (answers[i].has_answered) ++answered;
      take(*vaults[i], std::move(answers[i]));
    }
    if (answered == 0) {
      std::string reasons;
      for (const std::string& reason : holdings_.unreachable) append_item(reasons, reason, "; ");
      return Error(Code::Unavailable, "no vault answers (" + reasons + ")")
          .hint("look at the line, the clock and the vaults: exclave status");
    }
    const policy::Policy& policy = registry_.policy;
    holdings_.is_whole = holdings_.answering.size() >= policy.quorum.answers_needed(policy.vaults.size());
    for (const auto& [id, stream] : streams_) join(id, stream);
    for (FoundSnapshot& snapshot : holdings_.snapshots) keep_complete(snapshot);
    std::sort(holdings_.snapshots.begin(), holdings_.snapshots.end(), [](const auto& a, const auto& b) {
      return is_older(a, b) || (!is_older(b, a) && a.object.name < b.object.name);
    });
    return std::move(holdings_);
  }

 private:
  void take(store::VaultApi& vault, VaultAnswer answer) {
    for (std::string& problem : answer.problems) holdings_.problems.push_back(std::move(problem));
    for (auto& [stream, view] : answer.streams) {
      streams_.emplace(stream.descriptor.id(), stream);
      views_[stream.descriptor.id()].push_back(std::move(view));
    }
    if (answer.failure.has_value()) {
      holdings_.unreachable.push_back(store::in_list(vault.name(), *answer.failure));
    } else {
      holdings_.answering.push_back(&vault);
    }
  }

  // One stream, as its longest holder has it; the others must agree as far as they go.
  void join(const format::StreamId& id, const format::SignedStream& stream) {
    const std::vector<VaultView>& views = views_[id];
    FoundStream found;
    found.stream = stream;
    for (const VaultView& view : views) found.heads[view.vault] = view.entries.size();
    const VaultView& longest =
        *std::max_element(views.begin(), views.end(),
                          [](const VaultView& a, const VaultView& b) { return a.entries.size() < b.entries.size(); });
    found.entries = longest.entries.size();
    for (const store::HeldEntry& held : longest.entries)
      found.newest_period = std::max(found.newest_period, held.period);
    std::vector<std::uint64_t> heads;
    for (const auto& [vault, head] : found.heads) heads.push_back(head);
    found.durable_entries = policy::reached_by(registry_.policy.quorum.k, std::move(heads)).value_or(found.entries);
    for (const VaultView& view : views) {
      const std::size_t common = view.entries.size();
      if (common > 0 && view.entries[common - 1].entry.entry.chain != longest.entries[common - 1].entry.entry.chain) {
        holdings_.problems.push_back("fork: vaults " + view.vault + " and " + longest.vault +
                                     " hold different histories of " + stream_words(id) +
                                     ", both signed by the writer");
      }
    }
    // No snapshot refers to what stands in a journal (journal_reader.h).
    const bool is_journal = stream.descriptor.kind == format::StreamKind::Journal;
    for (std::size_t i = 0; i < longest.entries.size() && !is_journal; ++i) {
      const store::HeldEntry& held = longest.entries[i];
      const bool is_snapshot = held.entry.entry.snapshot_oldest.has_value();
      if (seen_.insert(held.entry.entry.object).second) {
        holdings_.objects.push_back(
            {held.entry.entry.object, held.object_bytes, is_snapshot, stream.descriptor.era, stream.descriptor.kind});
      }
      if (is_snapshot) add_snapshot(stream, held.entry.entry, views, i);
    }
    holdings_.streams.push_back(std::move(found));
  }

  // A snapshot refers to objects of earlier streams of its era too: a vault that missed part of one is not complete.
  void keep_complete(FoundSnapshot& snapshot) const {
    std::erase_if(snapshot.complete_at, [&](const std::string& vault) {
      return std::any_of(holdings_.streams.begin(), holdings_.streams.end(), [&](const FoundStream& stream) {
        const format::StreamDescriptor& descriptor = stream.stream.descriptor;
        // Nothing refers to a journal's segments.
        if (descriptor.kind != format::StreamKind::Objects) return false;
        if (descriptor.era != snapshot.era || descriptor.start >= snapshot.start) return false;
        const auto head = stream.heads.find(vault);
        return (head == stream.heads.end() ? 0 : head->second) < stream.durable_entries;
      });
    });
  }

  void add_snapshot(const format::SignedStream& stream, const format::Entry& entry, const std::vector<VaultView>& views,
                    std::size_t index) {
    FoundSnapshot snapshot;
    snapshot.stream = entry.stream;
    snapshot.start = stream.descriptor.start;
    snapshot.index = entry.index;
    snapshot.era = stream.descriptor.era;
    snapshot.oldest_period = *entry.snapshot_oldest;
    snapshot.taken_at_seconds = stream.descriptor.start_seconds();
    snapshot.object.name = entry.object;
    for (const VaultView& view : views) {
      if (view.entries.size() > index) snapshot.complete_at.push_back(view.vault);
    }
    auto reference = period_and_class(entry.object, views, index);
    if (!reference.ok()) return note_lost(holdings_, std::move(snapshot), reference.take_error());
    snapshot.object = reference.value();
    holdings_.snapshots.push_back(std::move(snapshot));
  }

  // What all vaults say that list it; if they differ, what a named object says, and whoever said otherwise is not asked
  // again.
  Result<format::ObjectReference> period_and_class(const format::ObjectName& name, const std::vector<VaultView>& views,
                                                   std::size_t index) {
    std::map<std::string, std::optional<format::ObjectReference>> told;
    std::optional<format::ObjectReference> agreed;
    bool differ = false;
    for (const VaultView& view : views) {
      if (view.entries.size() <= index || view.entries[index].entry.entry.object != name) continue;
      const auto said = told_by(view.entries[index]);
      told.emplace(view.vault, said);
      if (liars_.contains(view.vault)) continue;
      differ = differ || !said.has_value() || (agreed.has_value() && !(*agreed == *said));
      agreed = said;
    }
    if (agreed.has_value() && !differ) return *agreed;
    Witnesses witnesses(holdings_.answering, name, [&](const std::string& vault) { return told.contains(vault); });
    const auto right = witnesses.find(reference_from_whole, [](const auto&) { return true; });
    if (!right.has_value()) return witnesses.failure();
    for (const auto& [vault, said] : told) {
      if (said == right || !liars_.insert(vault).second) continue;
      holdings_.problems.push_back("vault " + vault + " says of snapshot " + name.hex().substr(0, 16) +
                                   " what its bytes do not bear out");
    }
    return *right;
  }

  const PinnedRegistry& registry_;
  std::map<format::StreamId, format::SignedStream> streams_;
  std::map<format::StreamId, std::vector<VaultView>> views_;
  std::set<format::ObjectName> seen_;
  std::set<std::string> liars_;  // vaults that said of an object what its bytes refute
  RegistryHoldings holdings_;
};

}  // namespace

Error not_shown(const RegistryHoldings& holdings, Error missing) {
  if (holdings.is_whole) return missing;
  std::string silent;
  for (const std::string& vault : holdings.unreachable) append_item(silent, vault, "; ");
  return Error(Code::Unavailable, missing.message() + "; but vaults that do not answer may hold it (" + silent + ")")
      .hint("bring these vaults back, and run the command again");
}

bool is_older(const FoundSnapshot& a, const FoundSnapshot& b) {
  return std::tie(a.era, a.start, a.index) < std::tie(b.era, b.start, b.index);
}

bool PinnedRegistry::is_own(const format::SignedStream& stream) const {
  const format::StreamDescriptor& descriptor = stream.descriptor;
  return descriptor.realm == policy.realm && descriptor.registry == registry.id &&
         std::count(writers.begin(), writers.end(), descriptor.writer) > 0 && stream.check_signature().ok();
}

Result<RegistryHoldings> find_holdings(env::Clock& clock, env::Threads& threads, const PinnedRegistry& registry,
                                       const std::vector<store::VaultApi*>& vaults) {
  return HoldingsFinder(registry).find(vaults, ask_all(clock, threads, registry, vaults));
}

void confirm_latest(RegistryHoldings& holdings) {
  while (!holdings.snapshots.empty()) {
    const FoundSnapshot& latest = holdings.snapshots.back();
    const auto stream = std::find_if(holdings.streams.begin(), holdings.streams.end(), [&](const FoundStream& each) {
      return each.stream.descriptor.id() == latest.stream;
    });
    Witnesses witnesses(holdings.answering, latest.object.name, [&](const std::string& vault) {
      const auto head = stream->heads.find(vault);
      return head != stream->heads.end() && head->second > latest.index.value();
    });
    const auto is_it = [&](const format::ObjectReference& found) { return found == latest.object; };
    if (witnesses.find(reference_from_header, is_it).has_value()) return;
    note_lost(holdings, latest, witnesses.failure());
    holdings.snapshots.pop_back();
  }
}

std::vector<FoundSnapshot> set_aside_unreleased(RegistryHoldings& holdings, format::EraNumber era,
                                                const std::vector<format::PeriodNumber>& periods) {
  const auto begins_outside = [&](const FoundSnapshot& found) {
    return found.era != era || periods.empty() || found.oldest_period < periods.front();
  };
  const auto is_opened = [&](const FoundSnapshot& found) {
    return !begins_outside(found) && found.object.period <= periods.back();
  };
  std::vector<FoundSnapshot> opened;
  std::vector<FoundSnapshot> aside;
  for (FoundSnapshot& found : holdings.snapshots) (is_opened(found) ? opened : aside).push_back(std::move(found));
  holdings.snapshots = std::move(opened);
  std::erase_if(holdings.lost, [&](const LostSnapshot& lost) { return begins_outside(lost.snapshot); });
  return aside;
}

Result<FoundSnapshot> choose_snapshot(const RegistryHoldings& holdings, std::string_view wanted) {
  if (holdings.snapshots.empty() && !holdings.problems.empty()) {
    return Error(Code::Corrupt, "no snapshot of this registry can be read: " + holdings.problems.front())
        .hint("look at all of it: exclave verify --site DIRECTORY --read-all");
  }
  if (holdings.snapshots.empty())
    return not_shown(holdings, Error(Code::NotFound, "the vaults hold no snapshot of this registry"));
  if (wanted == "latest") {
    const FoundSnapshot& latest = holdings.snapshots.back();
    for (const LostSnapshot& lost : holdings.lost) {
      if (!is_older(latest, lost.snapshot)) continue;
      return Error(lost.why.code(), "snapshot " + lost.snapshot.object.name.hex().substr(0, 12) +
                                        " is later than all that can be opened, but: " + lost.why.message())
          .hint("try again when more vaults answer, or take the latest that opens: --snapshot " +
                latest.object.name.hex().substr(0, 12));
    }
    return latest;
  }
  const FoundSnapshot* match = nullptr;
  if (wanted.size() < 4) {
    return Error(Code::InvalidInput, "snapshot '" + printable(wanted) + "' is too short a name")
        .hint("give at least 4 digits, or 'latest'");
  }
  for (const FoundSnapshot& snapshot : holdings.snapshots) {
    if (!snapshot.object.name.hex().starts_with(wanted)) continue;
    if (match != nullptr) {
      return Error(Code::InvalidInput, "snapshot '" + printable(wanted) + "' is ambiguous")
          .hint("give more digits of its name");
    }
    match = &snapshot;
  }
  if (match == nullptr) {
    return not_shown(holdings, Error(Code::NotFound, "no snapshot '" + printable(wanted) + "' in the vaults")
                                   .hint("list them: exclave snapshots"));
  }
  return *match;
}

}  // namespace exclave::engine
