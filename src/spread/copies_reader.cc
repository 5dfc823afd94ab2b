#include "spread/copies_reader.h"

#include "base/text.h"
#include "format/object.h"
#include "store/vault_words.h"

#include <algorithm>
#include <tuple>

namespace exclave::spread {
namespace {

// What an unknown vault is believed to need, so that each is tried early on: 1 GB/s.
constexpr double kFirstGuessNanosecondsPerByte = 1.0;
// A request costs something by itself; without this, tiny reads would decide the average.
constexpr double kRequestBytes = 65536.0;
constexpr double kNewWeight = 0.2;
// What a failure counts at least: an error that comes at once is no fast answer.
constexpr std::chrono::nanoseconds kFailureTime = std::chrono::seconds(1);

// What a vault's answer means for the object that was asked for. A vault may answer anything at all, and only what is
// listed here tells something else than that it gives no good copy.
Code code_of_copy(const Error& answer) {
  switch (answer.code()) {
    case Code::NotFound:
    case Code::Unavailable:
    case Code::Cancelled:  // never a vault's word: whoever asked gave up
      return answer.code();
    case Code::InvalidInput:
    case Code::AlreadyExists:
    case Code::Denied:
    case Code::Corrupt:
    case Code::Conflict:
    case Code::Precondition:
    case Code::Exhausted:
    case Code::OutcomeUnknown:
    case Code::Unsupported:
    case Code::Bug:
      return Code::Corrupt;
  }
  return Code::Corrupt;
}

}  // namespace

struct CopiesReader::Source {
  store::VaultApi* vault = nullptr;
  VaultReadStatistics statistics;
  double nanoseconds_per_byte = kFirstGuessNanosecondsPerByte;
  std::size_t under_way = 0;
  // A vault that fails rests, each time twice as long; then one read tries it, and the others wait for what that says.
  std::uint32_t failures_in_row = 0;
  std::uint32_t rests_in_row = 0;
  env::Instant rests_until{};
  bool is_away = false;  // its last answer was none
  bool is_probed = false;

  bool is_proven() const { return rests_in_row == 0; }
  void note_success(double nanoseconds_per_byte_now) {
    // After a rest, what was measured before it tells nothing.
    const double weight = is_proven() ? kNewWeight : 1.0;
    nanoseconds_per_byte += weight * (nanoseconds_per_byte_now - nanoseconds_per_byte);
    failures_in_row = 0;
    rests_in_row = 0;
    rests_until = {};
    is_away = false;
  }
  void note_failure(Code code, env::Instant start, env::Instant end, double cost_bytes) {
    is_away = code == Code::Unavailable;
    ++failures_in_row;
    // Every vault may lack an object: only one that lacks whatever it is asked for is no good.
    if (code == Code::NotFound && failures_in_row == 1) return;
    const double measured = static_cast<double>(std::max(end - start, kFailureTime).count()) / cost_bytes;
    nanoseconds_per_byte += kNewWeight * (measured - nanoseconds_per_byte);
    if (start < rests_until) return;  // it was asked for want of others, or along with the read that found it out
    const std::int64_t seconds = std::min(kRestSeconds << std::min(rests_in_row, 16U), kLongestRestSeconds);
    rests_until = end + std::chrono::seconds(seconds);
    ++rests_in_row;
  }
};

CopiesReader::CopiesReader(env::Threads& threads, env::Clock& clock, std::vector<store::VaultApi*> vaults)
    : clock_(clock), monitor_(threads.make_monitor()) {
  CHECK(!vaults.empty());
  for (store::VaultApi* vault : vaults) {
    auto source = std::make_unique<Source>();
    source->vault = vault;
    source->statistics.vault = vault->name();
    sources_.push_back(std::move(source));
  }
}

CopiesReader::~CopiesReader() = default;

// A vault whose rest is over comes first, for one read: else nobody would learn that it is back. Resting ones come last.
std::vector<std::size_t> CopiesReader::order() const {
  enum class Rank { Probe, Proven, Resting };
  const env::Instant now = clock_.monotonic();
  const env::MonitorLock lock(*monitor_);
  std::vector<std::tuple<Rank, double, std::size_t>> ranked;
  bool probes = false;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const Source& source = *sources_[i];
    const double cost = static_cast<double>(source.under_way + 1) * source.nanoseconds_per_byte;
    Rank rank = Rank::Proven;
    if (!source.is_proven()) {
      const bool probe = !probes && source.rests_until <= now && !source.is_probed;
      rank = probe ? Rank::Probe : Rank::Resting;
      probes = probes || probe;
    }
    ranked.emplace_back(rank, cost, i);
  }
  std::sort(ranked.begin(), ranked.end());
  if (std::get<Rank>(ranked.front()) == Rank::Probe) sources_[std::get<std::size_t>(ranked.front())]->is_probed = true;
  std::vector<std::size_t> order;
  for (const auto& [rank, cost, index] : ranked) order.push_back(index);
  return order;
}

template <typename Attempt>
Status CopiesReader::try_each(const format::ObjectName& name, std::size_t bytes, const Attempt& attempt) {
  std::string reasons;
  std::string away;
  std::optional<Code> worst;
  bool all_missing = true;
  bool all_told_to_stop = true;
  for (const std::size_t index : order()) {
    Source& source = *sources_[index];
    {
      const env::MonitorLock lock(*monitor_);
      ++source.under_way;
    }
    const env::Instant start = clock_.monotonic();
    const Result<std::size_t> result = attempt(*source.vault);
    const env::Instant end = clock_.monotonic();
    const double cost_bytes = static_cast<double>(result.ok() ? result.value() : bytes) + kRequestBytes;
    const env::MonitorLock lock(*monitor_);
    --source.under_way;
    source.is_probed = false;
    ++source.statistics.reads;
    if (result.ok()) {
      source.statistics.bytes += result.value();
      source.note_success(static_cast<double>((end - start).count()) / cost_bytes);
      return {};
    }
    ++source.statistics.failures;
    source.note_failure(result.error().code(), start, end, cost_bytes);
    const Code code = code_of_copy(result.error());
    if (result.error().code() != Code::Cancelled) all_told_to_stop = false;
    if (code != Code::NotFound) all_missing = false;
    if (code == Code::Unavailable) away += (away.empty() ? "" : " and ") + source.statistics.vault;
    append_item(reasons, store::in_list(source.statistics.vault, result.error()), "; ");
    if (incidents_.size() < kMaxIncidents) incidents_.push_back({source.statistics.vault, name, result.error()});
    // A vault that cannot answer may hold what the others lack: missing is only what all of them miss.
    if (!worst.has_value() || worst == Code::NotFound || code == Code::Corrupt) worst = code;
  }
  // The vaults are not to blame.
  if (worst.has_value() && all_told_to_stop)
    return Error(Code::Cancelled, "interrupted while " + format::object_words(name) + " was read")
        .hint("run it again to go on");
  const Code code = all_missing ? Code::NotFound : *worst;
  if (!away.empty()) away = ", and " + away + " may have one but gave no answer";
  return Error(code, format::object_words(name) + ": no vault gave a good copy" + away + " (" + reasons + ")")
      .hint("bring back a vault that has one; who has what: exclave verify");
}

bool CopiesReader::is_answering() const {
  const env::MonitorLock lock(*monitor_);
  return std::any_of(sources_.begin(), sources_.end(), [](const auto& source) { return !source->is_away; });
}

Result<std::uint64_t> CopiesReader::size_of(const format::ObjectName& name) {
  std::uint64_t size = 0;
  TRY(try_each(name, 0, [&](store::VaultApi& vault) -> Result<std::size_t> {
    size = TRY(vault.size_of(name));
    return std::size_t{0};
  }));
  return size;
}

Status CopiesReader::read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) {
  return try_each(name, out.size(), [&](store::VaultApi& vault) -> Result<std::size_t> {
    TRY(vault.read(name, offset, out));
    return out.size();
  });
}

Status CopiesReader::read_checked(const format::ObjectName& name, std::uint64_t offset, MutableByteView out,
                                  const Check& check) {
  return try_each(name, out.size(), [&](store::VaultApi& vault) -> Result<std::size_t> {
    TRY(vault.read(name, offset, out));
    TRY(check(out));
    return out.size();
  });
}

Status CopiesReader::read_checked(const format::ObjectName& name, std::span<const Range> ranges,
                                  const std::function<Status()>& check) {
  std::size_t bytes = 0;
  for (const Range& range : ranges) bytes += range.out.size();
  return try_each(name, bytes, [&](store::VaultApi& vault) -> Result<std::size_t> {
    for (const Range& range : ranges) TRY(vault.read(name, range.offset, range.out));
    TRY(check());
    return bytes;
  });
}

Result<Bytes> CopiesReader::read_whole(const format::ObjectName& name, std::uint64_t most, const Check& check) {
  Bytes object;
  TRY(try_each(name, static_cast<std::size_t>(most), [&](store::VaultApi& vault) -> Result<std::size_t> {
    const std::uint64_t size = TRY(vault.size_of(name));
    if (size > most) return Error(Code::Corrupt, "it says that the object has " + std::to_string(size) + " bytes");
    object.resize(static_cast<std::size_t>(size));
    TRY(vault.read(name, 0, object));
    TRY(check(object));
    return object.size();
  }));
  return object;
}

std::vector<ReadIncident> CopiesReader::incidents() const {
  const env::MonitorLock lock(*monitor_);
  return incidents_;
}

std::vector<VaultReadStatistics> CopiesReader::statistics() const {
  const env::MonitorLock lock(*monitor_);
  std::vector<VaultReadStatistics> all;
  for (const auto& source : sources_) all.push_back(source->statistics);
  return all;
}

}  // namespace exclave::spread
