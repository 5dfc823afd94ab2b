#include "wire/connection_pool.h"

#include <algorithm>
#include <utility>

namespace exclave::wire {
namespace {

// Half of what a vault waits for the next request.
constexpr std::chrono::seconds kMaxIdleTime{30};

Error was_shut_down() {
  return {Code::Cancelled, "the connections were shut down"};
}

}  // namespace

ConnectionPool::Lease::Lease(Lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), client_(std::move(other.client_)), is_reused_(other.is_reused_) {}

ConnectionPool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->give_back(std::move(client_));
}

ConnectionPool::ConnectionPool(Target target, std::size_t size)
    : target_(std::move(target)), monitor_(target_.threads.make_monitor()), free_(std::max<std::size_t>(size, 1)) {}

std::shared_ptr<http::Client> ConnectionPool::pop_idle(std::vector<Idle>& outdated) {
  const env::Instant now = target_.clock.monotonic();
  while (!idle_.empty()) {
    Idle last = std::move(idle_.back());
    idle_.pop_back();
    if (now - last.since < kMaxIdleTime) return std::move(last.client);
    outdated.push_back(std::move(last));
  }
  return nullptr;
}

Result<ConnectionPool::Lease> ConnectionPool::take(env::Instant deadline, const std::function<env::Instant()>& until) {
  std::vector<Idle> outdated;
  std::shared_ptr<http::Client> client;
  {
    const env::MonitorLock lock(*monitor_);
    while (free_ == 0 && !is_shut_) {
      if (target_.clock.monotonic() >= deadline) {
        return Error(Code::Unavailable, "all connections to " + target_.address + " are busy");
      }
      monitor_->wait_until(deadline);
    }
    if (is_shut_) return was_shut_down();
    --free_;
    client = pop_idle(outdated);
  }
  Lease lease(*this);
  lease.is_reused_ = client != nullptr;
  if (client == nullptr) client = TRY(connect(std::min(deadline, until())));
  lease.client_ = client;
  if (!note_leased(client)) return was_shut_down();
  return lease;
}

std::optional<ConnectionPool::Lease> ConnectionPool::take_idle() {
  std::vector<Idle> outdated;
  const env::MonitorLock lock(*monitor_);
  if (is_shut_ || free_ == 0) return std::nullopt;
  auto client = pop_idle(outdated);
  if (client == nullptr) return std::nullopt;
  --free_;
  leased_.push_back(client);
  Lease lease(*this);
  lease.is_reused_ = true;
  lease.client_ = std::move(client);
  return lease;
}

Result<std::unique_ptr<http::Client>> ConnectionPool::connect(env::Instant until) {
  auto bare = TRY(target_.network.connect(target_.address, until));
  auto secured = TRY(target_.transport.connect(std::move(bare), target_.identity, until));
  return std::make_unique<http::Client>(std::move(secured), target_.clock, target_.limits);
}

bool ConnectionPool::note_leased(const std::shared_ptr<http::Client>& client) {
  const env::MonitorLock lock(*monitor_);
  if (!is_shut_) leased_.push_back(client);
  return !is_shut_;
}

void ConnectionPool::shutdown() {
  std::vector<std::shared_ptr<http::Client>> leased;
  {
    const env::MonitorLock lock(*monitor_);
    is_shut_ = true;
    leased = leased_;
    monitor_->notify_all();
  }
  for (const auto& client : leased) client->shutdown();
}

void ConnectionPool::give_back(std::shared_ptr<http::Client> client) {
  const bool is_reusable = client != nullptr && client->is_reusable();
  const env::Instant now = target_.clock.monotonic();
  const env::MonitorLock lock(*monitor_);
  std::erase(leased_, client);
  ++free_;
  if (is_reusable && !is_shut_) idle_.push_back({std::move(client), now});
  monitor_->notify_all();
}

void ConnectionPool::forget_idle() {
  std::vector<Idle> forgotten;
  const env::MonitorLock lock(*monitor_);
  forgotten.swap(idle_);
}

}  // namespace exclave::wire
