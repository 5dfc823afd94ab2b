#include "repo/buffer_pool.h"

namespace exclave::repo {

BufferPool::BufferPool(env::Threads& threads, std::size_t limit) : shared_(std::make_shared<Shared>()), limit_(limit) {
  shared_->monitor = threads.make_monitor();
}

std::shared_ptr<Bytes> BufferPool::acquire(std::size_t bytes) {
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
  if (buffer == nullptr) buffer = std::make_unique<Bytes>();
  if (buffer->size() < bytes) {
    buffer->clear();  // else growing would copy what nobody wants
    buffer->resize(bytes);
  }
  return {buffer.release(), [shared = shared_](Bytes* returned) {
            std::unique_ptr<Bytes> owned(returned);
            const env::MonitorLock lock(*shared->monitor);
            --shared->lent;
            shared->free.push_back(std::move(owned));
            shared->monitor->notify_all();
          }};
}

}  // namespace exclave::repo
