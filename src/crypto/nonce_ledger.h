// Nonce ledger: records a fingerprint of every (key, nonce) that sealed something in this process; a repeat aborts.
// Used by tests (docs/testing.md); off unless enabled, then one hash-set insert per sealed message.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace exclave::crypto {

// Process-wide on purpose (ADR-0007): the property is about the process, and only tests switch it on, at their start.
void enable_nonce_ledger();
void record_nonce(ByteView key, ByteView nonce);  // no-op unless enabled; CHECK-fails on a repeat
std::uint64_t recorded_nonces();

}  // namespace exclave::crypto
