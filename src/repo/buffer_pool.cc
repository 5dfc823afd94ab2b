#include "repo/buffer_pool.h"

namespace exclave::repo {

BufferPool::BufferPool(env::Threads& threads, std::size_t limit, std::size_t bytes_each)
    : shared_(std::make_shared<Shared>()), limit_(limit), bytes_each_(bytes_each) {
  shared_->monitor = threads.make_monitor();
}

std::shared_ptr<Bytes> BufferPool::acquire() {
  std::unique_ptr<Bytes> buffer;
  {
    const env::MonitorLock lock(*shared_->monitor);
    while (shared_->lent >= limit_) shared_->monitor->wait();
    ++shared_->lent;
    if (!shared_->free.empty()) {
      buffer = std::move(shared_->free.back());
      shared_->free.pop_back();
    }
  }
  if (buffer == nullptr) buffer = std::make_unique<Bytes>(bytes_each_);
  return {buffer.release(), [shared = shared_](Bytes* returned) {
            std::unique_ptr<Bytes> owned(returned);
            const env::MonitorLock lock(*shared->monitor);
            --shared->lent;
            shared->free.push_back(std::move(owned));
            shared->monitor->notify_all();
          }};
}

}  // namespace exclave::repo
