// VaultWords: an error of a vault, in words that name the vault once.
// Hides: that a transport names the vault already, and a vault in this process does not.
//
//   "vault lux: connection refused"   "vault lux gave a receipt that ..."   "connection refused"
//     -> of_vault    "vault lux: connection refused", "vault lux gave a receipt that ...", as it is, or with the noun
//     -> said_by     "connection refused", "gave a receipt that ...": where the vault stands beside it
//     -> in_list     "lux: connection refused", "lux: gave a receipt that ...": an item of a list of vaults
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace exclave::store {

Error of_vault(std::string_view vault, Error error);
std::string said_by(std::string_view vault, const Error& error);
std::string in_list(std::string_view vault, const Error& error);

}  // namespace exclave::store
