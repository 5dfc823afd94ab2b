#include "vault/detail/access.h"

namespace exclave::vault {
namespace {

std::string noun_of(const wire::Caller& caller) {
  return "key " + caller.identity.hex().substr(0, 16);
}

Error denied(const policy::Policy& policy, const wire::Caller& caller, std::string_view why) {
  return {Code::Denied, noun_of(caller) + " " + std::string(why) + " (policy version " +
                            std::to_string(policy.version.value()) + ")"};
}

}  // namespace

Status require_known(const policy::Policy& policy, const wire::Caller& caller) {
  const bool known = policy.registry_by_writer(caller.identity) != nullptr ||
                     policy.site_by_identity(caller.identity) != nullptr ||
                     policy.vault_by_identity(caller.identity) != nullptr;
  if (!known) return denied(policy, caller, "is not known here");
  return {};
}

Result<const policy::Registry*> require_writer(const policy::Policy& policy, const wire::Caller& caller) {
  const policy::Registry* const registry = policy.registry_by_writer(caller.identity);
  if (registry == nullptr) return denied(policy, caller, "is no registry's writer");
  return registry;
}

Result<const policy::Registry*> require_writer_of(const policy::Policy& policy, const wire::Caller& caller,
                                                  const format::RegistryId& registry) {
  const policy::Registry* const own = TRY(require_writer(policy, caller));
  if (own->id != registry) return denied(policy, caller, "writes another registry than " + registry.hex());
  return own;
}

Result<const policy::VaultEntry*> require_vault(const policy::Policy& policy, const wire::Caller& caller) {
  const policy::VaultEntry* const vault = policy.vault_by_identity(caller.identity);
  if (vault == nullptr) return denied(policy, caller, "is no vault");
  return vault;
}

Status require_site(const policy::Policy& policy, const wire::Caller& caller) {
  if (policy.site_by_identity(caller.identity) != nullptr) return {};
  return denied(policy, caller, "is no site");
}

Status require_site_or_vault(const policy::Policy& policy, const wire::Caller& caller) {
  if (policy.site_by_identity(caller.identity) != nullptr) return {};
  if (policy.vault_by_identity(caller.identity) != nullptr) return {};
  return denied(policy, caller, "is neither a site nor a vault");
}

Status require_reader_of_heads(const policy::Policy& policy, const wire::Caller& caller,
                               const format::RegistryId& registry) {
  if (require_site_or_vault(policy, caller).ok()) return {};
  TRY(require_writer_of(policy, caller, registry));
  return {};
}

}  // namespace exclave::vault
