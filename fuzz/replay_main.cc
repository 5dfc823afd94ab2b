// Replay driver: runs one fuzz target without libFuzzer, the same inputs in every run.
//
//   <target>_fuzz SEED_DIRECTORY [FIXED_KIB [ROUNDS]]
//
//   FIXED_KIB   heap that the target holds whatever its input, default 256: buffers of its own, connections
//   ROUNDS      mutations per run in all, default 3,000
//
// First every seed as it is, then ROUNDS mutations of seeds from a fixed generator, so that a failure comes again.
// Fails when the target crashes, throws, or holds more live heap at once than FIXED_KIB + kAllowanceFactor times its
// input: a decoder that believes a length field before it has seen the bytes is a bug (docs/threat-model.md, H9). What
// C libraries allocate for themselves is not counted.
// The failing input is written to ./fuzz-failure.bin (handed to libFuzzer, it reproduces there too).
// Threads: one.
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <vector>

#include <malloc.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kDefaultFixedKib = 256;
constexpr std::size_t kDefaultRounds = 3'000;
constexpr std::size_t kMaximumInputBytes = std::size_t{1} << 20;
constexpr std::size_t kAllowanceFactor = 32;

std::size_t live_bytes = 0;
std::size_t peak_bytes = 0;

const Input* current_input = nullptr;  // for the signal handler

void save_current_input() {
  if (current_input == nullptr) return;
  std::FILE* file = std::fopen("fuzz-failure.bin", "wb");
  if (file == nullptr) return;
  std::fwrite(current_input->data(), 1, current_input->size(), file);
  std::fclose(file);
  std::fprintf(stderr, "the input is in ./fuzz-failure.bin (%zu bytes)\n", current_input->size());
}

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "FAILED: %s\n", why.c_str());
  save_current_input();
  std::_Exit(1);
}

// The process is lost anyway; saving what killed it matters more than the rules for signal handlers.
extern "C" void on_crash(int signal) {
  std::fprintf(stderr, "FAILED: signal %d\n", signal);
  save_current_input();
  std::_Exit(1);
}

// splitmix64: fixed by its seed on every machine, unlike the standard distributions.
class Generator {
 public:
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : static_cast<std::size_t>(next() % bound); }

 private:
  std::uint64_t state_ = 20'260'101;
};

void put_interesting_number(Input& input, Generator& random) {
  static constexpr std::uint64_t kNumbers[] = {0,
                                               1,
                                               0x7F,
                                               0x80,
                                               0xFF,
                                               0x7FFF,
                                               0x8000,
                                               0xFFFF,
                                               0x7FFFFFFF,
                                               0x80000000,
                                               0xFFFFFFFF,
                                               1U << 20U,
                                               1U << 24U,
                                               0x7FFFFFFFFFFFFFFF,
                                               0x8000000000000000,
                                               0xFFFFFFFFFFFFFFFF};
  const std::uint64_t number = kNumbers[random.below(std::size(kNumbers))];
  const std::size_t width = std::size_t{1} << random.below(4);
  if (input.size() < width) return;
  const std::size_t at = random.below(input.size() - width + 1);
  const bool big_endian = random.below(2) == 0;
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t shift = 8 * (big_endian ? width - 1 - i : i);
    input[at + i] = static_cast<std::uint8_t>(number >> shift);
  }
}

void mutate_once(Input& input, const std::vector<Input>& seeds, Generator& random) {
  const std::size_t at = random.below(input.size());
  const auto position = input.begin() + static_cast<std::ptrdiff_t>(at);
  switch (random.below(8)) {
    case 0:
      if (!input.empty()) input[at] ^= static_cast<std::uint8_t>(1U << random.below(8));
      break;
    case 1:
      if (!input.empty()) input[at] = static_cast<std::uint8_t>(random.next());
      break;
    case 2:
      input.resize(at);
      break;
    case 3: {  // insert bytes
      const std::vector<std::uint8_t> bytes(1 + random.below(16), static_cast<std::uint8_t>(random.next()));
      input.insert(position, bytes.begin(), bytes.end());
      break;
    }
    case 4: {  // erase a range
      const std::size_t count = std::min(input.size() - at, 1 + random.below(64));
      input.erase(position, position + static_cast<std::ptrdiff_t>(count));
      break;
    }
    case 5:
      put_interesting_number(input, random);
      break;
    case 6: {  // repeat a range
      const std::size_t count = std::min(input.size() - at, 1 + random.below(256));
      const Input range(position, position + static_cast<std::ptrdiff_t>(count));
      input.insert(position, range.begin(), range.end());
      break;
    }
    default: {  // the head of this one, the tail of another
      const Input& other = seeds[random.below(seeds.size())];
      const std::size_t cut = random.below(other.size());
      input.resize(at);
      input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(cut), other.end());
      break;
    }
  }
  if (input.size() > kMaximumInputBytes) input.resize(kMaximumInputBytes);
}

void run_one(const Input& input, std::size_t fixed_bytes) {
  current_input = &input;
  const std::size_t before = live_bytes;
  peak_bytes = live_bytes;
  try {
    static_cast<void>(LLVMFuzzerTestOneInput(input.data(), input.size()));
  } catch (const std::exception& thrown) {
    fail(std::string("the target threw ") + thrown.what());
  }
  const std::size_t held = peak_bytes - before;
  const std::size_t allowance = fixed_bytes + kAllowanceFactor * input.size();
  if (held > allowance) {
    fail("the target held " + std::to_string(held) + " bytes for an input of " + std::to_string(input.size()) +
         "; the allowance is " + std::to_string(allowance));
  }
}

std::vector<Input> read_seeds(const std::string& directory) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());  // the order of a directory is not fixed
  std::vector<Input> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    if (file.bad()) fail("cannot read " + path.string());
  }
  return seeds;
}

}  // namespace

// NOLINTBEGIN(cppcoreguidelines-no-malloc): these are the program's own new and delete.
// Counts live heap. The sanitizers bring their own operator new, and their own limits.
#ifndef EXCLAVE_SANITIZED
void* operator new(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  live_bytes += malloc_usable_size(memory);
  peak_bytes = std::max(peak_bytes, live_bytes);
  return memory;
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr) live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}
#endif
// NOLINTEND(cppcoreguidelines-no-malloc)

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::fprintf(stderr, "usage: %s SEED_DIRECTORY [FIXED_KIB [ROUNDS]]\n", argv[0]);
    return 2;
  }
  const std::size_t fixed_bytes = (argc > 2 ? std::strtoull(argv[2], nullptr, 10) : kDefaultFixedKib) << 10;
  const std::size_t rounds = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : kDefaultRounds;
#ifndef EXCLAVE_SANITIZED  // they report better than we do
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, on_crash);
#endif

  const std::vector<Input> seeds = read_seeds(argv[1]);
  if (seeds.empty()) fail(std::string("no seeds in ") + argv[1] + "; a target needs at least one real sample");
  for (const Input& seed : seeds) run_one(seed, fixed_bytes);

  Generator random;
  for (std::size_t round = 0; round < rounds; ++round) {
    Input input = seeds[random.below(seeds.size())];
    const std::size_t steps = 1 + random.below(6);
    for (std::size_t i = 0; i < steps; ++i) mutate_once(input, seeds, random);
    run_one(input, fixed_bytes);
  }
  std::printf("%zu seeds and %zu mutations, no failure\n", seeds.size(), rounds);
  return 0;
}
