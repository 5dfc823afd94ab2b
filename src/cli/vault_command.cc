#include "base/text.h"
#include "cli/commands.h"
#include "cli/vault_set.h"
#include "wire/server.h"

namespace exclave::cli {
namespace {

constexpr std::chrono::milliseconds kLookForStop(100);
constexpr std::chrono::seconds kDrainTime(20);

}  // namespace

Result<ExitCode> run(const Context& context, const VaultSettings& settings) {
  env::Env& env = context.env;
  const auto identity =
      TRY(read_role_key(env.files, settings.directory, "identity.key", custody::SigningUse::VaultIdentity));
  const auto vault = TRY(open_vault_directory(context, settings.directory));
  const policy::SignedPolicy policy = vault->policy();
  const policy::VaultEntry* entry = policy.policy.vault_by_identity(identity.public_key());
  if (entry == nullptr) {
    return Error(Code::Denied, "the identity in '" + printable(settings.directory) +
                                   "' is not a vault of policy version " +
                                   std::to_string(policy.policy.version.value()))
        .hint("bring back the identity.key that the ceremony made for this vault");
  }
  const std::string address = settings.listen.empty() ? entry->address : settings.listen;
  if (address.starts_with(kEmbeddedPrefix)) {
    return Error(Code::InvalidInput,
                 "vault " + entry->name + " is embedded (" + printable(address) + "): there is no daemon to run");
  }
  auto listener = env.network.listen(address).in([&] { return "vault " + entry->name; });
  if (!listener.ok()) {
    return std::move(listener.take_error())
        .hint("end what uses the address, or listen elsewhere: exclave vault DIRECTORY --listen HOST:PORT");
  }
  const auto transport = wire::make_tls_transport(tls::Identity::from_key(identity));
  const wire::Server::World world{env.clock, env.log, env.threads};
  const auto server = wire::Server::start(world, listener.take(), *transport, *vault);
  env.log.write(env::LogLevel::Info,
                "vault " + entry->name + " of realm " + policy.policy.name + " listens on " + server->address());
  while (!context.stop.stop_requested()) {
    TRY(env.clock.sleep_until(env.clock.monotonic() + kLookForStop));
  }
  env.log.write(env::LogLevel::Info, "vault " + entry->name + " is draining");
  server->stop(env.clock.monotonic() + kDrainTime);
  env.log.write(env::LogLevel::Info, "vault " + entry->name + " has ended");
  return kOk;
}

}  // namespace exclave::cli
