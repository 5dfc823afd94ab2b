#include "spread/copies_reader.h"

#include <algorithm>

namespace exclave::spread {
namespace {

// What an unknown vault is believed to need, so that each is tried early on: 1 GB/s.
constexpr double kFirstGuessNanosecondsPerByte = 1.0;
// A request costs something by itself; without this, tiny reads would decide the average.
constexpr double kRequestBytes = 65536.0;
constexpr double kNewWeight = 0.2;

}  // namespace

struct CopiesReader::Source {
  store::VaultApi* vault = nullptr;
  VaultReadStatistics statistics;
  double nanoseconds_per_byte = kFirstGuessNanosecondsPerByte;
  std::size_t under_way = 0;
  env::Instant rests_until{};
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

std::vector<std::size_t> CopiesReader::order() const {
  const env::Instant now = clock_.monotonic();
  const env::MonitorLock lock(*monitor_);
  std::vector<std::pair<std::pair<bool, double>, std::size_t>> ranked;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const Source& source = *sources_[i];
    const double cost = static_cast<double>(source.under_way + 1) * source.nanoseconds_per_byte;
    ranked.push_back({{source.rests_until > now, cost}, i});
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::size_t> order;
  for (const auto& [rank, index] : ranked) order.push_back(index);
  return order;
}

template <typename Attempt>
Status CopiesReader::try_each(const format::ObjectName& name, std::size_t bytes, const Attempt& attempt) {
  std::string reasons;
  std::optional<Error> worst;
  bool all_missing = true;
  for (const std::size_t index : order()) {
    Source& source = *sources_[index];
    {
      const env::MonitorLock lock(*monitor_);
      ++source.under_way;
    }
    const env::Instant start = clock_.monotonic();
    Status result = attempt(*source.vault);
    const env::Instant end = clock_.monotonic();
    const env::MonitorLock lock(*monitor_);
    --source.under_way;
    ++source.statistics.reads;
    if (result.ok()) {
      source.statistics.bytes += bytes;
      const double measured = static_cast<double>((end - start).count()) / (static_cast<double>(bytes) + kRequestBytes);
      source.nanoseconds_per_byte += kNewWeight * (measured - source.nanoseconds_per_byte);
      source.rests_until = {};
      return result;
    }
    ++source.statistics.failures;
    const Code code = result.error().code();
    if (code == Code::Unavailable) source.rests_until = end + std::chrono::seconds(kRestSeconds);
    if (code != Code::NotFound) all_missing = false;
    reasons += (reasons.empty() ? "" : "; ") + source.statistics.vault + ": " + result.error().message();
    if (incidents_.size() < kMaxIncidents) incidents_.push_back({source.statistics.vault, name, result.error()});
    // A vault that cannot answer may hold what the others lack: missing is only what all of them miss.
    if (!worst.has_value() || worst->code() == Code::NotFound || code == Code::Corrupt) worst = result.error();
  }
  const Code code = all_missing ? Code::NotFound : worst->code();
  return Error(code, "object " + name.hex().substr(0, 16) + ": no vault gave a good copy (" + reasons + ")");
}

Result<std::uint64_t> CopiesReader::size_of(const format::ObjectName& name) {
  std::uint64_t size = 0;
  TRY(try_each(name, 0, [&](store::VaultApi& vault) -> Status {
    size = TRY(vault.size_of(name));
    return {};
  }));
  return size;
}

Status CopiesReader::read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) {
  return try_each(name, out.size(), [&](store::VaultApi& vault) { return vault.read(name, offset, out); });
}

Status CopiesReader::read_checked(const format::ObjectName& name, std::uint64_t offset, MutableByteView out,
                                  const Check& check) {
  return try_each(name, out.size(), [&](store::VaultApi& vault) -> Status {
    TRY(vault.read(name, offset, out));
    return check(out);
  });
}

Status CopiesReader::read_checked(const format::ObjectName& name, std::span<const Range> ranges,
                                  const std::function<Status()>& check) {
  std::size_t bytes = 0;
  for (const Range& range : ranges) bytes += range.out.size();
  return try_each(name, bytes, [&](store::VaultApi& vault) -> Status {
    for (const Range& range : ranges) TRY(vault.read(name, range.offset, range.out));
    return check();
  });
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
