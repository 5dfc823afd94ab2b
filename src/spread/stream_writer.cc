#include "spread/stream_writer.h"

#include <algorithm>
#include <deque>

#include "env/at_once.h"
#include "policy/policy.h"
#include "store/vault_words.h"

namespace exclave::spread {

struct StreamWriter::Lane {
  store::VaultApi* vault = nullptr;
  VaultProgress progress;
  std::deque<Item> queue;
  std::unique_ptr<env::Thread> thread;
  std::chrono::nanoseconds held_up{};  // how long it alone was waited for
};

StreamWriter::StreamWriter(env::Threads& threads, env::Clock& clock, std::uint32_t durable_copies,
                           const format::SignedStream& stream, const crypto::Ed25519SigningKey& writer_key,
                           Behind behind)
    : clock_(clock),
      durable_copies_(durable_copies),
      stream_id_(stream.descriptor.id()),
      writer_key_(writer_key),
      behind_(behind),
      opened_(clock.monotonic()),
      monitor_(threads.make_monitor()) {}

Result<std::unique_ptr<StreamWriter>> StreamWriter::open(env::Threads& threads, env::Clock& clock,
                                                         std::vector<store::VaultApi*> vaults,
                                                         std::uint32_t durable_copies,
                                                         const format::SignedStream& stream,
                                                         const crypto::Ed25519SigningKey& writer_key, Behind behind,
                                                         const std::map<std::string, Error>& away) {
  CHECK(durable_copies >= 1);
  std::unique_ptr<StreamWriter> writer(new StreamWriter(threads, clock, durable_copies, stream, writer_key, behind));
  for (store::VaultApi* vault : vaults) {
    auto lane = std::make_unique<Lane>();
    lane->vault = vault;
    lane->progress.vault = vault->name();
    if (const auto known = away.find(vault->name()); known != away.end()) lane->progress.failure = known->second;
    writer->lanes_.push_back(std::move(lane));
  }
  env::at_once(
      threads, writer->lanes_.size(), [&](std::size_t i) { return "open-" + writer->lanes_[i]->progress.vault; },
      [&](std::size_t i) {
        Lane& lane = *writer->lanes_[i];
        if (lane.progress.failure.has_value()) return;
        Status opened = lane.vault->open_stream(stream);
        const env::MonitorLock lock(*writer->monitor_);
        if (!opened.ok()) lane.progress.failure = opened.take_error();
      });
  {
    const env::MonitorLock lock(*writer->monitor_);
    if (auto error = writer->too_few_left_locked()) return *error;
  }
  for (const auto& lane : writer->lanes_) {
    auto sender = threads.start("send-" + lane->progress.vault,
                                [raw = writer.get(), lane = lane.get()] { raw->run_lane(*lane); });
    if (sender.ok()) {
      lane->thread = sender.take();
      continue;
    }
    const env::MonitorLock lock(*writer->monitor_);
    lane->progress.failure = sender.take_error();
    if (auto error = writer->too_few_left_locked()) return *error;
  }
  return writer;
}

StreamWriter::~StreamWriter() {
  {
    const env::MonitorLock lock(*monitor_);
    closed_ = true;
    for (const auto& lane : lanes_) lane->queue.clear();
    monitor_->notify_all();
  }
  for (const auto& lane : lanes_) {
    if (lane->thread != nullptr) lane->thread->join();
  }
}

// The receipt's signature was checked by the vault's client; here it must fit the chain that we signed.
Status StreamWriter::accept_receipt(const Lane& lane, const format::SignedReceipt& receipt) const {
  const std::uint64_t index = receipt.receipt.index.value();
  if (receipt.receipt.stream != stream_id_ || index >= chain_.size() || receipt.receipt.chain != chain_[index]) {
    return Error(Code::Corrupt, "vault " + lane.progress.vault + " gave a receipt for something that was not sent");
  }
  return {};
}

void StreamWriter::run_lane(Lane& lane) {
  monitor_->lock();
  while (true) {
    while (lane.queue.empty() && !closed_) monitor_->wait();
    if (lane.queue.empty() || lane.progress.failure.has_value()) break;
    // The item stays at the front while it is sent, so that the queue's depth bounds what a vault may hold back.
    Item item = lane.queue.front();
    monitor_->unlock();
    const env::Instant start = clock_.monotonic();
    auto receipt = lane.vault->put_sealed(item.entry, item.object);
    item = {};
    const auto took = clock_.monotonic() - start;
    monitor_->lock();
    lane.progress.send_time += took;
    if (!lane.queue.empty()) lane.queue.pop_front();
    if (!receipt.ok()) {
      lane.progress.failure = receipt.take_error();
    } else if (receipt.value().has_value()) {
      Status fits = accept_receipt(lane, *receipt.value());
      if (!fits.ok()) {
        lane.progress.failure = fits.take_error();
      } else if (receipt.value()->receipt.index.value() + 1 > lane.progress.head) {
        lane.progress.head = receipt.value()->receipt.index.value() + 1;
        lane.progress.receipt = *receipt.value();
      }
    }
    monitor_->notify_all();
    if (lane.progress.failure.has_value()) break;
  }
  lane.queue.clear();
  monitor_->notify_all();
  monitor_->unlock();
}

std::uint64_t StreamWriter::durable_count_locked() const {
  std::vector<std::uint64_t> heads;
  for (const auto& lane : lanes_) heads.push_back(lane->progress.head);
  return policy::reached_by(durable_copies_, std::move(heads)).value_or(0);
}

std::optional<Error> StreamWriter::too_few_left_locked() const {
  std::size_t left = 0;
  store::TooFewVaults too_few;
  for (const auto& lane : lanes_) {
    if (lane->progress.failure.has_value()) {
      too_few.add(lane->progress.vault, *lane->progress.failure);
    } else {
      ++left;
    }
  }
  if (left >= durable_copies_) return std::nullopt;
  return too_few.error(left, lanes_.size(), durable_copies_, "accept objects",
                       "interrupted while objects were sent to the vaults");
}

Result<format::EntryIndex> StreamWriter::push(store::SealedObject object,
                                              std::optional<format::PeriodNumber> snapshot_oldest) {
  format::Entry entry;
  {
    const env::MonitorLock lock(*monitor_);
    entry.stream = stream_id_;
    entry.index = format::EntryIndex(chain_.size());
    entry.object = object.name;
    entry.snapshot_oldest = snapshot_oldest;
    entry.chain = format::next_chain(chain_.empty() ? format::chain_start(stream_id_) : chain_.back(), object.name,
                                     snapshot_oldest);
    chain_.push_back(entry.chain);
  }
  const Item item{format::SignedEntry::sign(entry, writer_key_), std::move(object)};
  const env::MonitorLock lock(*monitor_);
  for (const auto& lane : lanes_) {
    wait_for_room_locked(*lane);
    if (!lane->progress.failure.has_value()) lane->queue.push_back(item);
  }
  monitor_->notify_all();
  if (auto error = too_few_left_locked()) return *error;
  return entry.index;
}

std::uint64_t StreamWriter::durable_count() {
  const env::MonitorLock lock(*monitor_);
  return durable_count_locked();
}

bool StreamWriter::is_holding_up_locked(const Lane& lane) const {
  const auto ready = std::ranges::count_if(lanes_, [&](const auto& each) {
    return each.get() != &lane && each->queue.size() < kQueueDepth && !each->progress.failure.has_value();
  });
  return ready >= static_cast<std::ptrdiff_t>(durable_copies_);
}

// How long k of the others were at work: while this one was waited for, too.
std::chrono::nanoseconds StreamWriter::time_without_locked(const Lane& lane) const {
  std::vector<std::chrono::nanoseconds> times;
  for (const auto& each : lanes_) {
    if (each.get() != &lane && !each->progress.failure.has_value()) times.push_back(each->progress.send_time);
  }
  std::ranges::sort(times);
  return times.at(durable_copies_ - 1);
}

void StreamWriter::wait_for_room_locked(Lane& lane) {
  while (lane.queue.size() >= kQueueDepth && !lane.progress.failure.has_value()) {
    if (behind_ == Behind::WaitForAll || !is_holding_up_locked(lane)) {
      monitor_->wait();
      continue;
    }
    const env::Instant began = clock_.monotonic();
    const auto all_else = std::max(began - opened_ - held_up_, time_without_locked(lane));
    const auto patience = std::max<std::chrono::nanoseconds>(kTimesAsLong * all_else, kAtLeast) - lane.held_up;
    if (patience <= std::chrono::nanoseconds{}) {
      lane.progress.failure =
          Error(Code::Unavailable, "it takes objects much more slowly than the others; it was left behind");
      return;
    }
    monitor_->wait_until(began + patience);
    const auto waited = clock_.monotonic() - began;
    lane.held_up += waited;
    held_up_ += waited;
  }
}

Status StreamWriter::wait_durable(std::uint64_t count) {
  const env::MonitorLock lock(*monitor_);
  while (durable_count_locked() < count) {
    // A vault that has dropped out keeps its head; what it holds still counts.
    const bool any_working = std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) {
      return !lane->progress.failure.has_value() && !lane->queue.empty();
    });
    if (!any_working) {
      if (auto error = too_few_left_locked()) return *error;
      return Error(Code::Unavailable, "the vaults did not confirm every entry of the stream");
    }
    monitor_->wait();
  }
  return {};
}

void StreamWriter::finish(std::optional<env::Instant> deadline) {
  {
    const env::MonitorLock lock(*monitor_);
    closed_ = true;
    monitor_->notify_all();
    const auto is_sending = [](const auto& lane) {
      return !lane->queue.empty() && !lane->progress.failure.has_value();
    };
    while (std::any_of(lanes_.begin(), lanes_.end(), is_sending)) {
      if (!deadline.has_value()) {
        monitor_->wait();
        continue;
      }
      if (clock_.monotonic() >= *deadline) break;
      monitor_->wait_until(*deadline);
    }
    for (const auto& lane : lanes_) lane->queue.clear();
  }
  for (const auto& lane : lanes_) {
    if (lane->thread != nullptr) lane->thread->join();
  }
}

std::vector<VaultProgress> StreamWriter::progress() const {
  const env::MonitorLock lock(*monitor_);
  std::vector<VaultProgress> all;
  for (const auto& lane : lanes_) all.push_back(lane->progress);
  return all;
}

}  // namespace exclave::spread
