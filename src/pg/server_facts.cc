#include "pg/server_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "pg/detail/connection.h"
#include "pg/detail/names.h"

namespace exclave::pg {
namespace {

using detail::cell;

// From these on a server that has just started knows at once that commits have to wait (mended in May 2025).
constexpr std::array<ServerVersion, 5> kWaitsFrom = {
    {{ServerMajor(13), 21}, {ServerMajor(14), 18}, {ServerMajor(15), 13}, {ServerMajor(16), 9}, {ServerMajor(17), 5}}};

constexpr std::string_view kFactsQuery =
    "select (select system_identifier from pg_control_system()), current_setting('wal_level'),"
    " (select setting from pg_settings where name = 'wal_segment_size'),"
    " current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),"
    " (select setting from pg_settings where name = 'max_slot_wal_keep_size'),"
    " current_setting('data_checksums'), current_setting('full_page_writes'), pg_is_in_recovery(),"
    " (select rolreplication or rolsuper from pg_roles where rolname = current_user),"
    " coalesce(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_flush_lsn() end, "
    "'0/0'), extract(epoch from pg_conf_load_time())::text,"
    " case when pg_conf_load_time() > pg_postmaster_start_time()"
    " then greatest(0, extract(epoch from clock_timestamp() - pg_conf_load_time()))::bigint end";

constexpr std::string_view kSlotQuery =
    "select active, restart_lsn, coalesce(wal_status, ''), safe_wal_size, slot_type,"
    " exists (select from pg_stat_replication own join pg_stat_replication other"
    " on lower(other.application_name) = lower(own.application_name) and other.pid <> own.pid"
    " where own.pid = active_pid and other.state in ('catchup', 'streaming'))"
    " from pg_replication_slots where slot_name = ";

Error senseless_answer(std::string_view what) {
  return {Code::Corrupt, fmt::format("the server's answer about {} makes no sense", what)};
}

Result<SlotWal> slot_wal_of(std::string_view word) {
  if (word == "reserved") return SlotWal::Reserved;
  if (word == "extended") return SlotWal::Extended;
  if (word == "unreserved") return SlotWal::Unreserved;
  if (word == "lost") return SlotWal::Lost;
  if (word.empty()) return SlotWal::None;
  return senseless_answer("the slot's WAL");
}

Result<std::optional<SlotFacts>> read_slot_facts(detail::Connection& connection, std::string_view slot,
                                                 const Until& until) {
  if (slot.empty()) return std::optional<SlotFacts>();
  TRY(detail::check_slot_name(slot));
  const detail::Answer answer = TRY(connection.run(std::string(kSlotQuery) + detail::quoted_literal(slot), until));
  if (answer.rows.empty()) return std::optional<SlotFacts>();
  if (TRY(cell(answer, 4)) != "physical") {
    return Error(Code::Precondition, fmt::format("slot {} is not a physical one", slot))
        .hint("Choose another slot name.");
  }
  SlotFacts facts;
  facts.is_active = TRY(cell(answer, 0)) == "t";
  facts.has_namesake = TRY(cell(answer, 5)) == "t";
  if (answer.rows[0][1]) facts.restart = TRY(parse_lsn(*answer.rows[0][1]));
  facts.wal = TRY(slot_wal_of(TRY(cell(answer, 2))));
  if (answer.rows[0][3]) facts.safe_bytes = TRY(parse_i64(*answer.rows[0][3]));
  return std::optional<SlotFacts>(facts);
}

Result<std::optional<std::uint64_t>> parse_keep_megabytes(std::string_view text) {
  const std::int64_t megabytes = TRY(parse_i64(text));
  constexpr std::int64_t kMostMegabytes = std::int64_t{1} << 40;
  if (megabytes > kMostMegabytes) return senseless_answer("max_slot_wal_keep_size");
  if (megabytes < 0) return std::optional<std::uint64_t>();
  return std::optional<std::uint64_t>(static_cast<std::uint64_t>(megabytes) << 20);
}

}  // namespace

Result<ServerFacts> read_server_facts(env::Clock& clock, const Endpoint& endpoint, std::string_view slot,
                                      const Until& until) {
  const auto connection = TRY(detail::Connection::open(clock, endpoint, detail::Purpose::Queries, until));
  const detail::Answer answer = TRY(connection->run(std::string(kFactsQuery), until));
  ServerFacts facts;
  facts.version = connection->version();
  // A signed number at the server, an unsigned one in the WAL.
  facts.system = SystemIdentifier(static_cast<std::uint64_t>(TRY(parse_i64(TRY(cell(answer, 0))))));
  facts.wal_level = TRY(cell(answer, 1));
  facts.segment_size = TRY(SegmentSize::of(TRY(parse_u64(TRY(cell(answer, 2))))));
  facts.synchronous_standby_names = TRY(cell(answer, 3));
  facts.synchronous_commit = TRY(cell(answer, 4));
  facts.slot_keep_bytes = TRY(parse_keep_megabytes(TRY(cell(answer, 5))));
  facts.has_data_checksums = TRY(cell(answer, 6)) == "on";
  facts.has_full_page_writes = TRY(cell(answer, 7)) == "on";
  facts.is_in_recovery = TRY(cell(answer, 8)) == "t";
  facts.role_may_replicate = TRY(cell(answer, 9)) == "t";
  facts.flushed = TRY(parse_lsn(TRY(cell(answer, 10))));
  facts.settings_loaded = TRY(cell(answer, 11));
  if (answer.rows.at(0).at(12)) facts.since_reload = std::chrono::seconds(TRY(parse_i64(*answer.rows[0][12])));
  facts.slot = TRY(read_slot_facts(*connection, slot, until));
  return facts;
}

Status check_server_facts(const ServerFacts& facts, std::optional<SystemIdentifier> expected) {
  if (expected && facts.system != *expected) {
    return Error(Code::Precondition,
                 fmt::format("this is system {}, protected is {}", to_text(facts.system), to_text(*expected)))
        .hint("The cluster was made anew, upgraded, or is another one: protect it under a new name.");
  }
  if (facts.wal_level != "replica" && facts.wal_level != "logical") {
    return Error(Code::Precondition, fmt::format("wal_level is {}", facts.wal_level))
        .hint("Run on the server: alter system set wal_level = replica; and restart it.");
  }
  if (!facts.has_full_page_writes) {
    return Error(Code::Precondition, "full_page_writes is off: a base backup would hold torn pages")
        .hint("Run on the server: alter system set full_page_writes = on; select pg_reload_conf();");
  }
  if (!facts.role_may_replicate) {
    return Error(Code::Precondition, "the role may not replicate")
        .hint("Run on the server: alter role ... replication;");
  }
  if (facts.slot && facts.slot->wal == SlotWal::Lost) {
    return Error(Code::Precondition, "the slot has lost WAL that it should have kept")
        .hint(
            "Run on the server: select pg_drop_replication_slot('NAME'); the agent makes it anew. Then take a new base "
            "backup.");
  }
  if (facts.slot && facts.slot->is_active) {
    return Error(Code::Precondition, "another receiver uses the slot")
        .hint("select * from pg_stat_replication; on the server shows who it is.");
  }
  return {};
}

Status check_waits(const ServerVersion& version) {
  const auto mended = std::ranges::find(kWaitsFrom, version.major, &ServerVersion::major);
  if (mended == kWaitsFrom.end() || version.minor >= mended->minor) return {};
  return Error(Code::Precondition, fmt::format("PostgreSQL {}.{} may skip the wait for its synchronous receiver right "
                                               "after a start",
                                               version.major.value(), version.minor))
      .hint(fmt::format("update the server to {}.{} or later, or choose policy 'bounded'", mended->major.value(),
                        mended->minor));
}

std::vector<std::string> cautions(const ServerFacts& facts) {
  std::vector<std::string> found;
  if (facts.is_in_recovery) {
    found.emplace_back("The server is a standby: commits at its primary do not wait for this agent.");
  }
  if (!facts.has_data_checksums) found.emplace_back("The server has no page checksums: damaged pages are not noticed.");
  if (!facts.slot_keep_bytes) {
    found.emplace_back("max_slot_wal_keep_size has no limit: if we are away for long, the server's disk fills up.");
  }
  if (facts.synchronous_commit == "remote_apply") {
    found.emplace_back(
        "synchronous_commit is remote_apply: commits wait for a standby that applies, which we never do.");
  }
  if (facts.slot && facts.slot->wal == SlotWal::Unreserved) {
    found.emplace_back(
        "The slot keeps more than max_slot_wal_keep_size allows: the next checkpoint may remove log that only it "
        "keeps.");
  }
  if (facts.slot && facts.slot->has_namesake) {
    found.emplace_back(
        "Another receiver streams under this agent's application_name: it may release commits that no vault holds "
        "(select * from pg_stat_replication; on the server shows who it is).");
  }
  if (!check_waits(facts.version).ok()) {
    found.emplace_back(
        "This minor version of PostgreSQL may acknowledge commits without waiting right after its start.");
  }
  if (facts.version.major == ServerMajor(15) && facts.version.minor < 14) {
    found.emplace_back("PostgreSQL before 15.14 may remove log at a checkpoint that only the slot keeps.");
  }
  if (facts.version.major == ServerMajor(15) && facts.version.minor < 20) {
    found.emplace_back(
        "PostgreSQL before 15.20 may put a torn pg_control, or a torn configuration file, into a base backup.");
  }
  return found;
}

}  // namespace exclave::pg
