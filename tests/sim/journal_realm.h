// Journals of a simulated realm: home's side, with a spool of its own for each start as the agent has it, and the site's.
// Hides: doors, streams, places in their order, keys of periods, and what each frame holds.
//
//   open -> append, await, roll ... -> finish | drop (stopped at once; or its machine died) -> open, the next journal
//                                        `-- what is left in the spool: recover, as the agent's keeper does
//
// I1  What a journal says is acknowledged was durable at k vaults by the writer's word, as a server would be told.
// I2  drop comes before home is restarted: lanes end, and nobody looks at a dead machine's files.
// Threads: one test; recover also from an actor of home, beside the writer.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/journal_reader.h"
#include "spread/journal_writer.h"
#include "tests/sim/sim_realm.h"

namespace exclave::realm_tests {

// Content that tells its journal and its frame.
inline Bytes frame_of(std::uint64_t journal, std::uint64_t number, std::size_t bytes) {
  Bytes content = noise(bytes, (journal << 32) + number + 1);
  if (bytes >= 16) {
    store_u64(content, journal);
    store_u64(MutableByteView(content).subspan(8), number);
  }
  return content;
}

// One start of the writer, as home remembers it.
struct WrittenJournal {
  std::uint64_t tag = 0;
  format::SignedStream stream;
  std::string spool;
  std::vector<std::size_t>
      sizes;  // of each frame that was tried: the last one may have failed, and be there all the same
  std::uint64_t appended = 0;
  std::uint64_t acknowledged = 0;

  format::StreamId id() const { return stream.descriptor.id(); }
};

class JournalHome {
 public:
  static constexpr const char* kSpools = "/var/agent/spools";
  using Tune = std::function<void(spread::JournalOptions&)>;

  explicit JournalHome(SimRealm& realm, Tune tune = {}) : realm_(realm), tune_(std::move(tune)) {}
  JournalHome(const JournalHome&) = delete;
  JournalHome& operator=(const JournalHome&) = delete;
  ~JournalHome() { drop(); }

  // A new journal.
  Status open() {
    CHECK(writer_ == nullptr);
    WrittenJournal journal;
    journal.tag = journals_.size() + 1;
    journal.stream = TRY(next_stream());
    journal.spool = std::string(kSpools) + "/" + std::to_string(last_place);
    spread::JournalOptions options;
    options.durable_copies = realm_.keys().policy().quorum.k;
    options.spool_directory = journal.spool;
    if (tune_) tune_(options);
    writer_ = TRY(spread::JournalWriter::open(
        world(), vaults(), journal.stream, realm_.keys().writer(),
        [this]() -> Result<const format::SealingKey*> { return &agent_.periods.at(period); }, options));
    journals_.push_back(std::move(journal));
    return {};
  }
  void drop() {
    writer_.reset();
    doors_.clear();
  }
  // Waits for all vaults, at most so long.
  Status finish(std::chrono::nanoseconds time) {
    Status finished = writer_->finish(now() + time);
    look();
    return finished;
  }

  bool is_open() const { return writer_ != nullptr; }
  spread::JournalWriter& writer() { return *writer_; }
  const std::vector<WrittenJournal>& journals() const { return journals_; }
  const WrittenJournal& journal() const { return journals_.back(); }

  Status append(std::size_t bytes) {
    WrittenJournal& journal = journals_.back();
    const std::uint64_t number = journal.sizes.size();
    journal.sizes.push_back(bytes);
    const auto position = TRY(writer_->append(frame_of(journal.tag, number, bytes)));
    CHECK(position.value() == number);
    journal.appended = number + 1;
    return {};
  }
  // What is acknowledged by now.
  std::uint64_t look() {
    writer_->take_answers();
    journals_.back().acknowledged = std::max(journals_.back().acknowledged, writer_->durable());
    return journals_.back().acknowledged;
  }
  // Until all that was appended is acknowledged. Rolls where a vault's disk asks for it, as the agent does.
  bool await(std::chrono::nanoseconds limit) {
    constexpr std::chrono::milliseconds kFirst{1};
    constexpr std::chrono::milliseconds kLongest{200};
    std::chrono::nanoseconds waited{};
    std::chrono::nanoseconds next_roll = kRefusedRollEvery;
    for (auto step = std::chrono::nanoseconds(kFirst); look() < journals_.back().appended; step *= 2) {
      if (waited >= limit) return false;
      step = std::min<std::chrono::nanoseconds>(step, kLongest);
      realm_.universe().run_for(step);
      waited += step;
      if (waited < next_roll || !writer_->wants_roll()) continue;
      if (!writer_->roll().ok()) return false;
      ++refused_rolls;
      next_roll = waited + kRefusedRollEvery;
    }
    return true;
  }
  // What earlier journals left, to the vaults that lack it; the folders of those that every vault has go. Of each, so many frames
  // are counted on.
  Result<std::vector<spread::SpooledStream>> recover(std::chrono::nanoseconds time, std::uint64_t wanted_frames = 0) {
    env::FileSystem& files = realm_.home().env().files;
    std::vector<spread::SpooledStream> all;
    const auto names = files.list(kSpools);
    if (!names.ok() && names.error().code() == Code::NotFound) return all;
    for (const std::string& name : TRY(names)) {
      const std::string spool = std::string(kSpools) + "/" + name;
      if (is_open() && spool == journals_.back().spool) continue;
      const auto left =
          TRY(spread::recover_spool(world(), spool, vaults(), realm_.keys().writer(), now() + time, wanted_frames));
      const bool is_gone = std::all_of(left.begin(), left.end(), [](const auto& each) { return each.is_complete; });
      if (is_gone) TRY(TRY(files.open_directory(kSpools))->remove(name));
      all.insert(all.end(), left.begin(), left.end());
    }
    return all;
  }

  env::Instant now() { return realm_.home().env().clock.monotonic(); }

  std::size_t period = 3;         // whose key seals
  bool begins_again = false;      // a journal of before, if chance has it so
  std::uint64_t begun_twice = 0;  // journals that would have been, without help
  std::uint64_t last_place = 0;   // of a journal; the agent has it on its disk
  std::uint64_t refused_rolls = 0;

 private:
  static constexpr std::chrono::seconds kRefusedRollEvery{2};

  spread::JournalWriter::World world() {
    const env::Env env = realm_.home().env();
    return {env.clock, env.random, env.files, env.threads};
  }
  const std::vector<store::VaultApi*>& vaults() {
    if (doors_.empty()) {
      doors_ = realm_.doors_from(realm_.home(), realm_.writer_transport());
      pointers_ = SimRealm::pointers_to(doors_);
    }
    return pointers_;
  }
  // Places go up, whatever home's clock says; chance tells apart what a machine that was set back opens. Where it does not,
  // because chance is repeated and the clock stands before the last place, the same journal would begin again (set_back_test.cc
  // has what comes of it): the next place is taken.
  Result<format::SignedStream> next_stream() {
    while (true) {
      auto stream = TRY(draw_stream());
      if (drawn_.insert(stream.descriptor.id()).second || begins_again) return stream;
      ++begun_twice;
    }
  }
  Result<format::SignedStream> draw_stream() {
    const env::Env env = realm_.home().env();
    const auto time = static_cast<std::uint64_t>(std::max<std::int64_t>(0, env.clock.now().nanoseconds));
    last_place = std::max(time, last_place + 1);
    format::StreamDescriptor descriptor;
    descriptor.realm = realm_.keys().policy().realm;
    descriptor.writer = realm_.keys().writer().public_key();
    descriptor.registry = realm_.keys().registry().id;
    descriptor.era = format::EraNumber(1);
    descriptor.kind = format::StreamKind::Journal;
    store_u64(descriptor.start.mutable_view(), last_place);
    TRY(env.random.fill(descriptor.start.mutable_view().subspan(8)));
    return format::SignedStream::sign(descriptor, realm_.keys().writer());
  }

  SimRealm& realm_;
  const Tune tune_;
  const custody::AgentKeys agent_ = realm_.keys().agent_keys();
  std::vector<std::unique_ptr<store::VaultApi>> doors_;
  std::vector<store::VaultApi*> pointers_;
  std::unique_ptr<spread::JournalWriter> writer_;
  std::vector<WrittenJournal> journals_;
  std::set<format::StreamId> drawn_;  // also of those that could not be opened
};

// What came of reading one journal.
struct JournalReading {
  std::optional<Error> refusal;
  engine::JournalEnd end;
  std::uint64_t frames = 0;          // that were given, from 0 on
  std::optional<std::string> wrong;  // a frame that was never written so
  std::size_t answered = 0;          // vaults

  // As engine/database_log.h, I1, has it: with `liars` among those that answered.
  bool is_proven(std::size_t vaults, std::uint32_t k, std::size_t liars) const {
    const bool is_whole = !refusal.has_value() && !end.lost.has_value() && end.marked <= end.frames;
    return is_whole && answered >= vaults - k + liars + 1;
  }
};

// The site reads from those vaults. On an actor of abroad.
inline JournalReading read_journal(SimRealm& realm, const WrittenJournal& journal, const std::set<std::size_t>& heard,
                                   const policy::Quorum& quorum) {
  const env::Env env = realm.abroad().env();
  std::vector<std::unique_ptr<store::VaultApi>> doors;
  for (const std::size_t vault : heard)
    doors.push_back(realm.vault(vault).door(realm.abroad(), realm.site_transport()));
  engine::JournalReader reader({env.clock, env.threads, quorum, realm.vault_count()}, realm.keys().policy().realm,
                               journal.stream, SimRealm::pointers_to(doors), realm.keys().opening_keys());
  JournalReading reading;
  const auto read = reader.read([&](const engine::JournalFrame& frame) -> Status {
    const std::uint64_t number = frame.number.value();
    const bool is_right = number == reading.frames && number < journal.sizes.size() &&
                          equal(frame.content, frame_of(journal.tag, number, journal.sizes[number]));
    if (!is_right && !reading.wrong.has_value()) {
      reading.wrong = "frame " + std::to_string(number) + " came back, after " + std::to_string(reading.frames) +
                      " others, and is not what was written";
    }
    ++reading.frames;
    return {};
  });
  if (!read.ok()) {
    reading.refusal = read.error();
    return reading;
  }
  reading.end = read.value();
  std::set<std::string> silent;
  for (const engine::NoAnswer& each : reading.end.unreachable) silent.insert(each.vault);
  reading.answered = heard.size() - silent.size();
  return reading;
}
inline JournalReading read_journal_abroad(SimRealm& realm, const WrittenJournal& journal,
                                          const std::set<std::size_t>& heard, const policy::Quorum& quorum) {
  JournalReading reading;
  realm.abroad().run([&] { reading = read_journal(realm, journal, heard, quorum); });
  return reading;
}

}  // namespace exclave::realm_tests
