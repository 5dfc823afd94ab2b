#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "config/quantity.h"
#include "config/section.h"

namespace exclave::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kVault = R"(# a vault
name = "Luxembourg"
audits = true

[vault]
listen = "[::1]:7443"
connections = 256
quota = "20 GB"
window = "7 days"
lands = ["LU", "EE"]

[[peer]]
name = "first"
port = 1

[[peer]]
name = "second"
[peer.limits]
rate = "10 MiB"

[dataset.home]
path = "/home"
[dataset."with.dot"]
path = "/srv"
)";

std::unique_ptr<Section> parse(std::string_view text) {
  auto parsed = parse_toml(text, "vault.toml");
  if (!parsed.ok()) ADD_FAILURE() << parsed.error().message();
  return std::move(parsed).value();
}

template <typename T>
std::string message_of(const Result<T>& result) {
  if (result.ok()) return "(ok)";
  EXPECT_EQ(result.error().code(), Code::InvalidInput);
  return result.error().message();
}

TEST(Config, values_of_every_type_are_read) {
  const auto config = parse(kVault);
  EXPECT_EQ(config->require_string("name").value(), "Luxembourg");
  EXPECT_TRUE(config->require_bool("audits").value());
  EXPECT_EQ(config->require_string("vault.listen").value(), "[::1]:7443");
  EXPECT_EQ(config->require_u64("vault.connections").value(), 256u);
  EXPECT_EQ(config->require_size("vault.quota").value(), 20'000'000'000u);
  EXPECT_EQ(config->require_duration("vault.window").value(), std::chrono::days(7));
  EXPECT_THAT(config->strings("vault.lands").value(), ElementsAre("LU", "EE"));
  const auto peers = config->sections("peer").value();
  ASSERT_EQ(peers.size(), 2u);
  EXPECT_EQ(peers[0]->require_string("name").value(), "first");
  EXPECT_EQ(peers[0]->optional_u64("port").value(), 1u);
  EXPECT_EQ(peers[1]->require_string("name").value(), "second");
  EXPECT_EQ(peers[1]->optional_u64("port").value(), std::nullopt);
  EXPECT_EQ(peers[0]->optional_size("limits.rate").value(), std::nullopt);
  EXPECT_EQ(peers[1]->optional_size("limits.rate").value(), 10u << 20);
  const auto datasets = config->named_sections("dataset").value();
  ASSERT_EQ(datasets.size(), 2u);
  EXPECT_EQ(datasets[0].first, "home");
  EXPECT_EQ(datasets[0].second->require_string("path").value(), "/home");
  EXPECT_EQ(datasets[1].first, "with.dot");
  EXPECT_EQ(datasets[1].second->require_string("path").value(), "/srv");
  EXPECT_TRUE(config->finish().ok());
}

TEST(Config, absent_keys_are_nothing_or_an_error_as_asked) {
  const auto config = parse("[vault]\n\n[other]\n");
  EXPECT_EQ(config->optional_string("vault.listen").value(), std::nullopt);
  EXPECT_EQ(config->optional_u64("no.such.table").value(), std::nullopt);
  EXPECT_EQ(config->optional_bool("b").value(), std::nullopt);
  EXPECT_EQ(config->optional_size("s").value(), std::nullopt);
  EXPECT_EQ(config->optional_duration("d").value(), std::nullopt);
  EXPECT_TRUE(config->strings("list").value().empty());
  EXPECT_TRUE(config->sections("peer").value().empty());
  EXPECT_TRUE(config->named_sections("dataset").value().empty());
  EXPECT_EQ(message_of(config->require_string("vault.listen")), "vault.toml:1: vault.listen is missing");
  EXPECT_EQ(message_of(config->require_section("site")), "vault.toml:1: site is missing");
  Section* other = config->require_section("other").value();
  EXPECT_EQ(message_of(other->require_u64("port")), "vault.toml:3: other.port is missing");
}

TEST(Config, wrong_types_are_named_with_line_and_path) {
  const auto config = parse(kVault);
  EXPECT_EQ(message_of(config->require_u64("vault.listen")),
            "vault.toml:6: vault.listen must be an integer, not a string");
  EXPECT_EQ(message_of(config->require_string("vault.connections")),
            "vault.toml:7: vault.connections must be a string, not an integer");
  EXPECT_EQ(message_of(config->require_bool("name")), "vault.toml:2: name must be a boolean, not a string");
  EXPECT_EQ(message_of(config->require_string("vault")), "vault.toml:5: vault must be a string, not a table");
  EXPECT_EQ(message_of(config->sections("vault")), "vault.toml:5: vault must be an array of tables, not a table");
  EXPECT_EQ(message_of(config->strings("peer")), "vault.toml:12: peer must be an array of strings, not a table");
  EXPECT_EQ(message_of(config->require_section("name")), "vault.toml:2: name must be a table, not a string");
  EXPECT_EQ(message_of(config->require_string("name.of.it")), "vault.toml:2: name must be a table, not a string");
  EXPECT_EQ(message_of(config->named_sections("vault")),
            "vault.toml:7: vault.connections must be a table, not an integer");
  EXPECT_THAT(message_of(config->require_size("vault.connections")),
              HasSubstr("vault.toml:7: vault.connections must be a size"));
  EXPECT_THAT(message_of(config->require_duration("audits")), HasSubstr("vault.toml:3: audits must be a duration"));
  const auto others = parse("x = 1.5\ny = 2027-01-01\n");
  EXPECT_EQ(message_of(others->require_u64("x")), "vault.toml:1: x must be an integer, not a floating-point number");
  EXPECT_EQ(message_of(others->require_string("y")), "vault.toml:2: y must be a string, not a date or time");
}

TEST(Config, numbers_are_kept_within_bounds) {
  const auto config = parse("a = -1\nb = 5\nbig = 9223372036854775807\n");
  EXPECT_EQ(message_of(config->require_u64("a", {1, 10})), "vault.toml:1: a must be between 1 and 10, not -1");
  EXPECT_EQ(message_of(config->require_u64("b", {6, 10})), "vault.toml:2: b must be between 6 and 10, not 5");
  EXPECT_EQ(message_of(config->require_u64("b", {1, 4})), "vault.toml:2: b must be between 1 and 4, not 5");
  EXPECT_EQ(config->require_u64("b", {5, 5}).value(), 5u);
  EXPECT_EQ(config->require_u64("big").value(), 9223372036854775807u);
}

TEST(Config, bad_quantities_are_named_with_line_and_value) {
  const auto config = parse("\nquota = \"20\"\nwindow = \"7 moons\"\n");
  EXPECT_THAT(message_of(config->require_size("quota")),
              HasSubstr("vault.toml:2: quota '20' is not a size with a unit"));
  EXPECT_THAT(message_of(config->require_duration("window")),
              HasSubstr("vault.toml:3: window '7 moons' is not a duration"));
}

TEST(Config, unknown_keys_are_refused_with_the_nearest_known_one) {
  const auto config = parse("[vault]\nlisten = \"a\"\nqouta = \"1 GB\"\n");
  EXPECT_TRUE(config->require_string("vault.listen").ok());
  EXPECT_TRUE(config->optional_size("vault.quota").ok());
  EXPECT_EQ(message_of(config->finish()), "vault.toml:3: unknown key vault.qouta; did you mean 'quota'?");
}

TEST(Config, unknown_keys_unlike_any_other_are_refused_with_all_known_ones) {
  const auto config = parse("listen = \"a\"\ncolour = 3\n");
  EXPECT_TRUE(config->optional_string("listen").ok());
  EXPECT_TRUE(config->optional_size("quota").ok());
  EXPECT_EQ(message_of(config->finish()), "vault.toml:2: unknown key colour; known here: listen, quota");
}

TEST(Config, unknown_tables_and_keys_deep_inside_are_found) {
  const auto table = parse("[vualt]\nlisten = 1\n");
  EXPECT_TRUE(table->optional_string("vault.listen").ok());
  EXPECT_EQ(message_of(table->finish()), "vault.toml:1: unknown key vualt; did you mean 'vault'?");

  const auto array = parse("[[peer]]\nname = \"a\"\n[[peer]]\nnane = \"b\"\n");
  const auto peers = array->sections("peer").value();
  for (Section* peer : peers) EXPECT_TRUE(peer->optional_string("name").ok());
  EXPECT_EQ(message_of(array->finish()), "vault.toml:4: unknown key peer.nane; did you mean 'name'?");

  const auto inline_table = parse("point = { x = 1, z = 2 }\n");
  EXPECT_TRUE(inline_table->optional_u64("point.x").ok());
  EXPECT_EQ(message_of(inline_table->finish()), "vault.toml:1: unknown key point.z; did you mean 'x'?");

  const auto unread = parse("[vault]\nlisten = 1\n");
  EXPECT_TRUE(unread->require_section("vault").ok());
  EXPECT_EQ(message_of(unread->finish()), "vault.toml:2: unknown key vault.listen; no key is known here");
}

TEST(Config, readers_report_their_own_findings_in_the_same_way) {
  const auto config = parse("\n[vault]\nlisten = \"nowhere\"\n");
  EXPECT_EQ(config->error_at("vault.listen", "is not host:port").message(),
            "vault.toml:3: vault.listen is not host:port");
  EXPECT_EQ(config->error_at("vault.absent", "is needed here").message(), "vault.toml:1: vault.absent is needed here");
}

TEST(Config, syntax_errors_name_the_line) {
  EXPECT_THAT(message_of(parse_toml("a = 1\nb = = 2\n", "x.toml")), HasSubstr("x.toml:2: "));
  EXPECT_THAT(message_of(parse_toml("a = 1\na = 2\n", "x.toml")), HasSubstr("x.toml:2: "));
  EXPECT_THAT(message_of(parse_toml("a = \"\xff\"\n", "x.toml")), HasSubstr("x.toml:1: "));
  EXPECT_THAT(message_of(parse_toml("a = 1", "evil\x1b[31m.toml").value()->finish()), HasSubstr("evil\\x1b[31m.toml"));
  EXPECT_THAT(message_of(parse_toml(std::string(kMaxConfigBytes + 1, '\n'), "x.toml")), HasSubstr("larger than"));
}

TEST(Config, a_table_whose_name_does_not_begin_like_one_is_refused) {
  for (const std::string_view text : {"[?\x1f]", "[?]", "[]", "[[?]]", "# a vault\n[???\x1fvault]\n"}) {
    const auto parsed = parse_toml(text, "v.toml");
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code(), Code::InvalidInput) << text;
  }
}

// toml++ lets the compiler assume that letters like these never stand where it asks whether they are spaces.
TEST(Config, letters_beyond_ascii_are_refused_outside_of_strings_and_comments) {
  for (const std::string letter : {"\u00a1", "\u00fc", "\u028a", "\u0499", "\u1234", "\u2010", "\u6587"}) {
    for (const std::string& text :
         {letter + " = 1\n", "a" + letter + " = 1\n", "a = " + letter + "\n", "a = 1" + letter + "\n",
          "[" + letter + "]\n", "[a" + letter + "]\n", "a = [" + letter + "]\n"}) {
      EXPECT_THAT(message_of(parse_toml(text, "x.toml")), HasSubstr("x.toml:1: ")) << text;
    }
    const auto fine = parse_toml("a = '" + letter + "'  # " + letter + "\n", "x.toml");
    ASSERT_TRUE(fine.ok());
    EXPECT_EQ(fine.value()->require_string("a").value(), letter);
  }
}

TEST(Config, deep_nesting_is_refused_and_not_followed) {
  std::string arrays = "a = ";
  arrays += std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_NE(message_of(parse_toml(arrays, "x.toml")), "(ok)");
  std::string dotted = "a";
  for (int i = 0; i < 2000; ++i) dotted += ".a";
  EXPECT_NE(message_of(parse_toml(dotted + " = 1\n", "x.toml")), "(ok)");
}

TEST(Quantity, sizes_are_read) {
  EXPECT_EQ(parse_size("0 B").value(), 0u);
  EXPECT_EQ(parse_size("1B").value(), 1u);
  EXPECT_EQ(parse_size("20 GB").value(), 20'000'000'000u);
  EXPECT_EQ(parse_size("512 MiB").value(), 536'870'912u);
  EXPECT_EQ(parse_size("1.5 MiB").value(), 1'572'864u);
  EXPECT_EQ(parse_size("0.001 kB").value(), 1u);
  EXPECT_EQ(parse_size("2.25 TB").value(), 2'250'000'000'000u);
  EXPECT_EQ(parse_size("16383 PiB").value(), std::uint64_t{16383} << 50);
}

TEST(Quantity, other_sizes_are_refused) {
  for (const char* bad : {"",       " ",         "20",
                          "GB",     "20 gb",     "20  GB",
                          " 20 GB", "20 GB ",    "-1 B",
                          "+1 B",   "01 B",      "1. MB",
                          ".5 MB",  "1.2345 MB", "0.5 B",
                          "1e3 B",  "16384 PiB", "99999999999999999999 B",
                          "1,5 GB", "0x10 B",    "18446744073709551615.5 kB"}) {
    EXPECT_FALSE(parse_size(bad).ok()) << bad;
  }
}

TEST(Quantity, durations_are_read) {
  using std::chrono::milliseconds;
  EXPECT_EQ(parse_duration("500 ms").value(), milliseconds(500));
  EXPECT_EQ(parse_duration("90 s").value(), std::chrono::seconds(90));
  EXPECT_EQ(parse_duration("1.5s").value(), milliseconds(1500));
  EXPECT_EQ(parse_duration("15 min").value(), std::chrono::minutes(15));
  EXPECT_EQ(parse_duration("2 h").value(), std::chrono::hours(2));
  EXPECT_EQ(parse_duration("1 day").value(), std::chrono::days(1));
  EXPECT_EQ(parse_duration("7 days").value(), std::chrono::days(7));
  EXPECT_EQ(parse_duration("7d").value(), std::chrono::days(7));
  EXPECT_EQ(parse_duration("2 weeks").value(), std::chrono::days(14));
  EXPECT_EQ(parse_duration("100000 days").value(), std::chrono::days(100'000));
}

TEST(Quantity, other_durations_are_refused) {
  for (const char* bad : {"", "7", "days", "1 month", "2 years", "1 h 30 min", "-1 s", "100001 days", "0.5 ms",
                          "99999999999999 weeks", "7 Days"}) {
    EXPECT_FALSE(parse_duration(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace exclave::config
