#include "agent/cut_taker.h"

#include "base/text.h"
#include "config/json.h"
#include "engine/log_terms.h"

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kRequestLook = 50ms;
constexpr std::string_view kStateFolder = "state";
constexpr std::string_view kStatusPrefix = "cut-";
constexpr std::string_view kStatusSuffix = ".json";

}  // namespace

std::string cut_status_path(std::string_view home, std::string_view group) {
  return env::join_path(env::join_path(home, kStateFolder),
                        std::string(kStatusPrefix) + std::string(group) + std::string(kStatusSuffix));
}

Result<std::vector<std::string>> cut_status_files(env::FileSystem& files, std::string_view home) {
  const std::string folder = env::join_path(home, kStateFolder);
  std::vector<std::string> paths;
  for (const std::string& name : TRY(files.list(folder))) {
    if (name.starts_with(kStatusPrefix) && name.ends_with(kStatusSuffix)) paths.push_back(env::join_path(folder, name));
  }
  return paths;
}

std::string cut_request_path(std::string_view home, std::string_view group) {
  return env::join_path(home, "state/cut-now-" + std::string(group));
}

Result<std::unique_ptr<CutTaker>> CutTaker::create(const CutPlace& place, const GroupConfig& group,
                                                   const FindStream& find) {
  std::unique_ptr<CutTaker> taker(new CutTaker(place, group));
  env::Env& env = place.env;
  for (const GroupMember& member : group.members) {
    if (member.address.empty()) {
      DatabaseStream* const stream = find(member.dataset);
      CHECK(stream != nullptr);  // the configuration was checked
      taker->own_.push_back(stream);
      taker->members_.push_back(std::make_unique<LocalMember>(env.clock, place.registry.id, member.dataset, *stream));
      continue;
    }
    const policy::Registry* const registry = place.policy.registry(member.registry);
    if (registry == nullptr) {
      return Error(Code::InvalidInput,
                   "group " + group.name + ": the policy has no registry '" + printable(member.registry) + "'");
    }
    taker->members_.push_back(std::make_unique<RemoteMember>(
        wire::ConnectionPool::Target{env.clock, env.network, env.threads, place.transport, member.address,
                                     registry->writer, cut_limits()},
        registry->id, member.dataset));
  }
  return taker;
}

void CutTaker::take() {
  std::vector<CutMember*> members;
  for (const auto& member : members_) members.push_back(member.get());
  auto taken = take_cut(place_.env, group_.name, members);
  if (taken.ok()) {
    ++taken_;
    last_ = taken.take();
    own_cut_ = last_->cut.id;
    last_trouble_.clear();
    for (const std::string& one : last_->not_kept) append_item(last_trouble_, "not kept by " + one, "; ");
  } else {
    ++void_;
    last_trouble_ = taken.error().message();
    place_.env.log.write(env::LogLevel::Warning, "group " + group_.name + ": " + last_trouble_);
  }
  tell();
}

void CutTaker::tell() const {
  config::Json json = config::Json::object();
  json.set("group", group_.name)
      .set("at_ns", place_.env.clock.now().nanoseconds)
      .set("taken", taken_)
      .set("void", void_)
      .set("substitute", group_.is_substitute)
      .set("standing_in", is_standing_in_)
      .set("trouble", last_trouble_);
  if (last_.has_value()) {
    config::Json list = config::Json::array();
    for (const format::CutMember& member : last_->cut.members) {
      list.push(config::Json::object()
                    .set("registry", member.registry.hex())
                    .set("dataset", member.dataset)
                    .set("timeline", member.timeline.value())
                    .set("position", pg::to_text(engine::lsn(member.position))));
    }
    json.set("cut", last_->cut.id.hex())
        .set("taken_ns", last_->cut.taken_ns)
        .set("held_us", std::chrono::duration_cast<std::chrono::microseconds>(last_->held).count())
        .set("members", std::move(list));
  }
  const Status told = env::replace_file_durably(place_.env.files, cut_status_path(place_.home, group_.name),
                                                as_bytes(json.dump() + "\n"), env::kPrivateFile);
  if (!told.ok()) place_.env.log.write(env::LogLevel::Error, told.error().message());
}

bool CutTaker::is_asked_for() {
  return place_.env.files.remove_file(cut_request_path(place_.home, group_.name)).ok();
}

bool CutTaker::is_on_duty() {
  if (!group_.is_substitute) return true;
  for (const DatabaseStream* stream : own_) {
    const auto kept = stream->kept_cuts().newest(group_.name);
    if (!kept.has_value() || kept->cut.id == own_cut_ || kept->at <= seen_) continue;
    seen_ = kept->at;
    last_ = TakenCut{kept->cut, {}, {}};
  }
  const bool is_away = place_.env.clock.monotonic() - seen_ > kMissed * std::chrono::nanoseconds(group_.every);
  if (is_away != is_standing_in_) {
    place_.env.log.write(env::LogLevel::Warning,
                         "group " + group_.name +
                             (is_away ? ": its coordinator takes no cuts; this agent does from now on"
                                      : ": its coordinator takes cuts again"));
  }
  is_standing_in_ = is_away;
  return is_away;
}

void CutTaker::run(const std::stop_token& stop) {
  env::Clock& clock = place_.env.clock;
  seen_ = clock.monotonic();
  env::Instant next = clock.monotonic() + group_.every;
  while (!stop.stop_requested()) {
    if (!clock.sleep_until(clock.monotonic() + kRequestLook).ok()) return;
    const bool is_due = clock.monotonic() >= next;
    const bool is_asked = is_asked_for();
    if (!is_due && !is_asked) continue;
    if (is_on_duty() || is_asked) {
      take();
    } else {
      tell();
    }
    // Not in step with a coordinator that is back: holds less than a second apart are refused, and one of the two would be
    // refused for ever.
    next = clock.monotonic() + (is_standing_in_ ? group_.every * 4 / 3 : group_.every);
  }
}

}  // namespace exclave::agent
