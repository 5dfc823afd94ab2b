#include "store/vault_words.h"

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

}  // namespace exclave::store
