// Trace: folds every env call into one hash, and remembers the last ones for the dump of a stuck run.
//
//   call := time actor name object a b outcome        all of them enter the hash
//
// I1  Same seed and same program give the same hash.
// Threads: only the actor that holds the baton records.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "sim/detail/seeded.h"

namespace exclave::sim::detail {

// What a call is about. `name` and `actor` names outlive the trace; `object` is copied (cut at 63 bytes for the dump).
struct CallText {
  const char* name = "";
  std::string_view object = {};
  std::uint64_t a = 0;
  std::uint64_t b = 0;
};

struct Outcome {
  bool ok = true;
  Code code = Code::Bug;  // only if !ok
  std::uint64_t value = 0;
};

template <typename T>
Outcome outcome_of(const Result<T>& result) {
  if (!result.ok()) return {.ok = false, .code = result.error().code()};
  if constexpr (std::is_integral_v<T>) return {.value = static_cast<std::uint64_t>(result.value())};
  return {};
}

class Trace {
 public:
  explicit Trace(std::function<void(std::string_view)> sink);
  void record(std::int64_t now, std::uint32_t actor_id, const std::string& actor, const CallText& call,
              const Outcome& outcome);
  std::uint64_t hash() const { return hash_; }
  // The last `count` calls, one a line, oldest first; at most 256.
  std::string tail(std::size_t count) const;

 private:
  static constexpr std::size_t kKept = 256;
  struct Entry {
    std::int64_t now = 0;
    const std::string* actor = nullptr;
    const char* name = "";
    std::array<char, 63> object{};
    std::uint8_t object_size = 0;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    Outcome outcome;
  };
  static std::string line(const Entry& entry);

  const std::function<void(std::string_view)> sink_;
  std::uint64_t hash_ = kHashStart;
  std::uint64_t count_ = 0;
  std::vector<Entry> last_;
};

}  // namespace exclave::sim::detail
