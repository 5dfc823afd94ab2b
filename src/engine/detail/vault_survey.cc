#include "engine/detail/vault_survey.h"

#include "env/at_once.h"

namespace exclave::engine {

VaultSurvey survey_vaults(env::Threads& threads, const std::vector<store::VaultApi*>& vaults) {
  std::vector<std::optional<Result<store::VaultStatus>>> answers(vaults.size());
  env::at_once(
      threads, vaults.size(), [&](std::size_t i) { return "survey-" + vaults[i]->name(); },
      [&](std::size_t i) { answers[i].emplace(vaults[i]->status()); });
  VaultSurvey survey;
  for (std::size_t i = 0; i < vaults.size(); ++i) {
    const Result<store::VaultStatus>& answer = *answers[i];
    if (answer.ok()) {
      survey.times.emplace(vaults[i]->name(), answer.value().now_seconds);
    } else if (answer.error().code() == Code::Unavailable) {
      survey.away.emplace(vaults[i]->name(), answer.error());
    }
  }
  return survey;
}

}  // namespace exclave::engine
