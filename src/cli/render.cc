#include "cli/render.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace exclave::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw(100);
constexpr std::size_t kBarWidth = 24;
// The first guess of the remaining time would be noise.
constexpr std::chrono::seconds kSettle(1);

// Terminal columns of UTF-8 text, without wide characters.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

constexpr engine::Stage kCaptureStages[] = {
    engine::Stage::Walk, engine::Stage::Read, engine::Stage::Cut,  engine::Stage::Hash, engine::Stage::Compress,
    engine::Stage::Pack, engine::Stage::Seal, engine::Stage::Code, engine::Stage::Send, engine::Stage::Wait};
constexpr engine::Stage kRestoreStages[] = {engine::Stage::Open, engine::Stage::Decompress, engine::Stage::Write};

bool is_wall(engine::Stage stage) {
  return stage == engine::Stage::Send || stage == engine::Stage::Wait;
}

// Packing runs the sealing inside itself; shown apart.
double seconds_of(const engine::StageTimes& times, engine::Stage stage) {
  auto time = times.of(stage);
  if (stage == engine::Stage::Pack) time = std::max(std::chrono::nanoseconds(0), time - times.of(engine::Stage::Seal));
  return std::chrono::duration<double>(time).count();
}

}  // namespace

std::string render_table(const std::vector<std::vector<std::string>>& rows, std::string_view alignment) {
  std::vector<std::size_t> widths(alignment.size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - columns_of(row[i]), ' ');
      if (i > 0) line += "  ";
      line += alignment[i] == 'r' ? padding + row[i] : row[i] + padding;
    }
    while (line.ends_with(' ')) line.pop_back();
    text += line + "\n";
  }
  return text;
}

double in_seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string short_hex(ByteView id) {
  return to_hex(id).substr(0, 12);
}

std::string local_time(std::int64_t seconds) {
  std::string text = env::to_rfc3339(env::Timestamp::from_seconds(seconds));
  std::replace(text.begin(), text.end(), 'T', ' ');
  return text;
}

ProgressLine::ProgressLine(const Context& context, std::string label)
    : context_(context), label_(std::move(label)), start_(context.env.clock.monotonic()), last_(start_) {}

ProgressLine::~ProgressLine() {
  if (shown_) context_.terminal.err("\r\x1b[K");
}

void ProgressLine::show(const engine::CaptureProgress& progress) {
  const env::Instant now = context_.env.clock.monotonic();
  if (!context_.wants_progress() || now - last_ < kRedraw) return;
  last_ = now;
  shown_ = true;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double rate = elapsed > 0 ? static_cast<double>(progress.bytes) / elapsed : 0;
  std::string line = "\r\x1b[K" + label_ + " ";
  if (progress.expected_bytes > 0) {
    const double done =
        std::min(1.0, static_cast<double>(progress.bytes) / static_cast<double>(progress.expected_bytes));
    const auto filled = static_cast<std::size_t>(done * static_cast<double>(kBarWidth));
    line += "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') +
            fmt::format("] {:3.0f} %  ", done * 100);
    line += human_bytes(static_cast<std::uint64_t>(rate)) + "/s  ";
    if (rate > 0 && now - start_ > kSettle && done < 1) {
      const double left = static_cast<double>(progress.expected_bytes - progress.bytes) / rate;
      line += human_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(left * 1e9))) + " left";
    }
  } else {
    line += fmt::format("{} files  {}  {}/s", progress.files, human_bytes(progress.bytes),
                        human_bytes(static_cast<std::uint64_t>(rate)));
  }
  context_.terminal.err(line);
}

engine::OnProgress ProgressLine::callback() {
  return [this](const engine::CaptureProgress& progress) { show(progress); };
}

std::string render_stages(const engine::StageTimes& times, std::uint64_t bytes, bool restore) {
  std::vector<std::vector<std::string>> rows = {{"stage", "seconds", "per GB", "kind"}};
  const double gigabytes = std::max(1e-9, static_cast<double>(bytes) / 1e9);
  const auto add = [&](engine::Stage stage) {
    const double seconds = seconds_of(times, stage);
    rows.push_back({std::string(name_of(stage)), fmt::format("{:.3f}", seconds),
                    fmt::format("{:.3f}", seconds / gigabytes), is_wall(stage) ? "wall, waiting" : "CPU"});
  };
  if (restore) {
    for (const engine::Stage stage : kRestoreStages) add(stage);
  } else {
    for (const engine::Stage stage : kCaptureStages) add(stage);
  }
  return render_table(rows, "lrrl");
}

config::Json stages_json(const engine::StageTimes& times) {
  config::Json object = config::Json::object();
  for (const engine::Stage stage : kCaptureStages) object.set(name_of(stage), seconds_of(times, stage));
  for (const engine::Stage stage : kRestoreStages) object.set(name_of(stage), seconds_of(times, stage));
  return object;
}

std::string_view kind_in_words(format::DatasetKind kind) {
  switch (kind) {
    case format::DatasetKind::Tree:
      return "tree";
    case format::DatasetKind::ByteStream:
      return "stream";
    case format::DatasetKind::Database:
      return "database";
  }
  return "";
}

}  // namespace exclave::cli
