// VaultWords: an error of a vault, in words that name the vault once.
// Hides: that a transport names the vault already, and a vault in this process does not.
//
//   "vault lux: connection refused"   "vault lux gave a receipt that ..."   "connection refused"
//     -> of_vault    "vault lux: connection refused", "vault lux gave a receipt that ...", as it is, or with the noun
//     -> said_by     "connection refused", "gave a receipt that ...": where the vault stands beside it
//     -> in_list     "lux: connection refused", "lux: gave a receipt that ...": an item of a list of vaults
//     TooFewVaults   "only 1 of 3 vaults accept objects, 2 are needed (lux: connection refused; ...)"
//
// Threads: pure functions; TooFewVaults belongs to one thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace exclave::store {

Error of_vault(std::string_view vault, Error error);
std::string said_by(std::string_view vault, const Error& error);
std::string in_list(std::string_view vault, const Error& error);

// Why too few vaults are left, made up while they are gone through.
class TooFewVaults {
 public:
  void add(std::string_view vault, const Error& error);

  // The code is that of the vault added last, Unavailable without one. If one of them was told to stop (Cancelled), the
  // vaults are not to blame: the error is `interrupted`, with that code.
  Error error(std::size_t left, std::size_t all, std::size_t needed, std::string_view what_they_do,
              std::string_view interrupted) const;

 private:
  std::string reasons_;
  Code code_ = Code::Unavailable;
  bool was_told_to_stop_ = false;
};

}  // namespace exclave::store
