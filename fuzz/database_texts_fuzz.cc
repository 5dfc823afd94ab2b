// Texts beside a database's log: the plan of a restored one, and where a stream was. Rejected, or written back as they stood.
#include "agent/stream_memory.h"
#include "base/check.h"
#include "engine/wal_directory.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto plan = exclave::engine::WalPlan::parse(input, "input");
  if (plan.ok()) {
    CHECK(!plan.value().ranges.empty());
    CHECK(plan.value().text() == exclave::as_text(input));
  }
  const auto position = exclave::agent::StreamPosition::parse(input, "input");
  if (position.ok()) CHECK(position.value().text() == exclave::as_text(input));
  return 0;
}
