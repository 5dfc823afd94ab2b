// Compression of one chunk at a time into one zstd frame, or the decision that it is not worth it.
// Hides: libzstd, its contexts and its parameters (ADR-0011). Any zstd tool opens a frame.
//
//   frame := one standard zstd frame: magic 28 b5 2f fd, content size present, no dictionary, no checksum
//   A chunk that does not shrink by at least 1/32 is stored raw: Form::Raw, and nothing usable was written.
//
// Units/limits: bytes; a chunk has 1 byte to 16 MiB.
// I1  Compression is not canonical: other versions of libzstd give other frames. Nothing may name a chunk by its frame.
// I2  decompress never writes past `out` and never reads past `in`; whoever chooses out.size() bounds the memory, the
//     frame does not.
// I3  A frame that decompress accepts fills `out` exactly and has not one byte before or after it.
// Threads: an object by one thread at a time; one per worker. An object keeps 0.65 MB (compress), 0.1 MB (decompress).
// Errors: compress: Exhausted (memory), Bug. decompress: Corrupt, Exhausted (memory).
// See: ADR-0011.
// Source: RFC 8878.
#pragma once

#include <cstddef>
#include <memory>

#include "base/bytes.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace exclave::compress {

inline constexpr std::size_t kMaxInputBytes = std::size_t{16} << 20;

enum class Form { Raw, Zstd };

struct Compressed {
  Form form = Form::Raw;
  std::size_t size = 0;  // of the frame in `out`; of the input for Raw
};

class Compressor {
 public:
  Compressor();
  ~Compressor();
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;

  // Precondition: 1 <= in.size() <= kMaxInputBytes, out.size() >= in.size(), no overlap.
  Result<Compressed> compress(ByteView in, MutableByteView out);

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_CCtx_s, Free> context_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;

  // `out` has exactly the size that the frame must have, known from elsewhere. After an error its content is undefined.
  // Precondition: no overlap. Corrupt for anything that is not exactly one frame of exactly that size, and for size 0.
  Status decompress(ByteView in, MutableByteView out);

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
};

}  // namespace exclave::compress
