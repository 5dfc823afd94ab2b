// zstd chunk of a pack: rejected, or it fills exactly the size that was expected. Nothing is written beyond it.
#include <vector>

#include "base/check.h"
#include "compress/compress.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kGuard = 16;
  exclave::compress::Decompressor decompressor;
  for (const std::size_t plain : {std::size_t{1}, std::size_t{4100}, std::size_t{65536}}) {
    exclave::Bytes out(plain + kGuard, 0xa5);
    const auto status = decompressor.decompress({data, size}, exclave::MutableByteView(out).first(plain));
    exclave::ignore(status, "both answers are right");
    for (std::size_t i = plain; i < out.size(); ++i) CHECK(out[i] == 0xa5);
  }
  return 0;
}
