// What holds of a table::Table whatever its disk does: three threads write, look and flush; each batch puts two rows of
// its own.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/conformance/table_conformance.h"
#include "tests/conformance/weather.h"

namespace exclave::conformance {

class RowsInWeather final : public Tenant {
 public:
  explicit RowsInWeather(TableKind kind) : kind_(std::move(kind)) {}

  void move_in(sim::Machine& machine) override { must(machine.env().files.make_directories(kHome, 0700)); }

  void work(sim::Machine& machine, Draws& draws) override {
    acknowledged_.clear();
    const auto table = kind_.open(machine.env(), kHome);
    if (!took(table)) return;
    std::vector<std::unique_ptr<env::Thread>> threads;
    for (int i = 0; i < 3; ++i) {
      threads.push_back(must(machine.env().threads.start("writer", [&] { use(*table.value(), draws); })));
    }
    for (const auto& thread : threads) thread->join();
  }

  Status check(sim::Machine& machine, Death death) override {
    if (!complaint_.empty()) return Error(Code::Corrupt, complaint_);
    const auto table = TRY(kind_.open(machine.env(), kHome));
    const std::set<int> present = TRY(whole_batches(*table));
    for (const int number : promised_) {
      if (!present.contains(number)) return Error(Code::Corrupt, "batch " + std::to_string(number) + " is gone");
    }
    // Without a power loss all that was acknowledged is there.
    for (const int number : acknowledged_) {
      if (death == Death::PowerLoss || present.contains(number)) continue;
      return Error(Code::Corrupt, "batch " + std::to_string(number) + " did not survive its process");
    }
    promised_ = present;  // opening made it durable
    return {};
  }

 private:
  static constexpr const char* kHome = "/state/table";

  void use(Table& table, Draws& draws) {
    for (int step = 0; step < 8; ++step) {
      switch (draws.below(8)) {
        case 0:
          look(table);
          break;
        case 1:
          flush(table);
          break;
        default:
          write(table, draws.percent(25) ? Durability::Synced : Durability::Buffered, 200 + draws.below(6'000));
      }
    }
  }
  // Answers may overtake one another: what is synced vouches for those only that were answered before it began.
  void flush(Table& table) {
    const std::vector<int> before = acknowledged_;
    vouch(table.flush(), before);
  }
  void write(Table& table, Durability durability, std::size_t bytes) {
    const int number = next_++;  // only one actor runs at a time
    Batch batch;
    for (const char* side : {"left ", "right "}) {
      batch.put(as_bytes(side + std::to_string(number)), Bytes(bytes, static_cast<Byte>(number)));
    }
    std::vector<int> before = acknowledged_;
    const Status written = table.write(batch, durability);
    if (written.ok()) acknowledged_.push_back(number);
    before.push_back(number);
    vouch(written, durability == Durability::Synced ? before : std::vector<int>());
  }
  void vouch(const Status& outcome, const std::vector<int>& durable) {
    if (took(outcome)) promised_.insert(durable.begin(), durable.end());
  }
  void look(const Table& table) {
    const std::vector<int> before = acknowledged_;
    const auto present = whole_batches(table);
    if (!present.ok()) {
      if (present.error().code() == Code::Bug) complaint_ = present.error().message();
      took(present);
      return;
    }
    for (const int number : before) {
      if (!present.value().contains(number)) complaint_ = "a scan did not see batch " + std::to_string(number);
    }
  }

  // The numbers of those that are there; Bug if one is there in part.
  static Result<std::set<int>> whole_batches(const Table& table) {
    std::map<std::string, int> sides;
    TRY(table.scan(KeyRange::all(), [&](ByteView key, ByteView value) -> Result<Visit> {
      const std::string name(as_text(key));
      const std::string number = name.substr(name.find(' ') + 1);
      if (value.empty() || value[0] != static_cast<Byte>(std::stoi(number)))
        return Error(Code::Bug, name + " is another's");
      ++sides[number];
      return Visit::Continue;
    }));
    std::set<int> numbers;
    for (const auto& [number, count] : sides) {
      if (count != 2) return Error(Code::Bug, "batch " + number + " is there in part");
      numbers.insert(std::stoi(number));
    }
    return numbers;
  }

  const TableKind kind_;
  int next_ = 0;
  std::vector<int> acknowledged_;  // in this life, in the order of their answers
  std::set<int> promised_;
  std::string complaint_;
};

}  // namespace exclave::conformance
