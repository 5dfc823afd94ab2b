#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/mutex.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "cli/vault_set.h"
#include "config/quantity.h"
#include "wire/server.h"

namespace exclave::cli {
namespace {

constexpr std::chrono::milliseconds kLookForStop(100);
constexpr std::chrono::seconds kDrainTime(20);
// A scrub in the background leaves the disk to the vault's daily work.
constexpr std::uint64_t kQuietScrub = std::uint64_t{50} << 20;

// A vault's directory, opened, with the key by which the other vaults know it.
struct OpenedVault {
  crypto::Ed25519SigningKey identity;
  std::unique_ptr<vault::Vault> vault;
  policy::SignedPolicy policy;
  policy::VaultEntry entry;
};

Result<OpenedVault> open_as_daemon(const Context& context, const std::string& directory) {
  auto identity = TRY(read_role_key(context.env.files, directory, "identity.key", custody::SigningUse::VaultIdentity));
  auto vault = TRY(open_vault_directory(context, directory));
  policy::SignedPolicy policy = vault->policy();
  const policy::VaultEntry* found = policy.policy.vault_by_identity(identity.public_key());
  if (found == nullptr) {
    return Error(Code::Denied, "the identity in '" + printable(directory) + "' is not a vault of policy version " +
                                   std::to_string(policy.policy.version.value()))
        .hint("bring back the identity.key that the ceremony made for this vault");
  }
  policy::VaultEntry entry = *found;
  return OpenedVault{std::move(identity), std::move(vault), std::move(policy), std::move(entry)};
}

// "never" or a duration above zero.
Result<std::optional<std::chrono::seconds>> parse_interval(std::string_view option, const std::string& text) {
  if (text == "never") return std::optional<std::chrono::seconds>();
  const auto interval = std::chrono::duration_cast<std::chrono::seconds>(
      TRY(config::parse_duration(text).in([&] { return std::string(option); })));
  if (interval.count() < 1)
    return Error(Code::InvalidInput, std::string(option) + " is less than a second").hint("say 'never' to turn it off");
  return std::optional(interval);
}

std::string in_words(const vault::RepairReport& report) {
  return fmt::format(
      "{} acts, {} entries and {} objects ({}) taken over from other vaults; {} objects checked, {} damaged, "
      "{} replaced",
      report.acts, report.entries, report.objects, human_bytes(report.bytes), report.checked_objects, report.damaged,
      report.replaced);
}

// The daemon's own repairs: on a thread of its own, until told to stop.
class RepairLoop {
 public:
  RepairLoop(const Context& context, OpenedVault& opened, std::chrono::seconds every,
             std::optional<std::chrono::seconds> scrub_every)
      : context_(context), opened_(opened), every_(every), scrub_every_(scrub_every) {
    auto thread = context.env.threads.start("repair", [this] { run(); });
    if (thread.ok()) {
      thread_ = thread.take();
    } else {
      say("repair: does not run until the vault is started again: " + thread.error().message());
    }
  }
  ~RepairLoop() {
    request_stop();
    if (thread_ != nullptr) thread_->join();
  }
  // Another vault that is silent would keep the repair, and the daemon with it, waiting for minutes.
  void request_stop() {
    stop_.request_stop();
    std::shared_ptr<VaultSet> others;
    {
      const MutexLock lock(mutex_);
      others = others_;
    }
    if (others != nullptr) others->shutdown();
  }

 private:
  void run() {
    env::Clock& clock = context_.env.clock;
    while (!stop_.stop_requested()) {
      const Status repaired = repair();
      if (!repaired.ok() && repaired.error().code() != Code::Cancelled) say("repair: " + repaired.error().message());
      said_ = std::exchange(saying_, {});
      const env::Instant next = clock.monotonic() + every_;
      while (!stop_.stop_requested() && clock.monotonic() < next) {
        if (!clock.sleep_until(std::min(next, clock.monotonic() + kLookForStop)).ok()) return;
      }
    }
  }

  Status repair() {
    const policy::SignedPolicy policy = opened_.vault->policy();
    const std::shared_ptr<VaultSet> others =
        TRY(VaultSet::connect(context_, policy.policy, opened_.identity, Patience::InTurn));
    {
      const MutexLock lock(mutex_);
      others_ = others;
    }
    if (stop_.stop_requested()) return {};  // whoever asked for it may have come too early to see the others
    vault::RepairOptions options;
    options.scrub_bytes_per_second = kQuietScrub;
    options.scrub_time = every_;  // so that gaps are filled in time, however long a scrub takes
    if (scrub_every_.has_value() && TRY(opened_.vault->is_scrub_due(*scrub_every_)))
      options.scrub = vault::Scrub::Resume;
    const vault::RepairReport report = opened_.vault->repair(others->all(), options, stop_.get_token());
    if (report.did_anything()) context_.env.log.write(env::LogLevel::Info, "repair: " + in_words(report));
    if (stop_.stop_requested()) return {};
    for (const std::string& problem : report.problems) say("repair: " + problem);
    for (const std::string& lost : report.unreachable) say("repair: no answer from vault " + lost);
    if (report.error.has_value()) return *report.error;
    return {};
  }

  // What is wrong for days is said once, not every time.
  void say(const std::string& what) {
    saying_.push_back(what);
    if (std::count(said_.begin(), said_.end(), what) == 0) context_.env.log.write(env::LogLevel::Warning, what);
  }

  const Context& context_;
  OpenedVault& opened_;
  const std::chrono::seconds every_;
  const std::optional<std::chrono::seconds> scrub_every_;
  std::vector<std::string> said_;
  std::vector<std::string> saying_;
  std::stop_source stop_;
  Mutex mutex_;
  std::shared_ptr<VaultSet> others_ GUARDED_BY(mutex_);  // owned with the repair in progress and with who ends it
  std::unique_ptr<env::Thread> thread_;
};

}  // namespace

Result<ExitCode> run(const Context& context, const VaultSettings& settings) {
  env::Env& env = context.env;
  const auto repair_every = TRY(parse_interval("--repair-every", settings.repair_every));
  const auto scrub_every = TRY(parse_interval("--scrub-every", settings.scrub_every));
  OpenedVault opened = TRY(open_as_daemon(context, settings.directory));
  const policy::VaultEntry& entry = opened.entry;
  const std::string address = settings.listen.empty() ? entry.address : settings.listen;
  if (address.starts_with(kEmbeddedPrefix)) {
    return Error(Code::InvalidInput,
                 "vault " + entry.name + " is embedded (" + printable(address) + "): there is no daemon to run");
  }
  auto listener = env.network.listen(address).in([&] { return "vault " + entry.name; });
  if (!listener.ok()) {
    return std::move(listener.take_error())
        .hint("end what uses the address, or listen elsewhere: exclave vault DIRECTORY --listen HOST:PORT");
  }
  const auto transport = wire::make_tls_transport(tls::Identity::from_key(opened.identity));
  const wire::Server::World world{env.clock, env.log, env.threads};
  const auto server = TRY(wire::Server::start(world, listener.take(), *transport, *opened.vault));
  env.log.write(env::LogLevel::Info,
                "vault " + entry.name + " of realm " + opened.policy.policy.name + " listens on " + server->address());
  std::optional<RepairLoop> repairs;
  if (repair_every.has_value() && !opened.policy.policy.is_trial())
    repairs.emplace(context, opened, *repair_every, scrub_every);
  while (!context.stop.stop_requested()) {
    TRY(env.clock.sleep_until(env.clock.monotonic() + kLookForStop));
  }
  env.log.write(env::LogLevel::Info, "vault " + entry.name + " is draining");
  if (repairs.has_value()) repairs->request_stop();
  server->stop(env.clock.monotonic() + kDrainTime);
  repairs.reset();
  env.log.write(env::LogLevel::Info, "vault " + entry.name + " has ended");
  return kOk;
}

Result<ExitCode> run(const Context& context, const RepairSettings& settings) {
  OpenedVault opened = TRY(open_as_daemon(context, settings.directory));
  const auto others = TRY(VaultSet::connect(context, opened.policy.policy, opened.identity, Patience::InTurn));
  vault::RepairOptions options;
  if (settings.scrub) options.scrub = vault::Scrub::FromTheStart;
  const vault::RepairReport report = opened.vault->repair(others->all(), options, context.stop);
  config::Json json = config::Json::object();
  json.set("ok", report.is_whole())
      .set("vault", opened.entry.name)
      .set("acts", report.acts)
      .set("entries", report.entries)
      .set("objects", report.objects)
      .set("bytes", report.bytes)
      .set("checked_objects", report.checked_objects)
      .set("checked_bytes", report.checked_bytes)
      .set("damaged", report.damaged)
      .set("replaced", report.replaced);
  config::Json problems = config::Json::array();
  for (const std::string& problem : report.problems) problems.push(problem);
  json.set("problems", std::move(problems));
  context.print("vault " + opened.entry.name + ": " + in_words(report) + "\n", json);
  for (const std::string& problem : report.problems) context.note("problem: " + problem);
  for (const std::string& lost : report.unreachable) context.note("no answer from vault " + lost);
  if (report.error.has_value()) return *report.error;
  return report.is_whole() ? kOk : kPartial;
}

}  // namespace exclave::cli
