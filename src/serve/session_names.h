#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mneme/result.h"

namespace mneme::serve {

// The name under which the engine keeps an owner's session. Owners never meet: [OWNER "."] SESSION, where a
// byte that is no letter, digit or dash is written _hh, so that the dot stands between the two and nowhere
// else. Sessions of nobody keep their names as they are where those have no dot (`mneme chat --session` finds
// them again). Fails for an empty name, one that is too long, and one that
// is no segment of a path.
Result<std::string> kept_name(std::string_view owner, std::string_view session);

struct NameParts {
  std::string owner, session;
};
// The reverse; nothing for a name that kept_name() does not make.
std::optional<NameParts> parts_of_kept_name(std::string_view name);

}  // namespace mneme::serve
