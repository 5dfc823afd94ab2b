// VaultSurvey: what every vault says right before a capture begins: what time it is there. Internal to engine.
// Hides: that all are asked at once, and which of them are not worth asking again.
//
// I1  A vault that does not answer is asked once: the stream counts it as dropped out and does not try it again.
// I2  What a vault says here is not signed, only told by the holder of its pinned identity key: whoever uses it expects
//     some of them to lie.
// Threads: one caller; a thread per vault inside, named "survey-<vault>", joined before the call returns.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "env/env.h"
#include "store/vault_api.h"

namespace exclave::engine {

struct VaultSurvey {
  std::map<std::string, std::int64_t> times;  // by vault: seconds since 1970, of those that said it
  std::map<std::string, Error> away;          // did not answer
};

VaultSurvey survey_vaults(env::Threads& threads, const std::vector<store::VaultApi*>& vaults);

}  // namespace exclave::engine
