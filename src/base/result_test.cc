#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace exclave {
namespace {

using Box = std::unique_ptr<int>;

Result<Box> make_box(int value) {
  if (value < 0) return Error(Code::InvalidInput, "negative");
  return std::make_unique<int>(value);
}

Result<int> add(int a, int b) {
  const Box first = TRY(make_box(a));
  const Box second = TRY(make_box(b));
  return *first + *second;
}

Status check(int value) {
  TRY(make_box(value));
  return {};
}

Result<std::string> describe(int value) {
  TRY(check(value));
  return std::to_string(value);
}

TEST(ResultTest, holds_a_value_or_an_error) {
  const Result<int> value = 5;
  EXPECT_TRUE(value.ok());
  EXPECT_TRUE(static_cast<bool>(value));
  EXPECT_EQ(value.value(), 5);
  const Result<int> error = Error(Code::NotFound, "gone");
  EXPECT_FALSE(error.ok());
  EXPECT_FALSE(static_cast<bool>(error));
  EXPECT_EQ(error.error().code(), Code::NotFound);
  EXPECT_EQ(error.error().message(), "gone");
}

TEST(ResultTest, values_that_only_move_are_taken_out) {
  Result<Box> box = make_box(7);
  EXPECT_EQ(*box.value(), 7);
  const Box taken = box.take();
  EXPECT_EQ(*taken, 7);
  EXPECT_EQ(*make_box(8).value(), 8);
  const Box from_temporary = make_box(9).value();
  EXPECT_EQ(*from_temporary, 9);
}

TEST(ResultTest, try_gives_the_value_or_leaves_with_the_error) {
  EXPECT_EQ(add(1, 2).value(), 3);
  EXPECT_EQ(add(-1, 2).error().message(), "negative");
  EXPECT_EQ(add(1, -2).error().code(), Code::InvalidInput);
}

TEST(ResultTest, try_passes_errors_between_results_of_different_types) {
  EXPECT_EQ(describe(4).value(), "4");
  EXPECT_EQ(describe(-4).error().message(), "negative");
  EXPECT_TRUE(check(0).ok());
  EXPECT_FALSE(check(-1).ok());
}

TEST(ResultTest, try_evaluates_its_expression_once) {
  int calls = 0;
  const auto count = [&]() -> Result<int> { return ++calls; };
  const auto twice = [&]() -> Result<int> {
    const int first = TRY(count());
    const int second = TRY(count());
    return first * 10 + second;
  };
  EXPECT_EQ(twice().value(), 12);
  EXPECT_EQ(calls, 2);
}

TEST(ResultTest, context_is_put_before_the_message_and_only_asked_for_on_error) {
  int asked = 0;
  const auto noun = [&] {
    ++asked;
    return std::string("pack 12");
  };
  EXPECT_EQ(*make_box(1).in(noun).take(), 1);
  EXPECT_TRUE(check(1).in(noun).ok());
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(make_box(-1).in(noun).error().message(), "pack 12: negative");
  EXPECT_EQ(check(-1).in(noun).in([] { return "vault oslo"; }).error().message(), "vault oslo: pack 12: negative");
  EXPECT_EQ(make_box(-1).in(noun).error().code(), Code::InvalidInput);
}

TEST(ResultTest, hint_stays_with_the_error_through_layers) {
  const auto fail = []() -> Status { return Error(Code::Denied, "no key").hint("run 'exclave keys'"); };
  const auto outer = [&]() -> Result<int> {
    TRY(fail().in([] { return "agent"; }));
    return 1;
  };
  EXPECT_EQ(outer().error().message(), "agent: no key");
  EXPECT_EQ(outer().error().hint_text(), "run 'exclave keys'");
}

TEST(ResultTest, values_are_converted_where_the_language_converts) {
  struct Base {
    virtual ~Base() = default;
  };
  struct Derived : Base {};
  const auto make = []() -> Result<std::unique_ptr<Base>> { return std::make_unique<Derived>(); };
  EXPECT_NE(make().take(), nullptr);
  const Result<std::string> text = "literal";
  EXPECT_EQ(text.value(), "literal");
  const Result<std::optional<int>> some = 5;
  EXPECT_EQ(some.value(), 5);
  const Result<std::optional<int>> none = std::optional<int>();
  EXPECT_TRUE(none.ok());
  EXPECT_FALSE(none.value().has_value());
}

TEST(ResultTest, an_error_is_never_taken_for_a_value) {
  const Result<std::vector<std::string>> result = Error(Code::Bug, "x");
  EXPECT_FALSE(result.ok());
  const Result<Status> nested = Status(Error(Code::Bug, "inner"));
  EXPECT_TRUE(nested.ok());
  EXPECT_FALSE(nested.value().ok());
}

TEST(ResultDeathTest, asking_for_what_is_not_there_aborts) {
  const Result<int> error = Error(Code::NotFound, "gone");
  const Result<int> value = 5;
  const Status fine;
  const Status failed = Error(Code::NotFound, "gone");
  EXPECT_DEATH(static_cast<void>(error.value()), "CHECK failed");
  EXPECT_DEATH(static_cast<void>(value.error()), "CHECK failed");
  EXPECT_DEATH(static_cast<void>(fine.error()), "CHECK failed");
  EXPECT_DEATH(failed.value(), "CHECK failed");
}

TEST(ErrorTest, every_code_has_its_own_name) {
  EXPECT_EQ(name_of(Code::InvalidInput), "invalid input");
  EXPECT_EQ(name_of(Code::OutcomeUnknown), "outcome unknown");
  std::vector<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::Bug); ++code) names.push_back(name_of(static_cast<Code>(code)));
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(names[i], names[j]);
  }
}

}  // namespace
}  // namespace exclave
