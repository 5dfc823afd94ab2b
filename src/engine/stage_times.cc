#include "engine/stage_times.h"

namespace exclave::engine {

std::string_view name_of(Stage stage) {
  switch (stage) {
    case Stage::Walk:
      return "walk";
    case Stage::Read:
      return "read";
    case Stage::Cut:
      return "cut";
    case Stage::Hash:
      return "hash";
    case Stage::Compress:
      return "compress";
    case Stage::Pack:
      return "pack";
    case Stage::Seal:
      return "seal";
    case Stage::Code:
      return "code";
    case Stage::Send:
      return "send";
    case Stage::Wait:
      return "wait";
    case Stage::Open:
      return "open";
    case Stage::Decompress:
      return "decompress";
    case Stage::Write:
      return "write";
  }
  return "?";
}

}  // namespace exclave::engine
