// main: the real world, the terminal, signals; then cli::run_program.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <span>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "cli/run.h"
#include "posix/stoppable_read.h"
#include "posix/world.h"
#include "table/rocksdb_table.h"

namespace {

using exclave::ByteView;
using exclave::Code;
using exclave::Error;
using exclave::MutableByteView;
using exclave::Result;
using exclave::Status;

class PosixTerminal final : public exclave::cli::Terminal {
 public:
  void out(std::string_view text) override {
    const int error = out_error_ != 0 ? out_error_ : write_all(STDOUT_FILENO, text);
    out_error_ = error;
  }
  void err(std::string_view text) override { write_all(STDERR_FILENO, text); }  // nobody is left to be told
  Status written() const override {
    if (out_error_ == 0) return {};
    return Error(
        out_error_ == EPIPE ? Code::Cancelled : Code::Exhausted,
        "standard output: " + std::generic_category().message(out_error_) + "; the results above are not complete");
  }
  bool shows_progress() const override { return ::isatty(STDERR_FILENO) == 1; }
  bool can_ask() const override { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1; }
  Result<std::string> read_line(const std::stop_token& stop) override {
    constexpr std::size_t kMostBytes = 4096;
    std::string line;
    exclave::Byte byte = 0;
    while (line.size() < kMostBytes) {
      const std::size_t got = TRY(read_input(MutableByteView(&byte, 1), stop));
      if (got == 0 && line.empty()) return Error(Code::NotFound, "standard input has ended");
      if (got == 0 || byte == '\n') return line;
      line += static_cast<char>(byte);
    }
    return Error(Code::InvalidInput, "the line is longer than 4,096 bytes");
  }
  Result<std::size_t> read_input(MutableByteView out, const std::stop_token& stop) override {
    return input_.read(STDIN_FILENO, out, stop, "standard input");
  }

 private:
  // 0, or errno.
  static int write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(descriptor, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return written < 0 ? errno : EIO;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
  }

  exclave::posix::StoppableReader input_;
  int out_error_ = 0;
};

// SIGINT and SIGTERM ask to stop, once; a second one ends the process as usual. Secrets never reach a core file.
class Signals {
 public:
  explicit Signals(std::stop_source& stop) {
    ::signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    waiter_ = std::thread([this, &stop] {
      int signal = 0;
      bool is_second = false;
      while (!ended_) {
        ::sigwait(&set_, &signal);
        if (signal == SIGUSR1) continue;  // from our destructor; anybody else's means nothing
        if (is_second) ::_exit(128 + signal);
        stop.request_stop();
        is_second = true;
      }
    });
  }
  ~Signals() {
    ended_ = true;
    ::pthread_kill(waiter_.native_handle(), SIGUSR1);
    waiter_.join();
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  sigset_t set_{};
  std::atomic<bool> ended_{false};  // the program has ended by itself
  std::thread waiter_;
};

// No core files, no attaching, and (where the limit allows) no swap: keys stay in this process's memory.
void keep_secrets_in_memory() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  rlimit locked{};
  if (::getrlimit(RLIMIT_MEMLOCK, &locked) != 0) return;
  // Under a small limit later allocations would fail: then `exclave` relies on encrypted swap, as SECURITY.md says.
  if (::geteuid() == 0 || locked.rlim_cur == RLIM_INFINITY) ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

// Whoever starts us without standard streams must not have their numbers given to the first files that are opened.
void occupy_standard_streams() {
  while (true) {
    const int next = ::open("/dev/null", O_RDWR);
    if (next > STDERR_FILENO) ::close(next);
    if (next < 0 || next > STDERR_FILENO) return;
  }
}

// RocksDB and the walk's window like more than the usual 1,024 descriptors; both also work with those.
void allow_many_files() {
  constexpr rlim_t kWanted = 65536;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = std::min(files.rlim_max, std::max(files.rlim_cur, kWanted));
  ::setrlimit(RLIMIT_NOFILE, &files);
}

// Nothing here may throw: what cannot be caught ends the program by a signal, which a server in recovery takes for trouble, too.
int code_of_accident(int argc, char** argv, const char* what) {
  std::fprintf(stderr, "exclave: bug: %s\n", what);
  return exclave::cli::is_for_server(std::span(argv + std::min(argc, 1), argv + argc)) ? exclave::cli::kWalTrouble
                                                                                       : exclave::cli::kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  keep_secrets_in_memory();
  allow_many_files();
  try {
    PosixTerminal terminal;
    std::stop_source stop;
    const Signals signals(stop);
    exclave::posix::World world;
    exclave::env::Env env = world.env();
    const exclave::cli::Context context{
        env,
        terminal,
        [](const std::string& directory) { return exclave::table::open_rocksdb(directory); },
        exclave::table::open_rocksdb_to_look,
        stop.get_token(),
        false,
        false};
    return exclave::cli::run_program(context, std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    return code_of_accident(argc, argv, error.what());
  } catch (...) {
    return code_of_accident(argc, argv, "an unknown exception");
  }
}
