// Texts that people or programs write: TOML, JSON, quantities. Refused, or read; JSON reads back what it prints.
#include "base/bytes.h"
#include "base/check.h"
#include "config/json.h"
#include "config/quantity.h"
#include "config/section.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exclave;  // a test program of one file
  const std::string_view text = as_text({data, size});
  auto toml = config::parse_toml(text, "input");
  if (toml.ok()) {
    config::Section& root = *toml.value();
    ignore(root.require_string("vault.listen"), "only that it returns matters");
    ignore(root.optional_size("vault.quota"), "only that it returns matters");
    ignore(root.optional_duration("vault.retention"), "only that it returns matters");
    ignore(root.require_u64("vault.connections", {1, 64}), "only that it returns matters");
    ignore(root.optional_bool("vault.verbose"), "only that it returns matters");
    ignore(root.strings("vault.excludes"), "only that it returns matters");
    ignore(root.require_section("vault"), "only that it returns matters");
    ignore(root.sections("peer"), "only that it returns matters");
    const auto named = root.named_sections("registry");
    if (named.ok()) {
      for (const auto& [name, section] : named.value()) {
        ignore(section->optional_u64("eras"), "only that it returns matters");
      }
    }
    CHECK(!root.error_at("vault.listen", "is wrong").message().empty());
    ignore(root.finish(), "both answers are right");
  }
  const auto json = config::parse_json(text);
  if (json.ok()) {
    const auto again = config::parse_json(json.value().dump());
    CHECK(again.ok() && again.value() == json.value());
  }
  ignore(config::parse_size(text), "only that it returns matters");
  const auto duration = config::parse_duration(text);
  if (duration.ok()) CHECK(duration.value() >= std::chrono::milliseconds(0));
  return 0;
}
