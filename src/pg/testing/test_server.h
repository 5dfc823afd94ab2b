// TestServer: a real PostgreSQL 15 server for tests, in a temporary directory, gone when this is dropped.
// Hides: initdb (once per machine and day, then copied), root's need for another user, ports, and how servers end.
//
//   directory/   data (the cluster), socket, log           below /tmp, removed by the destructor
//
//   posix::World world;
//   auto server = pg::testing::TestServer::create(world.env(), {});
//   server->psql("create table t (a int)");
//   auto connection = pg::ReplicationConnection::open(world.env().clock, server->endpoint("vault"), ...);
//
// I1  A server that was started is ended by its own process id; also when the test's process dies (pdeathsig).
// I2  Whatever cannot be set up ends the test run: a test never passes without its server.
// Defaults: segments of 1 MiB, page checksums, trust for everybody on socket and loopback, fsync off.
// Threads: one at a time, the one that created it must live as long as the server (pdeathsig is per thread).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "env/env.h"
#include "pg/server_facts.h"

namespace exclave::pg::testing {

inline constexpr std::string_view kPrograms = "/usr/lib/postgresql/15/bin/";

struct TestServerOptions {
  std::vector<std::pair<std::string, std::string>> settings;  // for postgresql.conf, as "name = 'value'"
  std::vector<std::string> initdb;                            // instead of the template: arguments of an own initdb
};

enum class Ending { Fast, Immediate, Kill };

struct CommandOutcome {
  int status = 0;
  std::string output;  // standard output and error
};

inline CommandOutcome run_command(env::Env env, const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  auto command = env.processes.start(all).take();
  CommandOutcome outcome;
  Bytes buffer(64 * 1024);
  for (;;) {
    const std::size_t size = command->read_output(buffer, {}).take();
    if (size == 0) break;
    outcome.output.append(as_text(ByteView(buffer).first(size)));
  }
  outcome.status = command->wait().take();
  return outcome;
}

inline std::string must_run(env::Env env, const std::vector<std::string>& arguments) {
  CommandOutcome outcome = run_command(env, arguments);
  if (outcome.status != 0) {
    std::string line;
    for (const std::string& argument : arguments) append_item(line, argument, " ");
    env.log.write(env::LogLevel::Error, line + ": exit " + std::to_string(outcome.status) + ": " + outcome.output);
  }
  CHECK(outcome.status == 0);
  return std::move(outcome.output);
}

class TestServer {
 public:
  // A new cluster, running.
  static std::unique_ptr<TestServer> create(env::Env env, const TestServerOptions& options) {
    auto server = prepare(env);
    if (options.initdb.empty()) {
      server->copy(server->template_directory());
    } else {
      server->initdb(server->data_, options.initdb);
    }
    server->configure(options);
    server->start();
    return server;
  }

  // No cluster yet: fill data_directory() (adopt() gives it to the server's user), then start().
  static std::unique_ptr<TestServer> prepare(env::Env env) { return std::unique_ptr<TestServer>(new TestServer(env)); }

  // A running hot standby of `primary`.
  static std::unique_ptr<TestServer> standby_of(TestServer& primary, const TestServerOptions& options = {}) {
    auto server = prepare(primary.env_);
    must_run(primary.env_, server->as_server({program("pg_basebackup"), "-D", server->data_, "-d",
                                              primary.conninfo() + " application_name=standby", "-R", "-X", "stream",
                                              "-c", "fast", "--no-sync"}));
    server->configure(options);
    server->start();
    return server;
  }

  ~TestServer() {
    if (is_running()) stop(Ending::Immediate);
    must_run(env_, {"rm", "-rf", directory_});
  }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  const std::string& data_directory() const { return data_; }
  const std::string& directory() const { return directory_; }
  bool is_running() const { return process_ != nullptr; }
  // As the superuser "postgres", over loopback, as the agent would come.
  std::string conninfo() const { return "host=127.0.0.1 user=postgres dbname=postgres port=" + port_; }
  Endpoint endpoint(std::string_view application_name) const { return {conninfo(), std::string(application_name)}; }
  std::string log() const {
    return std::string(as_text(env_.files.read_file(directory_ + "/log", std::uint64_t{64} << 20).take()));
  }

  // Files that the test put there become the server's user's.
  void adopt() {
    if (is_root_) must_run(env_, {"chown", "-R", "postgres:postgres", directory_});
    must_run(env_, {"chmod", "0700", data_});
  }

  void append_settings(std::string_view text) { append_line("postgresql.conf", text); }
  void append_line(std::string_view file, std::string_view text) {
    must_run(env_, as_server({"/bin/sh", "-c", "printf '%s\\n' \"$1\" >> \"$2\"", "sh", std::string(text),
                              data_ + "/" + std::string(file)}));
  }

  // Starts and waits until it answers. `wait` may be off for a server that is to recover for long or to fail.
  void start() {
    // After a kill, shared memory may be in use until the kernel has cleaned up behind the last child.
    for (int attempt = 0; attempt < 50; ++attempt) {
      launch();
      if (wait_until_ready()) return;
      wait_for_end();
      if (killed_.empty()) break;
      ignore(env_.clock.sleep_until(env_.clock.monotonic() + std::chrono::milliseconds(100)), "always ok");
    }
    env_.log.write(env::LogLevel::Error, "the test's server does not start: " + log());
    CHECK(false);
  }
  void launch() {
    CHECK(!is_running());
    std::vector<std::string> arguments = {"/bin/sh", "-c", "log=$1; shift; exec \"$@\" >>\"$log\" 2>&1", "sh",
                                          directory_ + "/log"};
    const auto rest = as_server({program("postgres"), "-D", data_, "-c", "port=" + port_, "-c",
                                 "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + directory_});
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    said_before_ = env_.files.stat(directory_ + "/log").ok() ? log().size() : 0;
    process_ = env_.processes.start(arguments).take();
  }
  // False: it ended, or a minute passed.
  bool wait_until_ready() {
    for (int attempt = 0; attempt < 6'000; ++attempt) {
      const bool is_ours = process_id() != killed_;
      if (is_ours && line_of_pid_file(7).starts_with("ready")) return true;
      pause();
      const bool may_have_ended = process_id().empty() || !is_ours;  // or has not begun, on a busy machine
      if (attempt > 50 && may_have_ended && log().find("FATAL:", said_before_) != std::string::npos) return false;
    }
    return false;
  }
  // Waits until the process has ended by itself: its exit status.
  int wait_for_end() {
    CHECK(is_running());
    const int status = process_->wait().take();
    process_.reset();
    return status;
  }
  void stop(Ending ending) {
    signal(ending);
    if (is_running()) wait_for_end();
  }
  // Does not wait.
  void signal(Ending ending) {
    const std::string id = process_id();
    if (id.empty()) {  // it has not written it yet, or has ended
      process_.reset();
      return;
    }
    if (ending == Ending::Kill) {  // and its children: a busy one would go on writing for seconds
      killed_ = id;
      run_command(env_, {"/bin/sh", "-c", "kill -KILL $1 $(cat /proc/$1/task/$1/children)", "sh", id});
      return;
    }
    run_command(env_, {"kill", ending == Ending::Fast ? "-INT" : "-QUIT", id});
  }
  void promote() { psql("select pg_promote(true)"); }

  CommandOutcome try_psql(std::string_view sql) const { return run_command(env_, psql_arguments(sql)); }
  // Output without its last line break; columns separated by "|".
  std::string psql(std::string_view sql) const {
    std::string output = must_run(env_, psql_arguments(sql));
    if (output.ends_with('\n')) output.pop_back();
    return output;
  }
  // Runs beside the test until it is waited for or dropped.
  std::unique_ptr<env::RunningCommand> start_psql(std::string_view sql) const {
    return env_.processes.start(psql_arguments(sql)).take();
  }

  static std::string program(std::string_view name) { return std::string(kPrograms).append(name); }
  // The arguments, run as the user the server runs as.
  std::vector<std::string> as_server(std::vector<std::string> arguments) const {
    std::vector<std::string> all = {"setpriv", "--pdeathsig", "QUIT"};
    if (is_root_) all.insert(all.end(), {"--reuid=postgres", "--regid=postgres", "--clear-groups"});
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }

 private:
  explicit TestServer(env::Env env) : env_(env), is_root_(must_run(env, {"id", "-u"}) == "0\n") {
    directory_ = must_run(env_, as_server({"mktemp", "-d", "/tmp/exclave-pg-XXXXXX"}));
    directory_.pop_back();
    data_ = directory_ + "/data";
    port_ = free_port();
  }

  // Below the kernel's own range, so that nobody's outgoing connection takes it while the server is down.
  std::string free_port() const {
    constexpr std::uint64_t kFirst = 15'000;
    constexpr std::uint64_t kPorts = 17'000;
    while (true) {
      Bytes drawn(8);
      CHECK(env_.random.fill(drawn).ok());
      std::string port = std::to_string(kFirst + load_u64(drawn) % kPorts);
      if (env_.network.listen("127.0.0.1:" + port).ok()) return port;
    }
  }

  void pause() const { ignore(env_.clock.sleep_until(env_.clock.monotonic() + std::chrono::milliseconds(10)), "sim"); }

  std::string line_of_pid_file(std::size_t index) const {
    const auto content = env_.files.read_file(data_ + "/postmaster.pid", 4'096);
    if (!content.ok()) return "";
    const auto lines = split(as_text(content.value()), '\n');
    return index < lines.size() ? std::string(lines[index]) : "";
  }
  std::string process_id() const { return line_of_pid_file(0); }

  std::vector<std::string> psql_arguments(std::string_view sql) const {
    return {program("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo(), "-c", std::string(sql)};
  }

  void initdb(const std::string& target, const std::vector<std::string>& further) const {
    std::vector<std::string> arguments = {program("initdb"), "-D", target,  "-U",
                                          "postgres",        "-A", "trust", "--no-sync",
                                          "--locale=C",      "-E", "UTF8",  "--no-instructions"};
    arguments.insert(arguments.end(), further.begin(), further.end());
    must_run(env_, as_server(arguments));
  }

  // Made once; several test processes may come at the same time, the first rename wins.
  std::string template_directory() const {
    const std::string user = is_root_ ? "postgres" : must_run(env_, {"id", "-u", "-n"});
    const std::string name = "/tmp/exclave-pg-template-15-" + std::string(user.substr(0, user.find('\n')));
    if (!env_.files.stat(name + "/PG_VERSION").ok()) {
      const std::string draft = directory_ + "/template";
      initdb(draft, {"--wal-segsize=1", "--data-checksums"});
      run_command(env_, as_server({"mv", "-T", draft, name}));
      must_run(env_, {"test", "-f", name + "/PG_VERSION"});
    }
    return name;
  }
  void copy(const std::string& from) const { must_run(env_, as_server({"cp", "-a", from, data_})); }

  void configure(const TestServerOptions& options) {
    std::string text =
        "fsync = off\nlogging_collector = off\nlog_line_prefix = '%p '\nlc_messages = 'C'\nmax_wal_senders = 8\n"
        "shared_buffers = 16MB\nmin_wal_size = 2MB\nmax_wal_size = 256MB\nautovacuum = off\nwal_keep_size = 64MB\n";
    for (const auto& [name, value] : options.settings) text.append(name).append(" = '").append(value).append("'\n");
    append_settings(text);
  }

  const env::Env env_;
  const bool is_root_;
  std::string directory_;
  std::string data_;
  std::string port_;
  std::size_t said_before_ = 0;  // bytes of the log, when it was started last
  std::string killed_;           // the id of a killed server: it stays in the file until the next one starts
  std::unique_ptr<env::RunningCommand> process_;
};

}  // namespace exclave::pg::testing
