#include "engine/detail/chunk_writer.h"

#include "base/text.h"

namespace exclave::engine {

// In every vault, as the reader has tried them all. If one of them merely gives no answer, it may be the one that has
// the bytes: the file is left out now, and can be had later. If none answers, no file can be had, and the restore ends.
bool ChunkWriter::costs_its_files_only(const Error& error) const {
  switch (error.code()) {
    case Code::Corrupt:
    case Code::NotFound:
      return true;
    case Code::Unavailable:
      return content_.chunks().is_answering();
    default:
      return false;
  }
}

ChunkWriter::ChunkWriter(env::Env& env, const SnapshotContent& content, AttributeSetter& attributes,
                         RestoreFindings& findings, LinkedNames& links, StageTimes& times, GoOn go_on)
    : env_(env),
      content_(content),
      attributes_(attributes),
      findings_(findings),
      links_(links),
      times_(times),
      go_on_(std::move(go_on)) {
  const std::size_t workers = env.threads.cores();
  for (std::size_t i = 0; i < workers; ++i) {
    decoders_.push_back(std::make_unique<repo::ChunkDecoder>(content.record().dedup_key));
  }
  pipeline_ = std::make_unique<env::OrderedPipeline<ChunkRun, Nothing>>(
      env.threads, workers, kPipelineDepth,
      [this](ChunkRun run, std::size_t worker) -> Result<Nothing> {
        TRY(write_out(run.chunks, *decoders_[worker]));
        return Nothing{};
      },
      [](Nothing) -> Status { return {}; });
}

Result<std::unique_ptr<env::WritableFile>> ChunkWriter::create(const FileTarget& file) {
  auto created = file.parent->create_file(file.name(), env::kPrivateFile);
  if (created.ok()) return created;
  switch (created.error().code()) {
    case Code::AlreadyExists:
      findings_.note_taken(file.path, created.error());
      findings_.note_absent_file(file.size);
      return std::unique_ptr<env::WritableFile>();
    case Code::InvalidInput:
      findings_.note_refused(file.path, created.error());
      findings_.note_absent_file(file.size);
      return std::unique_ptr<env::WritableFile>();
    default:
      return created;
  }
}

Status ChunkWriter::finish_file(FileTarget& file, env::WritableFile& handle) {
  return attributes_.apply_or_note(file.path, std::move(file.attributes),
                                   [&](const env::FileAttributes& wanted) { return handle.set_attributes(wanted); });
}

void ChunkWriter::leave_out(FileTarget& file, const Error& error) {
  if (!file.is_left_out.exchange(true)) findings_.note_left_out(file.path, error);
}

Status ChunkWriter::refuse(FileTarget& file, std::uint64_t length, const Error& error) {
  if (!file.is_left_out.exchange(true)) {
    findings_.note_refused(file.path, error);
    findings_.note_absent_file(file.size);
  }
  return give_up(file, length);
}

Status ChunkWriter::give_up(FileTarget& file, std::uint64_t length) {
  return file.bytes_left.fetch_sub(length) == length ? discard(file) : Status();
}

Status ChunkWriter::write_out(std::span<ChunkTask> chunks, repo::ChunkDecoder& decoder) {
  const repo::ChunkPlace& first = chunks.front().place;
  const auto stored = fetch(chunks, decoder);
  if (!stored.ok()) return leave_out_or_halve(chunks, stored.error(), decoder);
  for (ChunkTask& chunk : chunks) {
    const auto plain =
        decode(chunk, stored.value().subspan(chunk.place.offset - first.offset, chunk.place.stored_bytes), decoder);
    if (!plain.ok()) {
      if (!costs_its_files_only(plain.error())) return plain.error();
      TRY(leave_out(chunk, plain.error()));
      continue;
    }
    const StageTimer timer(times_, env_.clock, Stage::Write);
    for (Placement& placement : chunk.placements) TRY(findings_.of_target(place(placement, plain.value())));
  }
  return {};
}

// Recursion: as deep as the logarithm of the chunks of a run.
Status ChunkWriter::leave_out_or_halve(std::span<ChunkTask> chunks, const Error& error, repo::ChunkDecoder& decoder) {
  if (!costs_its_files_only(error)) return error;
  if (chunks.size() == 1 || error.code() != Code::Corrupt) {
    for (ChunkTask& chunk : chunks) TRY(leave_out(chunk, error));
    return {};
  }
  const std::size_t half = chunks.size() / 2;
  TRY(write_out(chunks.first(half), decoder));
  return write_out(chunks.subspan(half), decoder);
}

Result<ByteView> ChunkWriter::fetch(std::span<const ChunkTask> chunks, repo::ChunkDecoder& decoder) {
  const StageTimer timer(times_, env_.clock, Stage::Open);
  const repo::ChunkPlace& first = chunks.front().place;
  const repo::ChunkPlace& last = chunks.back().place;
  return content_.chunks().fetch(first.pack, first.offset, last.offset + last.stored_bytes - first.offset, decoder);
}

Result<ByteView> ChunkWriter::decode(const ChunkTask& chunk, ByteView stored, repo::ChunkDecoder& decoder) {
  const StageTimer timer(times_, env_.clock, Stage::Decompress);
  return content_.chunks().decode(chunk.id, chunk.place, stored, decoder);
}

Status ChunkWriter::leave_out(ChunkTask& chunk, const Error& error) {
  for (Placement& placement : chunk.placements) {
    leave_out(*placement.file, error);
    TRY(give_up(*placement.file, placement.length));
    placement.file.reset();
  }
  return {};
}

// Names that are given meanwhile would follow a hard-linked file: it is removed when there are no more of them.
Status ChunkWriter::discard(FileTarget& file) {
  if (file.linked.has_value()) {
    links_.note_left_out(*file.linked);
    return {};
  }
  if (!file.created) return {};
  Status removed = findings_.of_target(file.parent->remove(file.name()));
  return removed.ok() ? removed : unless_missing(removed.take_error());
}

Status ChunkWriter::place(Placement& placement, ByteView plain) {
  FileTarget& file = *placement.file;
  if (placement.chunk_offset > plain.size() || placement.length > plain.size() - placement.chunk_offset) {
    return Error(Code::Corrupt, "file '" + printable(file.path) + "': slice lies outside its chunk");
  }
  if (file.is_left_out) {
    TRY(give_up(file, placement.length));
    placement.file.reset();
    return {};
  }
  const ByteView data = plain.subspan(placement.chunk_offset, placement.length);
  const auto named = [&] { return "file '" + printable(file.path) + "'"; };
  auto opened = file.created ? file.parent->open_for_write(file.name()) : create(file);
  const auto handle = TRY(std::move(opened).in(named));
  if (handle == nullptr) return {};
  if (!file.created) file.created = true;  // by the only one who works at it
  Status written = handle->write_at(placement.file_offset, data);
  if (!written.ok()) {
    if (written.error().code() != Code::InvalidInput) return std::move(written).in(named);
    TRY(refuse(file, placement.length, written.error()));
    placement.file.reset();
    return {};
  }
  written_.fetch_add(data.size(), std::memory_order_relaxed);
  if (file.bytes_left.fetch_sub(data.size()) == data.size()) {
    TRY(file.is_left_out ? discard(file) : finish_file(file, *handle));
  }
  placement.file.reset();
  return {};
}

}  // namespace exclave::engine
