#include "agent/frame_writer.h"

namespace exclave::agent {
namespace {

// What takes less time to compress and seal than to hand to another thread.
constexpr std::size_t kMostAtOnce = 64 * 1024;

}  // namespace

FrameWriter::FrameWriter(env::Threads& threads, Append append, std::function<void()> on_written)
    : append_(std::move(append)), on_written_(std::move(on_written)), monitor_(threads.make_monitor()) {}

Result<std::unique_ptr<FrameWriter>> FrameWriter::start(env::Threads& threads, const std::string& dataset,
                                                        Append append, std::function<void()> on_written) {
  std::unique_ptr<FrameWriter> writer(new FrameWriter(threads, std::move(append), std::move(on_written)));
  writer->thread_ = TRY(threads.start("frames-" + dataset, [self = writer.get()] { self->run(); }));
  return writer;
}

FrameWriter::~FrameWriter() {
  if (thread_ == nullptr) return;
  {
    const env::MonitorLock lock(*monitor_);
    is_ending_ = true;
    monitor_->notify_all();
  }
  thread_->join();
}

Result<FrameWriter::Written> FrameWriter::append_from(LogFramer& framer, std::uint64_t commits) {
  const pg::Lsn end = framer.end();
  const ByteView record = TRY(framer.take());
  return Written{TRY(append_(record)), end, record.size(), commits};
}

Status FrameWriter::write(LogFramer& framer, std::uint64_t commits) {
  {
    const env::MonitorLock lock(*monitor_);
    const bool at_once = !is_busy_ && framer.size() <= kMostAtOnce;
    while (!at_once && is_busy_ && !error_.has_value()) monitor_->wait();
    if (error_.has_value()) return *error_;
    if (!at_once) {
      held_.trade(framer);
      held_commits_ = commits;
      is_busy_ = true;
      monitor_->notify_all();
      return {};
    }
  }
  auto written = append_from(framer, commits);
  const env::MonitorLock lock(*monitor_);
  if (!written.ok()) {
    error_ = written.error();
    return *error_;
  }
  written_.push_back(written.take());
  return {};
}

Result<std::vector<FrameWriter::Written>> FrameWriter::take_written() {
  const env::MonitorLock lock(*monitor_);
  if (error_.has_value()) return *error_;
  return std::exchange(written_, {});
}

Status FrameWriter::settle() {
  const env::MonitorLock lock(*monitor_);
  while (is_busy_ && !error_.has_value()) monitor_->wait();
  if (error_.has_value()) return *error_;
  return {};
}

void FrameWriter::run() {
  monitor_->lock();
  while (!is_ending_) {
    if (!is_busy_) {
      monitor_->wait();
      continue;
    }
    const std::uint64_t commits = held_commits_;
    monitor_->unlock();
    auto written = append_from(held_, commits);
    monitor_->lock();
    is_busy_ = false;
    if (written.ok())
      written_.push_back(written.take());
    else if (!error_.has_value())
      error_ = written.take_error();
    monitor_->notify_all();
    monitor_->unlock();
    on_written_();
    monitor_->lock();
  }
  monitor_->unlock();
}

}  // namespace exclave::agent
