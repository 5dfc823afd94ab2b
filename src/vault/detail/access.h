// Access: who may do what at a vault, from the policy alone. Nobody may delete, because no verb does.
// Hides: how a key is found in the policy.
//
//                       status, acts   open_stream, put, quota   has         heads             entries, read
//   (append_frames as put; open_segments as heads, without vaults; read_frames: sites alone)
//   writer of registry    yes          its own registry          its own     its own registry  no
//   site                  yes          no                        any         any               any
//   another vault         yes          no                        any         any               entries; reads what it
//                                                                                              announced
//   any other key         no           no                        no          no                no
//
// I1  A key has at most one role: the policy's rules say so (policy/policy.h I1).
// Threads: pure functions.
// Errors: Denied, naming the key and the policy's version.
#pragma once

#include "policy/policy.h"
#include "wire/handler.h"

namespace exclave::vault {

// Denied if the policy does not know the key.
Status require_known(const policy::Policy& policy, const wire::Caller& caller);
// The registry that the caller writes; lives as long as the policy.
Result<const policy::Registry*> require_writer(const policy::Policy& policy, const wire::Caller& caller);
// The same, and it must be this registry.
Result<const policy::Registry*> require_writer_of(const policy::Policy& policy, const wire::Caller& caller,
                                                  const format::RegistryId& registry);
// The vault that the caller is.
Result<const policy::VaultEntry*> require_vault(const policy::Policy& policy, const wire::Caller& caller);
Status require_site(const policy::Policy& policy, const wire::Caller& caller);
Status require_site_or_vault(const policy::Policy& policy, const wire::Caller& caller);
// A site, a vault, or the registry's own writer.
Status require_reader_of_heads(const policy::Policy& policy, const wire::Caller& caller,
                               const format::RegistryId& registry);

}  // namespace exclave::vault
