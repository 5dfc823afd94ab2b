// H7 for journals: power loss at every file call, of an agent and its vaults on one machine, while frames are appended,
// segments rolled and closed. No frame that was reported durable is ever lost; what is closed is equal everywhere.
#include <gtest/gtest.h>

#include "sim/crash_points.h"
#include "tests/journal/journal_bench.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;

struct JournalOnADyingMachine {
  std::unique_ptr<JournalBench> bench;
  std::uint64_t acknowledged = 0;  // frames that were durable by k, as told to somebody outside
  std::uint64_t spooled = 0;       // frames of which sync_spool said so
  std::uint64_t appended = 0;

  void prepare(sim::Machine& machine) { bench = std::make_unique<JournalBench>(machine.env()); }

  void append(spread::JournalWriter& writer, std::size_t bytes) {
    if (writer.append(content_of(appended, bytes)).ok()) ++appended;
  }
  void await(spread::JournalWriter& writer) {
    if (appended == 0) return;
    const Status waited = writer.wait_beyond(format::FrameNumber(appended - 1), bench->in(300ms));
    if (waited.ok()) acknowledged = appended;
  }

  void work(sim::Machine&) {
    auto options = bench->options();
    options.classes.largest = 18;
    options.sends_directly = true;
    bench->answer_after(1ms);
    auto opened = spread::JournalWriter::open(
        bench->world(), bench->vaults(), JournalBench::stream_named("first"), keys().writer(),
        [&]() -> Result<const format::SealingKey*> { return &agent.periods.at(3); }, options);
    if (opened.ok()) {
      const auto writer = opened.take();
      append(*writer, 100);
      append(*writer, 9000);
      await(*writer);
      append(*writer, 100);
      if (writer->sync_spool().ok()) spooled = appended;
      if (writer->roll().ok()) append(*writer, 200);
      await(*writer);
      ignore(writer->finish(bench->in(500ms)), "the machine may be dead");
    }
    bench->close_vaults();
  }

  Status finished(sim::Machine&) const {
    if (appended == 4 && acknowledged == 4 && spooled == 3) return {};
    return Error(Code::Bug, "4 frames were to be appended and acknowledged, 3 of them spooled; it were " +
                                std::to_string(appended) + ", " + std::to_string(acknowledged) + " and " +
                                std::to_string(spooled));
  }

  Status check(sim::Machine&) {
    Status found = look();
    bench->close_vaults();
    return found;
  }

  Status look() {
    TRY(bench->reopen_vaults());
    TRY(check_frames(acknowledged));
    const auto recovered =
        TRY(spread::recover_spool(bench->world(), bench->spool(), bench->vaults(), keys().writer(), bench->in(1min)));
    TRY(check_frames(std::max(acknowledged, spooled)));
    for (const auto& left : recovered) {
      if (left.is_complete) TRY(check_equal());
    }
    return {};
  }

  Status check_frames(std::uint64_t least) {
    std::vector<Bytes> frames;
    const auto end = TRY(bench->read("first", frames));
    if (frames.size() < least) {
      return Error(Code::Corrupt, std::to_string(least) + " frames were promised, and " +
                                      std::to_string(frames.size()) + " are there");
    }
    if (frames.size() > appended + 1) return Error(Code::Corrupt, "more frames than were written");
    for (std::uint64_t i = 0; i < frames.size(); ++i) {
      if (frames[i] != content_of(i, frames[i].size())) return Error(Code::Corrupt, "a frame has other content");
    }
    if (!end.problems.empty()) return Error(Code::Corrupt, end.problems.front());
    return {};
  }

  Status check_equal() {
    const auto names = bench->objects_at(0, "first");
    for (std::size_t i = 0; i < JournalBench::kVaults; ++i) {
      if (bench->objects_at(i, "first") != names) return Error(Code::Corrupt, "a vault closed other segments");
      if (!TRY(bench->door(i).open_segments(keys().registry().id)).empty()) {
        return Error(Code::Corrupt, "a segment stayed open");
      }
      const std::uint64_t used = TRY(bench->door(i).quota(keys().registry().id)).used_bytes;
      const std::uint64_t expected = vault::kStreamCharge + names.size() * ((1 << 18) + vault::kEntryCharge);
      if (used != expected) {
        return Error(Code::Corrupt,
                     "the quota says " + std::to_string(used) + " instead of " + std::to_string(expected));
      }
    }
    return {};
  }

  custody::AgentKeys agent = keys().agent_keys();
};

TEST(JournalCrash, H7_no_acknowledged_frame_is_lost_at_any_file_call) {
  const auto report = sim::for_each_crash_point<JournalOnADyingMachine>({.seed = 21, .lotteries = 1});
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(report.points, 60U) << "the work did not do what it should";
  GTEST_LOG_(INFO) << report.points << " file calls, " << report.runs << " runs";
}

// One vault alone, appended to directly: nothing but torn frames is lost, and what is behind the end is clean.
struct VaultUnderFrames {
  std::unique_ptr<JournalBench> bench;
  std::uint64_t confirmed = 0;
  Bytes segment;

  void prepare(sim::Machine& machine) {
    bench = std::make_unique<JournalBench>(machine.env());
    CHECK(bench->door(0).open_stream(JournalBench::stream_named("first")).ok());
  }

  void work(sim::Machine&) {
    const auto agent = keys().agent_keys();
    auto sealer = format::SegmentSealer::open(agent.periods.at(0), keys().policy().realm, place(), 18,
                                              policy::testing::seeded_secret<32>("ephemeral"))
                      .take();
    segment.resize(1 << 18);
    std::copy(sealer.front().begin(), sealer.front().end(), segment.begin());
    std::uint64_t sent = 0;
    for (std::uint64_t i = 0; i < 4; ++i) {
      CHECK(sealer
                .seal(format::FrameNumber(i), content_of(i, 3000 + i * 5000), policy::testing::seeded_secret<32>("r"),
                      MutableByteView(segment).subspan(sealer.end()))
                .ok());
      const auto end =
          bench->door(0).append_frames(place().stream, place().index, 18, sent,
                                       ByteView(segment).subspan(sent, static_cast<std::size_t>(sealer.end() - sent)));
      sent = sealer.end();
      if (!end.ok()) break;
      confirmed = end.value();
    }
    bench->close_vaults();
  }

  Status finished(sim::Machine&) const {
    std::uint64_t whole = format::kSegmentFrontBytes;
    for (std::uint64_t i = 0; i < 4; ++i) whole += format::frame_bytes(3000 + i * 5000);
    if (confirmed == whole) return {};
    return Error(Code::Bug, std::to_string(confirmed) + " of " + std::to_string(whole) + " bytes were confirmed");
  }

  static format::SegmentPlace place() {
    return {JournalBench::stream_named("first").descriptor.id(), format::EntryIndex(0)};
  }

  Status check(sim::Machine& machine) {
    Status found = look(machine);
    bench->close_vaults();
    return found;
  }

  Status look(sim::Machine& machine) {
    TRY(bench->reopen_vaults());
    const auto open = TRY(bench->door(0).open_segments(keys().registry().id));
    const std::uint64_t end = open.empty() ? 0 : open.at(0).end;
    if (end < confirmed) return Error(Code::Corrupt, "confirmed frames are gone");
    if (end > 0) {
      const Bytes file = TRY(machine.env().files.read_file("/vault-0/journal/" + place().stream.hex() + "/0", 1 << 18));
      if (!equal(ByteView(file).first(static_cast<std::size_t>(end)),
                 ByteView(segment).first(static_cast<std::size_t>(end)))) {
        return Error(Code::Corrupt, "other bytes stand below the end");
      }
      const ByteView tail = ByteView(file).subspan(static_cast<std::size_t>(end));
      if (std::any_of(tail.begin(), tail.end(), [](Byte byte) { return byte != 0; })) {
        return Error(Code::Corrupt, "a torn frame stayed behind the end");
      }
    }
    // And it goes on where it ends.
    const std::uint64_t whole = 4096 + format::frame_bytes(3000);
    if (!segment.empty() && end < whole) {
      TRY(bench->door(0).append_frames(place().stream, place().index, 18, end,
                                       ByteView(segment).subspan(end, static_cast<std::size_t>(whole - end))));
    }
    return {};
  }
};

TEST(JournalCrash, H7_a_vault_finds_the_last_whole_frame_after_power_loss_at_every_file_call) {
  const auto report = sim::for_each_crash_point<VaultUnderFrames>({.seed = 3, .lotteries = 4});
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(report.points, 12U) << "the work did not do what it should";
}

}  // namespace
}  // namespace exclave::journal_tests
