// World: the real implementations of everything in env, owned together. Made once, by main (and by tests).
// Hides: the operating system, from everything above.
//
// I1  The World outlives every use of its Env, and every object made through it.
// Threads: env's own rules; every member may be used from several threads.
#pragma once

#include "env/env.h"
#include "posix/file_system.h"
#include "posix/log.h"
#include "posix/network.h"
#include "posix/processes.h"
#include "posix/random.h"
#include "posix/threads.h"
#include "posix/time.h"

namespace exclave::posix {

class World {
 public:
  // Lines below `log_from` are not written.
  explicit World(env::LogLevel log_from = env::LogLevel::Info) : log_(log_from) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  env::Env env() { return {clock_, random_, files_, network_, processes_, log_, threads_}; }

 private:
  Clock clock_;
  Random random_;
  FileSystem files_{random_};
  Network network_;
  Processes processes_;
  Log log_;
  Threads threads_;
};

}  // namespace exclave::posix
