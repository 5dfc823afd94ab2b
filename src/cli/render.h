// Rendering for people: aligned tables, progress lines, dates, shortened names.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "engine/capture.h"
#include "engine/stage_times.h"
#include "format/snapshot.h"

namespace exclave::cli {

// Columns aligned by their widest cell; numbers right-aligned where `right` says so ('r' or 'l' per column).
std::string render_table(const std::vector<std::vector<std::string>>& rows, std::string_view alignment);

double in_seconds(std::chrono::nanoseconds duration);
std::string short_hex(ByteView id);            // the first 12 digits
std::string local_time(std::int64_t seconds);  // "2026-11-21 22:34:17Z"
std::string_view kind_in_words(format::DatasetKind kind);

// A line on standard error that redraws itself: bar, percentage, rate, remaining time. Nothing if err is no terminal.
class ProgressLine {
 public:
  ProgressLine(const Context& context, std::string label);
  ~ProgressLine();  // erases the line
  void show(const engine::CaptureProgress& progress);
  engine::OnProgress callback();

 private:
  const Context& context_;
  std::string label_;
  env::Instant start_;
  env::Instant last_;
  bool shown_ = false;
};

// The stage table of `./dev bench` and --stages: core-seconds, per GB, share.
std::string render_stages(const engine::StageTimes& times, std::uint64_t bytes, bool restore);
config::Json stages_json(const engine::StageTimes& times);

}  // namespace exclave::cli
