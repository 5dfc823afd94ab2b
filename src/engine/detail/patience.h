// Patience: how long vaults that take their time are waited for, while others have answered long ago.
// Hides: the rule.
//
// I1  Until so many have answered that no other's word is needed, everybody is waited for. From then on whoever takes
//     spread::kTimesAsLong as long as they did, and spread::kAtLeast, is asked nothing more: a vault that answers each of a thousand calls just
//     in time must not hold up a restore for days. A long line is no reason: it is not twenty times as slow.
// Threads: any.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

#include "base/result.h"
#include "env/time.h"
#include "spread/stream_writer.h"

namespace exclave::engine::detail {

class Patience {
 public:
  // `enough`: vaults. Begins now.
  Patience(env::Clock& clock, std::size_t enough)
      : clock_(clock), missing_(static_cast<std::int64_t>(enough)), began_(clock.monotonic()) {}

  // A vault has said all that it was asked.
  void one_has_answered() {
    if (--missing_ == 0) took_ = (clock_.monotonic() - began_).count();
  }
  // Asked between two calls of one vault. Unavailable: no more of it is waited for.
  Status check() const {
    if (missing_ > 0) return {};
    const auto limit =
        std::max<std::chrono::nanoseconds>(spread::kTimesAsLong * std::chrono::nanoseconds(took_), spread::kAtLeast);
    if (clock_.monotonic() - began_ <= limit) return {};
    return Error(Code::Unavailable, "it answers much more slowly than the others; it is not waited for any longer");
  }

 private:
  env::Clock& clock_;
  std::atomic<std::int64_t> missing_;
  std::atomic<std::int64_t> took_{0};  // nanoseconds
  const env::Instant began_;
};

}  // namespace exclave::engine::detail
