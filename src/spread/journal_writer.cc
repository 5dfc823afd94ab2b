#include "spread/journal_writer.h"

#include <algorithm>
#include <atomic>

#include "base/text.h"
#include "format/object.h"
#include "spread/detail/direct_append.h"
#include "spread/detail/journal_state.h"
#include "store/vault_words.h"

namespace exclave::spread {
namespace {

using detail::JournalLane;
using detail::JournalSegment;
using detail::JournalState;

// Closed segments that stay in memory for lanes that are not far behind.
constexpr std::size_t kRecentSegments = 2;
// How often who waits at the monitor looks for answers to what was sent directly.
constexpr std::chrono::milliseconds kAnswerLook{1};
constexpr int kMostNewSegments = 3;  // for one frame: one under an old key, one that is too small, and the right one

// A segment that frames can be sealed into.
struct OpenEnd {
  std::uint64_t index = 0;
  format::SegmentSealer sealer;
  std::shared_ptr<Bytes> bytes;  // owned by the segment in the shared state as well
  std::unique_ptr<env::WritableFile> file;
};

// What the keeper is asked for.
struct OpenRequest {
  format::SealingKey key;
  std::uint8_t size_class = 0;
};

class JournalWriterOfLanes final : public JournalWriter {
 public:
  JournalWriterOfLanes(const World& world, const format::SignedStream& stream,
                       const crypto::Ed25519SigningKey& writer_key, JournalKeys keys, const JournalOptions& options)
      : state_(world, stream, writer_key, options), keys_(std::move(keys)) {}
  JournalWriterOfLanes(const JournalWriterOfLanes&) = delete;
  JournalWriterOfLanes& operator=(const JournalWriterOfLanes&) = delete;
  ~JournalWriterOfLanes() override { stop(); }

  Status start(const std::vector<store::VaultApi*>& vaults);

  Result<JournalPosition> append(ByteView content) override;
  bool take_answers() override { return detail::take_answers(state_); }
  std::uint64_t durable() const override {
    const env::MonitorLock lock(*state_.monitor);
    return state_.durable;
  }
  Status wait_beyond(JournalPosition position, env::Instant deadline) override;
  Status roll() override;
  bool wants_roll() const override;
  Status sync_spool() override;
  JournalProgress progress() const override;
  Status finish(env::Instant deadline) override;
  const format::StreamId& stream() const override { return state_.id; }

 private:
  // --- by the thread that appends ---
  enum class Ends { Full, Rolled };  // what becomes of the present segment
  std::uint8_t next_class(std::size_t content_bytes, Ends ends) const;
  // Asks the keeper for the next segment, if that was not done yet.
  void request_next(const format::SealingKey& key, std::size_t content_bytes, Ends ends);
  // The present segment ends; the next one is ready for a frame of so many bytes under the key of now.
  Status advance(std::size_t content_bytes, Ends ends);
  Status take_next();
  void fail(const Error& error);

  // --- keeper ---
  void keep();
  bool keep_once();  // under the monitor, which it leaves for its work; false: nothing to do
  Result<OpenEnd> open_segment(const OpenRequest& request);
  Status close_segment(std::uint64_t index);
  Status drop_segment(std::uint64_t index);
  std::optional<std::uint64_t> to_close() const;
  std::optional<std::uint64_t> to_drop() const;
  void forget_old_bytes();
  std::uint64_t spool_bytes() const;
  void stop();
  std::string reasons() const;

  mutable JournalState state_;
  const JournalKeys keys_;
  std::unique_ptr<env::Thread> keeper_;

  // Of the thread that appends:
  std::optional<OpenEnd> end_;
  std::uint64_t next_number_ = 0;
  std::uint8_t class_ = 0;                // of the newest segment
  env::Instant filling_since_;            // the present segment's first frame
  std::atomic<bool> has_frames_ = false;  // the present segment has; written by who appends
  bool is_requested_ = false;             // the next segment, until it was taken
  bool is_finished_ = false;

  // Under state_.monitor:
  std::optional<OpenRequest> request_;
  std::optional<OpenEnd> next_;
};

Status JournalWriterOfLanes::start(const std::vector<store::VaultApi*>& vaults) {
  TRY(state_.spool.create(state_.stream));
  for (store::VaultApi* vault : vaults) {
    auto lane = std::make_unique<JournalLane>(state_.world.threads);
    lane->vault = vault;
    lane->progress.vault = vault->name();
    state_.lanes.push_back(std::move(lane));
  }
  // One after the other through the interval: k others are free for frames while one vault reads back and signs.
  env::Instant first_mark = state_.world.clock.monotonic();
  for (const auto& lane : state_.lanes) {
    first_mark = first_mark + state_.options.mark_every / static_cast<std::int64_t>(vaults.size());
    lane->next_mark = first_mark;
  }
  const format::SealingKey* const key = TRY(keys_());
  class_ = state_.options.classes.first;
  end_ = TRY(open_segment({key->clone(), class_}));
  keeper_ = TRY(state_.world.threads.start("journal-keeper", [this] { keep(); }));
  for (const auto& lane : state_.lanes) {
    auto thread = state_.world.threads.start("journal-" + lane->progress.vault,
                                             [this, lane = lane.get()] { detail::run_lane(state_, *lane); });
    const env::MonitorLock lock(*state_.monitor);
    if (thread.ok()) {
      lane->thread = thread.take();
      continue;
    }
    // As if the vault were gone for good; the spool keeps what it lacks.
    lane->is_done = true;
    lane->progress.failure = thread.take_error();
    lane->progress.behind_since = state_.world.clock.now();
  }
  return {};
}

void JournalWriterOfLanes::fail(const Error& error) {
  const env::MonitorLock lock(*state_.monitor);
  if (!state_.spool_error.has_value()) state_.spool_error = error;
  state_.monitor->notify_all();
}

std::uint8_t JournalWriterOfLanes::next_class(std::size_t content_bytes, Ends ends) const {
  const JournalClasses& classes = state_.options.classes;
  std::uint8_t size_class = class_;
  if (has_frames_) {
    const auto took = state_.world.clock.monotonic() - filling_since_;
    if (ends == Ends::Full && took < classes.fast && size_class < classes.largest)
      size_class = static_cast<std::uint8_t>(size_class + 2);
    if (took > classes.slow && size_class > classes.first) size_class = static_cast<std::uint8_t>(size_class - 2);
  }
  while (format::frame_bytes(content_bytes) + format::kSegmentFrontBytes > format::object_bytes(size_class)) {
    size_class = static_cast<std::uint8_t>(size_class + 2);
  }
  return size_class;
}
static_assert(format::kMaxFrameBytes + format::kSegmentFrontBytes <= format::kMaxObjectBytes);

void JournalWriterOfLanes::request_next(const format::SealingKey& key, std::size_t content_bytes, Ends ends) {
  if (is_requested_) return;
  const std::uint8_t size_class = next_class(content_bytes, ends);
  is_requested_ = true;
  {
    const env::MonitorLock lock(*state_.monitor);
    request_ = OpenRequest{key.clone(), size_class};
  }
  state_.keeper_bell.ring();
}

Status JournalWriterOfLanes::take_next() {
  {
    const env::MonitorLock lock(*state_.monitor);
    while (!next_.has_value() && !state_.spool_error.has_value()) state_.monitor->wait();
    if (!next_.has_value()) return *state_.spool_error;
    if (end_.has_value()) state_.segments.at(end_->index).is_full = true;
    end_ = std::move(*next_);
    next_.reset();
    is_requested_ = false;
    class_ = end_->sealer.size_class();
  }
  state_.keeper_bell.ring();
  state_.ring_lanes();
  return {};
}

Status JournalWriterOfLanes::advance(std::size_t content_bytes, Ends ends) {
  const format::SealingKey* const key = TRY(keys_());
  for (int i = 0; i < kMostNewSegments; ++i) {
    request_next(*key, content_bytes, ends);
    TRY(take_next());
    has_frames_ = false;
    if (end_->sealer.key() == key->id && end_->sealer.fits(content_bytes)) return {};
  }
  return Error(Code::Unavailable, "journal: no segment for the key of now could be opened");
}

Result<JournalPosition> JournalWriterOfLanes::append(ByteView content) {
  CHECK(!is_finished_);
  if (content.empty() || content.size() > format::kMaxFrameContent) {
    return Error(Code::InvalidInput, "a frame of " + std::to_string(content.size()) + " bytes");
  }
  {
    const env::MonitorLock lock(*state_.monitor);
    if (state_.spool_error.has_value()) return *state_.spool_error;
  }
  if (!end_->sealer.fits(content.size())) TRY(advance(content.size(), Ends::Full));
  crypto::Secret<32> random;
  TRY(state_.world.random.fill(random.mutable_view()));
  const auto at = static_cast<std::size_t>(end_->sealer.end());
  const format::FrameNumber number(next_number_);
  const auto size = TRY(end_->sealer.seal(number, content, random, MutableByteView(*end_->bytes).subspan(at)));
  CHECK(size.has_value());
  const Status spooled = end_->file->write_at(at, ByteView(*end_->bytes).subspan(at, *size));
  if (!spooled.ok()) {
    // The number and the place are used up: what follows would not follow.
    fail(Error(spooled.error()).in("journal spool"));
    return Error(spooled.error()).in("journal spool");
  }
  ++next_number_;
  if (!has_frames_) filling_since_ = state_.world.clock.monotonic();
  has_frames_ = true;
  {
    const env::MonitorLock lock(*state_.monitor);
    JournalSegment& segment = state_.segments.at(end_->index);
    segment.end = end_->sealer.end();
    segment.frames_end = next_number_;
    state_.appended = next_number_;
  }
  detail::send_or_ring(state_);
  if (!is_requested_ && end_->sealer.end() >= format::object_bytes(end_->sealer.size_class()) / 4 * 3) {
    // A key that cannot be had now will be asked for when the segment is full.
    const auto key = keys_();
    if (key.ok()) request_next(*key.value(), 1, Ends::Full);
  }
  return number;
}

Status JournalWriterOfLanes::roll() {
  const format::SealingKey* const key = TRY(keys_());
  if (!has_frames_ && end_->sealer.key() == key->id) return {};
  return advance(1, Ends::Rolled);
}

bool JournalWriterOfLanes::wants_roll() const {
  const env::MonitorLock lock(*state_.monitor);
  return state_.refused == end_->index && has_frames_;
}

Status JournalWriterOfLanes::sync_spool() {
  const std::uint64_t index = end_->index;
  {
    const env::MonitorLock lock(*state_.monitor);
    // Full ones are synced by the keeper, before their entries.
    const auto is_open = [&] {
      return std::any_of(state_.segments.begin(), state_.segments.lower_bound(index),
                         [](const auto& each) { return !each.second.entry.has_value(); });
    };
    while (is_open() && !state_.spool_error.has_value()) state_.monitor->wait();
    if (state_.spool_error.has_value()) return *state_.spool_error;
  }
  Status synced = end_->file->sync();
  if (!synced.ok()) {
    fail(Error(synced.error()).in("journal spool"));
    return Error(synced.error()).in("journal spool");
  }
  return {};
}

std::string JournalWriterOfLanes::reasons() const {
  std::string all;
  for (const auto& lane : state_.lanes) {
    if (lane->progress.frames >= state_.appended) continue;
    const auto& failure = lane->progress.failure;
    append_item(
        all,
        failure.has_value() ? store::in_list(lane->progress.vault, *failure) : lane->progress.vault + ": not there yet",
        "; ");
  }
  return all;
}

Status JournalWriterOfLanes::wait_beyond(JournalPosition position, env::Instant deadline) {
  const env::MonitorLock lock(*state_.monitor);
  while (state_.durable <= position.value() && state_.world.clock.monotonic() < deadline) {
    if (!state_.options.sends_directly) {
      state_.monitor->wait_until(deadline);
      continue;
    }
    state_.monitor->unlock();
    detail::take_answers(state_);
    state_.monitor->lock();
    if (state_.durable > position.value()) break;
    state_.monitor->wait_until(std::min(deadline, state_.world.clock.monotonic() + kAnswerLook));
  }
  if (state_.durable > position.value()) return {};
  return Error(Code::Unavailable, "journal: frame " + std::to_string(position.value()) + " is not at " +
                                      std::to_string(state_.options.durable_copies) + " vaults yet (" + reasons() +
                                      ")");
}

JournalProgress JournalWriterOfLanes::progress() const {
  const env::MonitorLock lock(*state_.monitor);
  JournalProgress all;
  all.appended = state_.appended;
  all.durable = state_.durable;
  all.vouched = state_.vouched;
  if (state_.unvouched_since.has_value()) all.unvouched_for = state_.world.clock.monotonic() - *state_.unvouched_since;
  all.spool_bytes = spool_bytes();
  all.segments = state_.chain.size();
  for (const auto& lane : state_.lanes) {
    JournalVaultProgress one = lane->progress;
    for (const auto& [index, segment] : state_.segments) {
      if (index < lane->closed) continue;
      const auto sent = lane->sent.find(index);
      one.bytes_behind += segment.end - (sent == lane->sent.end() ? 0 : std::min(sent->second, segment.end));
    }
    all.vaults.push_back(std::move(one));
  }
  return all;
}

Status JournalWriterOfLanes::finish(env::Instant deadline) {
  is_finished_ = true;
  std::optional<Error> error;
  {
    const env::MonitorLock lock(*state_.monitor);
    // One that is just being opened ahead is closed, too: nothing stays open at the vaults.
    while (is_requested_ && !next_.has_value() && !state_.spool_error.has_value()) state_.monitor->wait();
    for (auto& [index, segment] : state_.segments) segment.is_full = true;
    state_.keeper_bell.ring();
    while (state_.chain.size() < state_.opened && !state_.spool_error.has_value()) state_.monitor->wait();
    error = state_.spool_error;
    state_.is_finishing = !error.has_value();
    state_.ring_lanes();
    const auto is_sending = [](const auto& lane) { return !lane->is_done; };
    while (!error.has_value() && std::any_of(state_.lanes.begin(), state_.lanes.end(), is_sending) &&
           state_.world.clock.monotonic() < deadline) {
      state_.monitor->wait_until(deadline);
    }
  }
  stop();
  if (error.has_value()) return *error;
  const bool is_everywhere = std::all_of(state_.lanes.begin(), state_.lanes.end(),
                                         [&](const auto& lane) { return lane->progress.segments == state_.opened; });
  if (is_everywhere) return state_.spool.remove_all().in([] { return "journal spool"; });
  return {};
}

void JournalWriterOfLanes::stop() {
  {
    const env::MonitorLock lock(*state_.monitor);
    state_.is_stopping = true;
  }
  state_.keeper_bell.ring();
  state_.ring_lanes();
  for (const auto& lane : state_.lanes) {
    if (lane->thread != nullptr) lane->thread->join();
  }
  if (keeper_ != nullptr) keeper_->join();
}

std::uint64_t JournalWriterOfLanes::spool_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [index, segment] : state_.segments) sum += format::object_bytes(segment.size_class);
  return sum;
}

// Opens in the spool, and for the lanes.
Result<OpenEnd> JournalWriterOfLanes::open_segment(const OpenRequest& request) {
  const std::uint64_t index = state_.opened;  // written by this thread alone
  const format::SegmentPlace place{state_.id, format::EntryIndex(index)};
  crypto::Secret<32> random;
  TRY(state_.world.random.fill(random.mutable_view()));
  // Bound to its place: another stream of a machine that was set back has other ephemerals.
  crypto::HmacSha256 hmac(random.view());
  hmac.update(as_bytes("journal-ephemeral"));
  hmac.update(place.stream.view());
  Bytes number(8);
  store_u64(number, index);
  crypto::Hash256 drawn = hmac.of(number);
  const auto ephemeral = crypto::Secret<32>::from_view(drawn.view());
  crypto::wipe(drawn.mutable_view());
  auto sealer = TRY(
      format::SegmentSealer::open(request.key, state_.stream.descriptor.realm, place, request.size_class, ephemeral));
  auto bytes = std::make_shared<Bytes>(format::object_bytes(request.size_class));
  std::copy(sealer.front().begin(), sealer.front().end(), bytes->begin());
  auto file =
      TRY(state_.spool.create_segment(index, request.size_class, sealer.front()).in([] { return "journal spool"; }));
  const env::MonitorLock lock(*state_.monitor);
  JournalSegment segment;
  segment.size_class = request.size_class;
  segment.bytes = bytes;
  segment.end = format::kSegmentFrontBytes;
  segment.frames_end = state_.appended;
  state_.segments.emplace(index, std::move(segment));
  ++state_.opened;
  return OpenEnd{index, std::move(sealer), std::move(bytes), std::move(file)};
}

Status JournalWriterOfLanes::close_segment(std::uint64_t index) {
  std::shared_ptr<Bytes> bytes;
  format::Entry entry;
  entry.stream = state_.id;
  entry.index = format::EntryIndex(index);
  format::ChainHash before;
  {
    const env::MonitorLock lock(*state_.monitor);
    bytes = state_.segments.at(index).bytes;
    before = state_.chain.empty() ? format::chain_start(state_.id) : state_.chain.back();
  }
  entry.object = format::name_of(*bytes);
  entry.chain = format::next_chain(before, entry.object, std::nullopt);
  const format::SignedEntry signed_entry = format::SignedEntry::sign(entry, state_.writer_key);
  TRY(state_.spool.sync_segment(index).in([] { return "journal spool"; }));
  TRY(state_.spool.put_entry(signed_entry).in([] { return "journal spool"; }));
  const env::MonitorLock lock(*state_.monitor);
  JournalSegment& segment = state_.segments.at(index);
  segment.entry = signed_entry;
  // Opened ahead, it was given the number of that time.
  if (segment.end == format::kSegmentFrontBytes) {
    segment.frames_end = state_.frames_by_segment.empty() ? 0 : state_.frames_by_segment.back();
  }
  state_.chain.push_back(entry.chain);
  state_.frames_by_segment.push_back(segment.frames_end);
  return {};
}

std::optional<std::uint64_t> JournalWriterOfLanes::to_close() const {
  const auto found = state_.segments.find(state_.chain.size());
  if (found == state_.segments.end() || !found->second.is_full) return std::nullopt;
  return found->first;
}

// The oldest closed one, if every vault has it, or if the spool is over its limit and k vaults have it. Never the newest of
// all: by that recover_spool knows how far the frames went.
std::optional<std::uint64_t> JournalWriterOfLanes::to_drop() const {
  if (state_.segments.size() < 2) return std::nullopt;
  const auto& [index, segment] = *state_.segments.begin();
  if (!std::next(state_.segments.begin())->second.entry.has_value()) return std::nullopt;
  const auto have =
      static_cast<std::size_t>(std::count_if(state_.lanes.begin(), state_.lanes.end(),
                                             [at = index](const auto& lane) { return lane->progress.segments > at; }));
  if (have == state_.lanes.size()) return index;
  if (spool_bytes() > state_.options.spool_limit_bytes && have >= state_.options.durable_copies) return index;
  return std::nullopt;
}

Status JournalWriterOfLanes::drop_segment(std::uint64_t index) {
  TRY(state_.spool.remove_segment(index));
  // The chain goes on from this entry, if a later start has to close what follows: the last one stays.
  if (index > 0) TRY(state_.spool.remove_entry(index - 1));
  return {};
}

void JournalWriterOfLanes::forget_old_bytes() {
  std::size_t recent = 0;
  for (auto each = state_.segments.rbegin(); each != state_.segments.rend(); ++each) {
    if (!each->second.entry.has_value()) continue;
    if (++recent > kRecentSegments) each->second.bytes.reset();
  }
}

bool JournalWriterOfLanes::keep_once() {
  if (request_.has_value()) {
    const OpenRequest request = std::move(*request_);
    request_.reset();
    state_.monitor->unlock();
    auto opened = open_segment(request);
    state_.monitor->lock();
    if (opened.ok())
      next_ = opened.take();
    else if (!state_.spool_error.has_value())
      state_.spool_error = opened.take_error();
    return true;
  }
  if (const auto index = to_close()) {
    state_.monitor->unlock();
    const Status closed = close_segment(*index);
    state_.monitor->lock();
    if (!closed.ok() && !state_.spool_error.has_value()) state_.spool_error = closed.error();
    forget_old_bytes();
    return true;
  }
  if (const auto index = to_drop()) {
    // First of all it is gone for the lanes: nobody reads a file that is being removed.
    state_.segments.erase(*index);
    state_.monitor->unlock();
    ignore(drop_segment(*index), "a leftover is offered to recover_spool at the next start, which removes it");
    state_.monitor->lock();
    return true;
  }
  return false;
}

void JournalWriterOfLanes::keep() {
  state_.monitor->lock();
  while (!state_.is_stopping) {
    if (!state_.spool_error.has_value() && keep_once()) {
      state_.monitor->notify_all();
      state_.ring_lanes();
    } else if (!state_.is_stopping) {
      state_.monitor->unlock();
      state_.keeper_bell.wait();
      state_.monitor->lock();
    }
  }
  state_.monitor->unlock();
}

}  // namespace

Result<std::unique_ptr<JournalWriter>> JournalWriter::open(const World& world, std::vector<store::VaultApi*> vaults,
                                                           const format::SignedStream& stream,
                                                           const crypto::Ed25519SigningKey& writer_key,
                                                           JournalKeys keys, const JournalOptions& options) {
  CHECK(options.durable_copies >= 1);
  CHECK(stream.descriptor.kind == format::StreamKind::Journal);
  auto writer = std::make_unique<JournalWriterOfLanes>(world, stream, writer_key, std::move(keys), options);
  TRY(writer->start(vaults));
  return std::unique_ptr<JournalWriter>(std::move(writer));
}

}  // namespace exclave::spread
