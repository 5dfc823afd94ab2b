// What holds of a store::ObjectStore whatever its disk does: three threads put, replace, adopt, read and list.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "format/object.h"
#include "tests/conformance/object_store_conformance.h"
#include "tests/conformance/weather.h"

namespace exclave::conformance {

class ObjectsInWeather final : public Tenant {
 public:
  explicit ObjectsInWeather(ObjectStoreKind kind) : kind_(std::move(kind)) {
    for (std::size_t i = 0; i < names_.size(); ++i) names_[i].name = format::name_of(content(i, 0));
  }

  void move_in(sim::Machine& machine) override {
    must(machine.env().files.make_directories(kHome, 0700));
    must(machine.env().files.make_directories(kDrafts, 0700));
  }

  void work(sim::Machine& machine, Draws& draws) override {
    const auto store = kind_.open(machine.env(), kHome);
    if (!took(store)) return;
    std::vector<std::unique_ptr<env::Thread>> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      threads.push_back(must(machine.env().threads.start("depositor", [&, thread] {
        for (int step = 0; step < 8; ++step) do_something(machine, *store.value(), thread, draws);
      })));
    }
    for (const auto& thread : threads) thread->join();
  }

  Status check(sim::Machine& machine, Death death) override {
    if (!complaints_.empty()) return Error(Code::Bug, complaints_.front());
    const auto store = TRY(kind_.open(machine.env(), kHome));
    for (Known& known : names_) {
      const auto size = store->size_of(known.name);
      if (!size.ok()) {
        if (size.error().code() != Code::NotFound) return size.error();
        if (known.is_promised) return Error(Code::Corrupt, store::noun_of(known.name) + " is gone");
        known.versions.clear();
        continue;
      }
      const Bytes bytes = TRY(store::read_object(*store, known.name, size.value()));
      const auto version = version_of(known, bytes);
      if (!version.has_value()) return Error(Code::Corrupt, store::noun_of(known.name) + " has bytes of nobody");
      // What is there after the power failed was on the disk.
      if (death != Death::PowerLoss) continue;
      known.versions = {*version};
      known.is_promised = true;
    }
    return check_list(*store);
  }

 private:
  static constexpr const char* kHome = "/srv/store";
  static constexpr const char* kDrafts = "/srv/drafts";
  static constexpr std::size_t kThreads = 3;

  // What a name may stand for. A store does not know which bytes bear a name, so a test may put several versions.
  struct Known {
    format::ObjectName name;
    bool is_promised = false;     // something is durable under it
    std::set<unsigned> versions;  // of which one is there, if anything is
    bool is_claimed = false;      // a thread is at it
  };

  static Bytes content(std::size_t number, unsigned version) {
    Bytes bytes(1'000 + number * 3'571 + version * 517);
    for (std::size_t at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<Byte>(at / 5 + number * 17 + version);
    return bytes;
  }
  std::optional<unsigned> version_of(const Known& known, ByteView bytes) const {
    const auto number = static_cast<std::size_t>(&known - names_.data());
    for (const unsigned version : known.versions) {
      if (equal(content(number, version), bytes)) return version;
    }
    return std::nullopt;
  }

  void do_something(sim::Machine& machine, store::ObjectStore& store, std::size_t thread, Draws& draws) {
    Known& known = names_[draws.below(names_.size())];
    const auto version = static_cast<unsigned>(draws.below(3));
    switch (draws.below(7)) {
      case 0:
        return look_at(store, known);
      case 1:
        return look_through(store);
      case 2:
        return give_up(store, known, version);
      case 3:
        return adopt(machine, store, known, version, thread);
      case 4:
        return put(store, known, version, store::IfPresent::SetAside);
      default:
        return put(store, known, version, store::IfPresent::Keep);
    }
  }

  void put(store::ObjectStore& store, Known& known, unsigned version, store::IfPresent if_present) {
    const Bytes bytes = content(number_of(known), version);
    change(known, version, if_present, [&]() -> Result<store::PutOutcome> {
      const auto upload = TRY(store.begin_upload(known.name, bytes.size()));
      TRY(upload->append(ByteView(bytes).first(bytes.size() / 3)));
      TRY(upload->append(ByteView(bytes).subspan(bytes.size() / 3)));
      return upload->publish(if_present);
    });
  }
  void adopt(sim::Machine& machine, store::ObjectStore& store, Known& known, unsigned version, std::size_t thread) {
    const std::string file = std::to_string(thread) + "-" + std::to_string(next_file_++);
    const std::string path = kDrafts + ("/" + file);
    if (!env::create_file_durably(machine.env().files, path, content(number_of(known), version), 0600).ok()) return;
    const auto if_present = version == 0 ? store::IfPresent::Keep : store::IfPresent::SetAside;
    change(known, version, if_present, [&] { return store.adopt(known.name, kDrafts, file, if_present); });
  }
  void give_up(store::ObjectStore& store, const Known& known, unsigned version) {
    const Bytes bytes = content(number_of(known), version);
    const auto upload = store.begin_upload(known.name, bytes.size());
    if (took(upload)) took(upload.value()->append(bytes));
  }

  // One writer of a name at a time, so that what may be there can be said.
  void change(Known& known, unsigned version, store::IfPresent if_present,
              const std::function<Result<store::PutOutcome>()>& publish) {
    if (known.is_claimed) return;
    known.is_claimed = true;
    const bool is_new = known.versions.insert(version).second;
    const bool was_promised = known.is_promised;
    const auto outcome = publish();
    if (took(outcome)) {
      known.is_promised = true;
      if (outcome.value() == store::PutOutcome::Stored) {
        if (was_promised && if_present == store::IfPresent::Keep) complain(known, "was replaced");
        known.versions = {version};
      } else if (if_present == store::IfPresent::SetAside) {
        complain(known, "was not set aside");
      } else if (is_new) {
        known.versions.erase(version);  // it changed nothing
      }
    }
    known.is_claimed = false;
  }

  void look_at(store::ObjectStore& store, Known& known) {
    if (known.is_claimed) return;
    known.is_claimed = true;
    const auto size = store.size_of(known.name);
    if (!size.ok() && size.error().code() == Code::NotFound) {
      if (known.is_promised) complain(known, "was not found");
    } else if (took(size)) {
      const auto bytes = store::read_object(store, known.name, size.value());
      if (took(bytes) && !version_of(known, bytes.value()).has_value())
        complain(known, "was read with bytes of nobody");
    }
    known.is_claimed = false;
  }

  void look_through(store::ObjectStore& store) {
    std::set<format::ObjectName> promised;
    for (const Known& known : names_) {
      if (known.is_promised) promised.insert(known.name);
    }
    std::set<format::ObjectName> listed;
    const Status listing = store.list([&](const format::ObjectName& name) -> Status {
      listed.insert(name);
      return {};
    });
    if (!took(listing)) return;
    for (const format::ObjectName& name : promised) {
      if (!listed.contains(name)) complaints_.push_back(store::noun_of(name) + " was left out of a list");
    }
  }

  Status check_list(store::ObjectStore& store) const {
    return store.list([&](const format::ObjectName& name) -> Status {
      const auto known =
          std::find_if(names_.begin(), names_.end(), [&](const Known& each) { return each.name == name; });
      if (known == names_.end() || known->versions.empty()) return Error(Code::Corrupt, "an object that nobody put");
      return {};
    });
  }

  std::size_t number_of(const Known& known) const { return static_cast<std::size_t>(&known - names_.data()); }
  void complain(const Known& known, const std::string& what) {
    complaints_.push_back(store::noun_of(known.name) + " " + what);
  }

  const ObjectStoreKind kind_;
  std::array<Known, 12> names_;
  std::uint64_t next_file_ = 0;
  std::vector<std::string> complaints_;
};

}  // namespace exclave::conformance
