// Running: one database of a running agent, and what belongs to it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/agent_config.h"
#include "agent/database_stream.h"
#include "agent/period_source.h"

namespace exclave::agent::detail {

struct Running {
  const DatabaseConfig* config = nullptr;
  std::unique_ptr<PeriodSource> periods;
  std::unique_ptr<DatabaseStream> stream;
  std::unique_ptr<env::Thread> thread;
  std::vector<std::string> spool_troubles;
  env::Instant next_base;
};

}  // namespace exclave::agent::detail
