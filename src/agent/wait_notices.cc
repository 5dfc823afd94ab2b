#include "agent/wait_notices.h"

#include <utility>

#include "base/text.h"
#include "store/vault_words.h"

namespace exclave::agent {

std::optional<WaitNotices::Notice> WaitNotices::look(env::Instant now, std::optional<env::Instant> oldest) {
  if (!oldest.has_value() || now - *oldest < kFirst) {
    const std::optional<Told> ended = std::exchange(told_, std::nullopt);
    return ended.has_value() ? std::optional(Notice{Notice::Kind::Over, now - ended->since}) : std::nullopt;
  }
  if (told_.has_value() && now - told_->last < kAgain) return std::nullopt;
  told_ = Told{told_.has_value() ? told_->since : *oldest, now};
  return Notice{Notice::Kind::Waits, now - told_->since};
}

std::string in_words(const WaitNotices::Notice& notice, const spread::JournalProgress& journal, std::uint32_t needed) {
  const std::string lasted = human_duration(notice.lasted);
  if (notice.kind == WaitNotices::Notice::Kind::Over) return "commits go on; they had waited for " + lasted;
  std::size_t holding = 0;
  std::string others;
  for (const spread::JournalVaultProgress& vault : journal.vaults) {
    if (vault.frames > journal.durable) {
      ++holding;
    } else {
      append_item(others,
                  vault.failure.has_value() ? store::in_list(vault.vault, *vault.failure) : vault.vault + ": is slow",
                  "; ");
    }
  }
  return "commits have waited for " + lasted + ": " + std::to_string(holding) + " of " +
         std::to_string(journal.vaults.size()) + " vaults have confirmed them, " + std::to_string(needed) +
         " are needed (" + others + ")";
}

}  // namespace exclave::agent
