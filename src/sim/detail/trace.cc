#include "sim/detail/trace.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace exclave::sim::detail {

Trace::Trace(std::function<void(std::string_view)> sink) : sink_(std::move(sink)), last_(kKept) {}

void Trace::record(std::int64_t now, std::uint32_t actor_id, const std::string& actor, const CallText& call,
                   const Outcome& outcome) {
  hash_ = fold(hash_, static_cast<std::uint64_t>(now));
  hash_ = fold(hash_, actor_id);
  hash_ = fold(hash_, as_bytes(call.name));
  hash_ = fold(hash_, as_bytes(call.object));
  hash_ = fold(hash_, call.a);
  hash_ = fold(hash_, call.b);
  hash_ = fold(hash_, outcome.ok ? outcome.value : ~static_cast<std::uint64_t>(outcome.code));

  Entry& entry = last_[count_++ % kKept];
  entry.now = now;
  entry.actor = &actor;
  entry.name = call.name;
  const std::size_t size = std::min(call.object.size(), entry.object.size());
  std::copy_n(call.object.begin(), size, entry.object.begin());
  entry.object_size = static_cast<std::uint8_t>(size);
  entry.a = call.a;
  entry.b = call.b;
  entry.outcome = outcome;
  if (sink_) sink_(line(entry));
}

std::string Trace::line(const Entry& entry) {
  const std::string_view object(entry.object.data(), entry.object_size);
  const std::string outcome =
      entry.outcome.ok ? fmt::format("ok {}", entry.outcome.value) : std::string(name_of(entry.outcome.code));
  return fmt::format("{:>14} ns  {:<20} {:<14} {} ({}, {}) -> {}", entry.now, *entry.actor, entry.name,
                     printable(object), entry.a, entry.b, outcome);
}

std::string Trace::tail(std::size_t count) const {
  const std::uint64_t kept = std::min<std::uint64_t>({count, count_, kKept});
  std::string text;
  for (std::uint64_t i = count_ - kept; i < count_; ++i) text += line(last_[i % kKept]) + "\n";
  return text;
}

}  // namespace exclave::sim::detail
