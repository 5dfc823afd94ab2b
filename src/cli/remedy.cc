#include "cli/remedy.h"

#include <string>
#include <utility>

namespace exclave::cli {

Error with_remedy(Error error, std::string_view remedy) {
  if (!error.hint_text().empty()) return error;
  return std::move(error).hint(std::string(remedy));
}

}  // namespace exclave::cli
