#include "store/vault_words.h"

#include <utility>

#include "base/text.h"

namespace exclave::store {
namespace {

// How much of the message names the vault; 0: none.
std::size_t noun_bytes(std::string_view vault, std::string_view message) {
  const std::string noun = "vault " + std::string(vault);
  if (!message.starts_with(noun)) return 0;
  const std::string_view rest = message.substr(noun.size());
  if (rest.starts_with(": ")) return noun.size() + 2;
  return rest.starts_with(" ") ? noun.size() + 1 : 0;
}

}  // namespace

Error of_vault(std::string_view vault, Error error) {
  if (noun_bytes(vault, error.message()) > 0) return error;
  return std::move(error).in("vault " + std::string(vault));
}

std::string said_by(std::string_view vault, const Error& error) {
  return error.message().substr(noun_bytes(vault, error.message()));
}

std::string in_list(std::string_view vault, const Error& error) {
  return std::string(vault) + ": " + said_by(vault, error);
}

void TooFewVaults::add(std::string_view vault, const Error& error) {
  append_item(reasons_, in_list(vault, error), "; ");
  code_ = error.code();
  was_told_to_stop_ = was_told_to_stop_ || error.code() == Code::Cancelled;
}

Error TooFewVaults::error(std::size_t left, std::size_t all, std::size_t needed, std::string_view what_they_do,
                          std::string_view interrupted) const {
  if (was_told_to_stop_) return {Code::Cancelled, std::string(interrupted)};
  std::string message = "only " + std::to_string(left) + " of " + std::to_string(all) + " vaults " +
                        std::string(what_they_do) + ", " + std::to_string(needed) + " are needed";
  if (!reasons_.empty()) message += " (" + reasons_ + ")";
  return Error(code_, std::move(message)).hint("look at the vaults: exclave status");
}

}  // namespace exclave::store
