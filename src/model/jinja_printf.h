// Text built from a pattern: "%s of %d" % (a, b) and "{} of {name}".format(a, name=b).
#pragma once

#include <string_view>
#include <vector>

#include "core/error.h"
#include "model/jinja_runtime.h"
#include "model/jinja_value.h"

namespace mneme::model::jinja {

// %s %r %d %i %x %X %o %e %f %g %c %% with flags, width and precision (at most 1000); "%(name)s" is not
// supported.
Result<JinjaValue> format_printf(Runtime& runtime, std::string_view pattern,
                                 const std::vector<JinjaValue>& values);
// {} {0} {name} {{ }}; format specifications behind a colon are not supported.
Result<JinjaValue> format_braces(Runtime& runtime, std::string_view pattern, const Arguments& values);

}  // namespace mneme::model::jinja
