// Capture report: what every capture ends with: what was reached and where, who is behind, what has to be looked at, and
// the exit code. Erases the keys of ended periods on the way.
#pragma once

#include <string>

#include "cli/agent_home.h"
#include "cli/context.h"
#include "engine/stage_times.h"

namespace exclave::cli {

struct CaptureEnding {
  bool stages = false;
  bool wait_all = false;
  std::string text{};                          // of this kind of capture, for people
  config::Json json = config::Json::object();  // the same, for programs
};

Result<ExitCode> finish_capture(const Context& context, AgentHome& home, const engine::CaptureReport& report,
                                const engine::StageTimes& times, const CaptureEnding& ending);

config::Json capture_json(const engine::CaptureReport& report);
void show_problems(const Context& context, const std::vector<engine::CaptureProblem>& problems, std::uint64_t count);

}  // namespace exclave::cli
