#include "vault/access.h"

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

Status require_site(const policy::Policy& policy, const wire::Caller& caller) {
  if (policy.site_by_identity(caller.identity) == nullptr) return denied(policy, caller, "is no site");
  return {};
}

Status require_reader_of_heads(const policy::Policy& policy, const wire::Caller& caller,
                               const format::RegistryId& registry) {
  if (policy.site_by_identity(caller.identity) != nullptr) return {};
  if (policy.vault_by_identity(caller.identity) != nullptr) return {};
  TRY(require_writer_of(policy, caller, registry));
  return {};
}

}  // namespace exclave::vault
