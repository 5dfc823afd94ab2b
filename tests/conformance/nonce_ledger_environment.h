// Nonce ledger of a whole test binary: from its first test on no key and nonce seal two messages (ADR-0007).
// Hides: what may repeat: keys of realms, which come from fixed seeds and are made before.
//
//   const auto* const kNonceLedger = ::testing::AddGlobalTestEnvironment(new NonceLedgerEnvironment([] { keys(); }));
//
// Threads: gtest's main one, before any test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "crypto/nonce_ledger.h"

namespace exclave::conformance {

class NonceLedgerEnvironment final : public ::testing::Environment {
 public:
  explicit NonceLedgerEnvironment(std::function<void()> make_fixed_keys)
      : make_fixed_keys_(std::move(make_fixed_keys)) {}
  void SetUp() override {
    make_fixed_keys_();
    crypto::enable_nonce_ledger();
  }

 private:
  const std::function<void()> make_fixed_keys_;
};

}  // namespace exclave::conformance
