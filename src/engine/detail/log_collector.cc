#include "engine/detail/log_collector.h"

#include <algorithm>
#include <utility>

#include "engine/log_terms.h"

namespace exclave::engine::detail {

LogCollector::LogCollector(const LogRequest& request, WalDirectoryWriter& writer, RestorePoints* points,
                           DatabaseLog& log)
    : request_(request),
      log_id_(format::log_id(request.dataset, request.base.source)),
      writer_(writer),
      points_(points),
      log_(log) {}

void LogCollector::begin_journal(const format::StreamStart& start) {
  start_ = start;
  is_of_another_ = false;
  begins_.reset();
  announced_.reset();
}

void LogCollector::note(const format::JournalOpening& opening) {
  is_of_another_ = format::log_id(opening.dataset, opening.source) != log_id_;
  if (opening.dataset != request_.dataset) return;
  goes_on_.reset();
  if (is_of_another_)
    goes_on_ = "the dataset goes on with another server, system " + std::to_string(opening.source.system);
}

Status LogCollector::take(const JournalFrame& frame) {
  const format::JournalRecord record = TRY(format::decode_record(frame.content));
  if (std::holds_alternative<format::JournalOpening>(record) != (frame.number.value() == 0))
    return Error(Code::Corrupt, "a journal has its opening at another place than its first frame");
  if (const auto* opening = std::get_if<format::JournalOpening>(&record)) note(*opening);
  if (const auto* log = std::get_if<format::JournalLog>(&record)) {
    is_of_another_ = log->log != log_id_;
    if (!is_of_another_) goes_on_.reset();
    return is_of_another_ ? Status() : take(*log);
  }
  if (const auto* history = std::get_if<format::JournalHistory>(&record)) {
    if (history->log == log_id_) return take(*history);
  }
  if (const auto* exposure = std::get_if<format::LossExposure>(&record)) {
    if (exposure->log == log_id_) log_.exposures.push_back(*exposure);
  }
  if (const auto* cut = std::get_if<format::Cut>(&record)) log_.cuts.push_back(*cut);
  return {};
}

Status LogCollector::take(const format::JournalHistory& record) {
  const pg::TimelineHistory history = TRY(pg::parse_timeline_history(timeline(record.timeline), record.text));
  if (!writer_.is_of_another_branch(history)) return add_history(history.timeline, record.text);
  announced_ = Announced{history, record.text};
  return {};
}

Status LogCollector::add_history(pg::Timeline number, ByteView text) {
  for (const auto& [gone, extent] : TRY(writer_.add_history(number, text))) {
    replaced_[gone] = start_;
    holes_.erase(gone);
    if (points_ != nullptr) points_->forget(gone);
    std::erase_if(log_.cuts, [&, &other = gone](const format::Cut& cut) {
      const format::CutMember* const member = member_of(cut, request_.registry, request_.dataset);
      return member != nullptr && timeline(member->timeline) == other;
    });
    if (!extent.has_value()) continue;
    log_.problems.push_back("timeline " + pg::to_text(gone) + ", from " + pg::to_text(extent->from) + " to " +
                            pg::to_text(extent->to) +
                            ", is not followed: home went on without it, with another server whose timeline has "
                            "the same number");
  }
  return {};
}

Status LogCollector::take(const format::JournalLog& log) {
  has_found_any_ = true;
  if (!begins_.has_value()) begins_ = Place{log.timeline, log.start};
  const pg::Timeline number = timeline(log.timeline);
  last_ = number;
  const bool is_new_branch = announced_.has_value() && announced_->history.has(number) &&
                             writer_.is_of_another_branch(announced_->history.as_of(number));
  if (is_new_branch) {
    const Announced announced = *std::exchange(announced_, std::nullopt);
    TRY(add_history(announced.history.timeline, announced.text));
  }
  if (holes_.contains(number)) return {};
  ByteView bytes = log.stored;
  if (log.codec == format::LogCodec::Zstd) {
    plain_.resize(log.log_bytes);
    TRY(decompressor_.decompress(log.stored, plain_));
    bytes = plain_;
  }
  look_for_points(log, bytes);
  Status added = writer_.add(number, lsn(log.start), bytes);
  const bool is_hole =
      !added.ok() && (added.error().code() == Code::Precondition || added.error().code() == Code::Conflict);
  if (!is_hole) return added;
  holes_.emplace(number, added.error().message());
  return {};
}

// Of what lies before the base: what lies behind it is looked at when it is checked.
void LogCollector::look_for_points(const format::JournalLog& log, ByteView bytes) {
  if (points_ == nullptr || log.start >= request_.base.start) return;
  const std::uint64_t before = request_.base.start.value() - log.start.value();
  points_->look(timeline(log.timeline), lsn(log.start),
                bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), before))));
}

}  // namespace exclave::engine::detail
