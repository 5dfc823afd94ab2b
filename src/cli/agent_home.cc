#include "cli/agent_home.h"

#include "base/text.h"
#include "custody/ceremony.h"
#include "engine/period_keeper.h"

namespace exclave::cli {

Result<std::unique_ptr<env::FileSystem::Lock>> lock_agent_directory(env::FileSystem& files,
                                                                    const std::string& directory) {
  auto lock = files.lock(env::join_path(directory, "agent.lock"));
  if (!lock.ok() && lock.error().code() == Code::Conflict) {
    return Error(Code::Conflict, "agent directory '" + printable(directory) + "' is in use by another exclave")
        .hint("wait until it ends");
  }
  if (lock.ok()) {
    // An agent that was killed while it wrote its keys anew has left a draft of them, which would outlive the periods.
    TRY(files.remove_temporaries(directory));
    TRY(files.remove_temporaries(acts_folder(directory)));
  }
  return lock;
}

Result<const policy::Registry*> registry_of_writer(const Acts& acts, const crypto::Ed25519SigningKey& writer,
                                                   const std::string& directory) {
  const policy::Registry* const registry = acts.policy().registry_by_writer(writer.public_key());
  if (registry != nullptr) return registry;
  return Error(Code::Denied, "the writer key in '" + printable(directory) + "' is not pinned by policy version " +
                                 std::to_string(acts.policy().version.value()))
      .hint("ask the registry's owners to enrol it");
}

Result<std::unique_ptr<env::FileSystem::Lock>> lock_journals(env::FileSystem& files, const std::string& directory) {
  auto lock = files.lock(env::join_path(directory, "journal.lock"));
  if (!lock.ok() && lock.error().code() == Code::Conflict) {
    return Error(Code::Conflict, "an agent runs in '" + printable(directory) + "' already").hint("end it first");
  }
  return lock;
}

// Of an error of the table.
Error with_recovery_hint(Error error) {
  if (error.code() != Code::Corrupt) return error;
  return std::move(error).hint("the vaults are not affected; go on in the next era: exclave agent recover");
}

Result<std::unique_ptr<AgentHome>> AgentHome::open(const Context& context, const std::string& directory, HomeUse use) {
  env::FileSystem& files = context.env.files;
  if (directory.empty()) return Error(Code::InvalidInput, "no agent directory was given").hint("say --home DIRECTORY");
  std::unique_ptr<AgentHome> home(new AgentHome());
  home->directory_ = directory;
  Acts acts = TRY(load_acts(context, directory));
  home->writer_ = TRY(read_role_key(files, directory, "writer.key", custody::SigningUse::Writer));
  if (use == HomeUse::Captures) home->lock_ = TRY(lock_agent_directory(files, directory));
  if (use == HomeUse::Journals) home->lock_ = TRY(lock_journals(files, directory));
  home->keys_ = TRY(newest_agent_keys(files, directory));
  home->state_ = env::join_path(directory, "state/era-" + std::to_string(home->keys_.era.value()));
  if (use != HomeUse::Looks) {
    home->vaults_ = TRY(VaultSet::connect(context, acts.policy(), *home->writer_,
                                          use == HomeUse::Journals ? Patience::Short : Patience::Long));
    if (use == HomeUse::Captures) home->vaults_->shutdown_at(context.stop);  // journals are drained first
  }
  // A daemon that starts again has commits waiting for it: a vault that is away must not keep it. Captures exchange acts.
  home->acts_ = use == HomeUse::Captures ? TRY(home->vaults_->exchange_acts(context, directory, std::move(acts)))
                                         : std::move(acts);
  home->registry_ = TRY(registry_of_writer(home->acts_, *home->writer_, directory));
  if (home->keys_.realm != home->policy().realm || home->keys_.registry != home->registry_->id) {
    return Error(Code::Denied, "the era keys in '" + printable(directory) + "' belong to another realm or registry")
        .hint(
            "put back the era-N.keys that the ceremony made for this agent, or bring the operator's next era: exclave "
            "agent recover");
  }
  home->era_ = TRY(home->acts_.era(*home->registry_, home->keys_.era));
  TRY(custody::check_agent_keys(home->keys_, home->era_->era,
                                env::join_path(directory, era_keys_name(home->keys_.era))));
  if (use == HomeUse::Captures) {
    TRY(home->open_state(context));
  } else {  // who streams reads one period's key at a time (agent/period_source.h), and who looks needs none
    home->keys_.periods.clear();
    home->keys_.dedup = {};
  }
  const auto name = files.read_file("/etc/hostname", 4096);
  if (name.ok()) home->host_ = printable(split(as_text(name.value()), '\n').front());
  return home;
}

// What captures need: the table of the era.
Status AgentHome::open_state(const Context& context) {
  env::FileSystem& files = context.env.files;
  TRY(remove_older_agent_keys(files, directory_, keys_.era));  // agent recover may have been interrupted
  const std::string table = table_path();
  TRY(files.make_directories(table, env::kPrivateDirectory));
  TRY(files.remove_temporaries(state_));
  if (TRY(files.list(table)).empty()) TRY(note_if_lost(context));
  auto opened = context.open_table(table);
  if (!opened.ok()) return with_recovery_hint(opened.take_error());
  table_ = opened.take();
  return {};
}

// Precondition: there is no table.
Status AgentHome::note_if_lost(const Context& context) const {
  const auto others = context.env.files.list(state_);
  if (!others.ok() && others.error().code() == Code::NotFound) return {};
  if (TRY(others).size() <= 1) return {};
  context.note(
      "the agent's table in '" + printable(table_path()) +
      "' is gone, though other state of this era is there: the next capture reads, seals and sends everything again");
  return {};
}

Result<EraMemory> AgentHome::look(const Context& context) const {
  auto opened = context.look_at_table(table_path());
  if (!opened.ok() && opened.error().code() == Code::NotFound) {
    TRY(note_if_lost(context));
    return EraMemory();
  }
  if (!opened.ok()) return with_recovery_hint(opened.take_error());
  EraMemory memory;
  memory.snapshots = TRY(repo::snapshots_in(*opened.value()));
  memory.receipts = TRY(repo::receipts_in(*opened.value()));
  memory.relied = TRY(repo::relied_in(*opened.value()));
  return memory;
}

engine::CaptureContext AgentHome::capture_context(const Context& context) const {
  return {context.env, policy(), *registry_, era_->era, keys_, *writer_, vaults_->all(), *table_, state_, host_};
}

Status AgentHome::erase_ended_periods(const Context& context) {
  const std::size_t erased = TRY(engine::erase_ended_periods(capture_context(context), keys_));
  if (erased == 0) return {};
  return custody::write_agent_keys(context.env.files, env::join_path(directory_, era_keys_name(keys_.era)), keys_);
}

}  // namespace exclave::cli
