// Capture report: what every capture ends with: what was reached and where, who is behind, what has to be looked at, and
// the exit code. Erases the keys of ended periods on the way.
#pragma once

#include <string>
#include <string_view>

#include "cli/agent_home.h"
#include "cli/context.h"
#include "engine/stage_times.h"
#include "engine/stored_check.h"

namespace exclave::cli {

struct CaptureEnding {
  bool stages = false;
  bool wait_all = false;
  std::string text{};                          // of this kind of capture, for people
  config::Json json = config::Json::object();  // the same, for programs
};

Result<ExitCode> finish_capture(const Context& context, AgentHome& home, const engine::CaptureReport& report,
                                const engine::StageTimes& times, const CaptureEnding& ending);

// For who has no terminal: what was reached goes to the log, and what finish_capture() would remark, each as a line
// that begins with `what`. Erases the keys of ended periods too. Errors: those of that; the capture is durable then.
Status log_capture(const Context& context, AgentHome& home, const engine::CaptureReport& report, std::string_view what);

// Of what is endangered: not 0. Objects of captures, and segments of journals.
std::string endangered_in_words(const engine::StoredCheck& stored, const policy::Policy& policy);
std::string endangered_log_in_words(const engine::StoredCheck& stored, const policy::Policy& policy);
// Of StoredCheck::has_nearly_all_streams().
std::string streams_in_words(const engine::StoredCheck& stored);
config::Json capture_json(const engine::CaptureReport& report);
void show_problems(const Context& context, const std::vector<engine::CaptureProblem>& problems, std::uint64_t count);

}  // namespace exclave::cli
