#include "base/error.h"

namespace exclave {

std::string_view name_of(Code code) {
  switch (code) {
    case Code::InvalidInput:
      return "invalid input";
    case Code::NotFound:
      return "not found";
    case Code::AlreadyExists:
      return "already exists";
    case Code::Denied:
      return "denied";
    case Code::Corrupt:
      return "corrupt";
    case Code::Conflict:
      return "conflict";
    case Code::Precondition:
      return "precondition";
    case Code::Exhausted:
      return "exhausted";
    case Code::Unavailable:
      return "unavailable";
    case Code::OutcomeUnknown:
      return "outcome unknown";
    case Code::Unsupported:
      return "unsupported";
    case Code::Cancelled:
      return "cancelled";
    case Code::Bug:
      return "bug";
  }
  return "bug";
}

}  // namespace exclave
