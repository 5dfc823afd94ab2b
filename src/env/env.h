// Env: the world of one machine, injected. Functions take the narrow part they use; only the top of a program takes
// all.
#pragma once

#include "env/file_system.h"
#include "env/log.h"
#include "env/network.h"
#include "env/processes.h"
#include "env/random.h"
#include "env/threads.h"
#include "env/time.h"

namespace exclave::env {

// All collaborators outlive every user of the Env.
struct Env {
  Clock& clock;
  Random& random;
  FileSystem& files;
  Network& network;
  Processes& processes;
  Log& log;
  Threads& threads;
};

}  // namespace exclave::env
