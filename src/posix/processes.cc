#include "posix/processes.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/text.h"
#include "posix/descriptor.h"
#include "posix/detail/errors.h"
#include "posix/stoppable_read.h"

namespace exclave::posix {
namespace {

class RunningCommand : public env::RunningCommand {
 public:
  RunningCommand(pid_t process, Descriptor output, std::string name)
      : process_(process), output_(std::move(output)), name_(std::move(name)) {}
  ~RunningCommand() override {
    if (status_.has_value()) return;
    // Not yet waited for, so the id still is this child's.
    static_cast<void>(::kill(process_, SIGKILL));
    ignore(wait(), "the command was abandoned");
  }

  Result<std::size_t> read_output(MutableByteView out, const std::stop_token& stop) override {
    return reader_.read(output_.get(), out, stop, "the output of " + name_);
  }

  Result<int> wait() override {
    if (status_.has_value()) return *status_;
    int status = 0;
    if (uninterrupted([&] { return ::waitpid(process_, &status, 0); }) < 0) {
      return system_error(errno, Access::Read, "wait for", name_);
    }
    status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return *status_;
  }

 private:
  const pid_t process_;
  const Descriptor output_;
  const std::string name_;
  StoppableReader reader_;
  std::optional<int> status_;
};

// What posix_spawn needs, released whatever happens.
class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  // 0 or an errno.
  int prepare(int output) {
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    for (const int signal : {SIGKILL, SIGSTOP}) ::sigdelset(&all, signal);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    const int error = ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error != 0) return error;
    const int moved = ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    // Ours are close-on-exec; libraries and whoever started this process may have left others.
    return moved != 0 ? moved : ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
  }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

Result<std::unique_ptr<env::RunningCommand>> Processes::start(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front().empty()) return Error(Code::InvalidInput, "no command given");
  std::vector<std::string> copies = arguments;
  std::vector<char*> pointers;
  for (std::string& argument : copies) {
    if (argument.find('\0') != std::string::npos) {
      return Error(Code::InvalidInput, "argument '" + printable(argument) + "' holds a NUL byte");
    }
    pointers.push_back(argument.data());
  }
  pointers.push_back(nullptr);

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error(errno, Access::Write, "start", arguments.front());
  Descriptor read_end(ends[0]);
  const Descriptor write_end(ends[1]);
  SpawnSettings settings;
  int error = settings.prepare(write_end.get());
  pid_t process = 0;
  if (error == 0) {
    error = ::posix_spawnp(&process, pointers.front(), settings.actions(), settings.attributes(), pointers.data(),
                           ::environ);
  }
  if (error == EAGAIN)
    return Error(Code::Exhausted, "cannot start '" + printable(arguments.front()) + "': too many processes");
  if (error != 0) return system_error(error, Access::Write, "start", arguments.front());
  return std::make_unique<RunningCommand>(process, std::move(read_end), arguments.front());
}

}  // namespace exclave::posix
