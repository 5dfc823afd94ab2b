// Nonce ledger: records a fingerprint of every (key, nonce) that sealed something in this process, and of what came of
// it; another message under the same two aborts. Used by tests (docs/testing.md); off unless enabled, then one hash-map
// insert per sealed message.
//
// The very same message sealed again gives the very same bytes: that tells nobody anything, and happens when a machine
// that was set back to an image does the same work again. It is not counted twice.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace exclave::crypto {

// Process-wide on purpose (ADR-0007): the property is about the process, and only tests switch it on, at their start.
void enable_nonce_ledger();
// No-op unless enabled; CHECK-fails on a repeat. `tag`: the seal's, which stands for the message.
void record_nonce(ByteView key, ByteView nonce, ByteView tag);
std::uint64_t recorded_nonces();

}  // namespace exclave::crypto
