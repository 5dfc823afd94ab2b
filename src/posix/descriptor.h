// Descriptor: owns one file descriptor and closes it.
// Hides: close(2) and the loop around calls that a signal may interrupt.
//
// I1  A Descriptor either owns an open descriptor (valid) or nothing.
// Threads: a value; the descriptor's users agree among themselves.
#pragma once

#include <cerrno>
#include <utility>

namespace exclave::posix {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}  // takes over `fd`; negative = none
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    Descriptor old(std::exchange(fd_, std::exchange(other.fd_, -1)));
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Repeats a system call while a signal interrupts it. Signals are rare: the loop ends.
template <typename Call>
auto uninterrupted(Call&& call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace exclave::posix
