// Queue<T>: a bounded queue between threads. Full = the producer waits (back-pressure), never growth.
//
//   push ... push close      pop ... pop nullopt
//
// I1  Items leave in the order in which they came.
// I2  After close(), push returns false (the item is dropped) and pop drains what is left, then returns nullopt.
// Threads: any number of producers and consumers.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "env/threads.h"

namespace exclave::env {

template <typename T>
class Queue {
 public:
  // `capacity` >= 1, in items.
  Queue(Threads& threads, std::size_t capacity) : monitor_(threads.make_monitor()), capacity_(capacity) {}

  bool push(T item) {
    const MonitorLock lock(*monitor_);
    while (items_.size() >= capacity_ && !closed_) monitor_->wait();
    if (closed_) return false;
    items_.push_back(std::move(item));
    monitor_->notify_all();
    return true;
  }

  std::optional<T> pop() {
    const MonitorLock lock(*monitor_);
    while (items_.empty() && !closed_) monitor_->wait();
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    monitor_->notify_all();
    return item;
  }

  void close() {
    const MonitorLock lock(*monitor_);
    closed_ = true;
    monitor_->notify_all();
  }

 private:
  const std::unique_ptr<Monitor> monitor_;
  const std::size_t capacity_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace exclave::env
