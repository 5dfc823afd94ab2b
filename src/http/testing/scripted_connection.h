// Scripted connection: a peer that follows a script, on a clock that only the script moves. For tests of this module.
//
//   script := (bytes | pause | cut)*      then the end of the stream
//
// I1  A read takes at most the rest of one piece of bytes; a pause longer than the deadline allows is cut at the
// deadline.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>

#include "env/network.h"

namespace exclave::http::testing {

class FakeClock final : public env::Clock {
 public:
  env::Timestamp now() override { return {monotonic_.nanoseconds}; }
  env::Instant monotonic() override { return monotonic_; }
  Status sleep_until(env::Instant deadline) override {
    monotonic_ = std::max(monotonic_, deadline);
    return {};
  }
  void advance(std::chrono::nanoseconds by) { monotonic_ = monotonic_ + by; }

 private:
  env::Instant monotonic_{1'000'000'000};
};

class ScriptedConnection final : public env::Connection {
 public:
  explicit ScriptedConnection(FakeClock& clock) : clock_(clock) {}

  ScriptedConnection& sends(std::string_view bytes) {
    script_.push_back({.bytes = std::string(bytes)});
    return *this;
  }
  ScriptedConnection& pauses(std::chrono::nanoseconds time) {
    script_.push_back({.bytes = {}, .pause = time});
    return *this;
  }
  ScriptedConnection& cuts() {
    script_.push_back({.bytes = {}, .is_cut = true});
    return *this;
  }
  // A pause that stands next is over: its time has passed while nobody read.
  void resumes() {
    if (!script_.empty() && script_.front().pause.count() > 0) script_.pop_front();
  }
  // Every byte a piece of its own, `gap` apart.
  ScriptedConnection& drips(std::string_view bytes, std::chrono::nanoseconds gap) {
    for (const char c : bytes) pauses(gap).sends({&c, 1});
    return *this;
  }
  // The peer takes `bytes` per write, each after `gap`; after `total` bytes it resets.
  ScriptedConnection& takes(std::size_t bytes, std::chrono::nanoseconds gap, std::size_t total) {
    write_piece_ = bytes;
    write_gap_ = gap;
    write_total_ = total;
    return *this;
  }

  const std::string& written() const { return written_; }
  std::size_t writes() const { return writes_; }
  bool is_shut_down() const { return shut_down_; }
  bool is_exhausted() const { return script_.empty(); }

  Result<std::size_t> read_some(MutableByteView out, env::Instant deadline) override {
    while (!script_.empty()) {
      Step& step = script_.front();
      if (step.is_cut) return Error(Code::Unavailable, "connection reset");
      if (step.pause.count() > 0) {
        const auto allowed = std::max(deadline - clock_.monotonic(), std::chrono::nanoseconds(0));
        const auto waited = std::min(step.pause, allowed);
        clock_.advance(waited);
        step.pause -= waited;
        if (step.pause.count() > 0) return Error(Code::Unavailable, "deadline passed");
        script_.pop_front();
        continue;
      }
      const std::size_t size = std::min(out.size(), step.bytes.size());
      std::memcpy(out.data(), step.bytes.data(), size);
      step.bytes.erase(0, size);
      if (step.bytes.empty()) script_.pop_front();
      if (size > 0) return size;
    }
    return std::size_t{0};
  }

  Result<std::size_t> write_some(ByteView data, env::Instant deadline) override {
    if (clock_.monotonic() + write_gap_ > deadline) {
      clock_.advance(std::max(deadline - clock_.monotonic(), std::chrono::nanoseconds(0)));
      return Error(Code::Unavailable, "deadline passed");
    }
    clock_.advance(write_gap_);
    if (written_.size() >= write_total_) return Error(Code::Unavailable, "broken pipe");
    const ByteView piece = data.first(std::min(data.size(), write_piece_));
    written_.append(as_text(piece));
    ++writes_;
    return piece.size();
  }

  bool is_readable() override { return script_.empty() || script_.front().pause.count() == 0; }
  bool takes_at_once(std::size_t) override { return write_gap_.count() == 0; }
  std::shared_ptr<const env::Watch> wake_when_readable(env::Waker&) override { return nullptr; }
  void shutdown() override { shut_down_ = true; }
  std::string peer_address() const override { return "script:1"; }

 private:
  struct Step {
    std::string bytes;
    std::chrono::nanoseconds pause{0};
    bool is_cut = false;
  };

  FakeClock& clock_;
  std::deque<Step> script_;
  std::string written_;
  std::size_t writes_ = 0;
  std::size_t write_piece_ = SIZE_MAX;
  std::chrono::nanoseconds write_gap_{0};
  std::size_t write_total_ = SIZE_MAX;
  bool shut_down_ = false;
};

}  // namespace exclave::http::testing
