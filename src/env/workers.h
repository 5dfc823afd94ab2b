// Workers: runs pure CPU work on several threads and hands the results back in the order in which it was given.
// Hides: how many threads there are; the caller sees a pipeline of bounded depth.
//
//   OrderedPipeline<In, Out> pipe(threads, n, depth, work, sink);
//   pipe.submit(item) ...       blocks while `depth` items are inside
//   Status end = pipe.finish(); after the sink has seen every result, or with the first error of work or sink
//
// I1  sink(result) is called once per item, in submission order, by one thread at a time.
// I2  After an error no further sink call happens; submit returns that error.
// I3  Fewer workers than asked for are enough; if not even one could be started, submit and finish return why.
// Threads: one submitter. work runs on any worker concurrently: pure functions on values, plus a per-worker context.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "env/threads.h"

namespace exclave::env {

template <typename In, typename Out>
class OrderedPipeline {
 public:
  using Work = std::function<Result<Out>(In, std::size_t worker)>;  // worker: 0..workers-1, for per-worker contexts
  using Sink = std::function<Status(Out)>;

  OrderedPipeline(Threads& threads, std::size_t workers, std::size_t depth, Work work, Sink sink)
      : monitor_(threads.make_monitor()),
        depth_(std::max<std::size_t>(depth, 1)),
        work_(std::move(work)),
        sink_(std::move(sink)) {
    for (std::size_t i = 0; i < std::max<std::size_t>(workers, 1); ++i) {
      auto thread = threads.start("worker-" + std::to_string(i), [this, i] { run(i); });
      if (thread.ok()) {
        threads_.push_back(thread.take());
      } else if (threads_.empty()) {
        error_ = thread.take_error();
        return;
      }
    }
  }
  OrderedPipeline(const OrderedPipeline&) = delete;
  OrderedPipeline& operator=(const OrderedPipeline&) = delete;
  ~OrderedPipeline() {
    {
      const MonitorLock lock(*monitor_);
      if (!error_.has_value()) error_ = Error(Code::Cancelled, "pipeline abandoned");
      closed_ = true;
      monitor_->notify_all();
    }
    for (auto& thread : threads_) thread->join();
  }

  Status submit(In item) {
    const MonitorLock lock(*monitor_);
    while (slots_.size() >= depth_ && !error_.has_value()) monitor_->wait();
    if (error_.has_value()) return *error_;
    slots_.push_back(std::make_unique<Slot>(std::move(item)));
    monitor_->notify_all();
    return {};
  }

  Status finish() {
    {
      const MonitorLock lock(*monitor_);
      while (!slots_.empty() && !error_.has_value()) monitor_->wait();
      closed_ = true;
      monitor_->notify_all();
    }
    for (auto& thread : threads_) thread->join();
    const MonitorLock lock(*monitor_);
    if (error_.has_value()) return *error_;
    return {};
  }

 private:
  enum class State { Waiting, Running, Done };
  struct Slot {
    explicit Slot(In in) : input(std::move(in)) {}
    State state = State::Waiting;
    std::optional<In> input;
    std::optional<Out> output;
  };

  void run(std::size_t worker) {
    monitor_->lock();
    while (true) {
      if (error_.has_value()) break;
      // Results first: they free places. One thread drains at a time, so the sink sees them in order.
      if (!draining_ && !slots_.empty() && slots_.front()->state == State::Done) {
        draining_ = true;
        std::optional<Out> output = std::move(slots_.front()->output);
        monitor_->unlock();
        Status sunk = sink_(std::move(*output));
        monitor_->lock();
        draining_ = false;
        if (!sunk.ok() && !error_.has_value()) error_ = sunk.take_error();
        slots_.pop_front();
        monitor_->notify_all();
        continue;
      }
      Slot* next = nullptr;
      for (auto& slot : slots_) {
        if (slot->state == State::Waiting) {
          next = slot.get();
          break;
        }
      }
      if (next != nullptr) {
        next->state = State::Running;
        std::optional<In> input = std::move(next->input);
        next->input.reset();
        monitor_->unlock();
        Result<Out> output = work_(std::move(*input), worker);
        monitor_->lock();
        if (output.ok()) {
          next->output.emplace(output.take());
          next->state = State::Done;
        } else if (!error_.has_value()) {
          error_ = output.take_error();
        }
        monitor_->notify_all();
        continue;
      }
      if (closed_ && slots_.empty()) break;
      monitor_->wait();
    }
    monitor_->notify_all();
    monitor_->unlock();
  }

  const std::unique_ptr<Monitor> monitor_;
  const std::size_t depth_;
  const Work work_;
  const Sink sink_;
  // Under monitor_:
  std::deque<std::unique_ptr<Slot>> slots_;  // in submission order; the front is the next for the sink
  std::optional<Error> error_;
  bool draining_ = false;
  bool closed_ = false;

  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace exclave::env
