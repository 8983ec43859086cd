#include "grammar/formats.h"

namespace mneme::grammar {

namespace {

// Days as the calendar has them, leap years too (RFC 3339).
#define MNEME_DATE                                                                          \
  "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|" \
  "02-(0[1-9]|1[0-9]|2[0-8]))|"                                                             \
  "([0-9][0-9](0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define MNEME_TIME \
  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define MNEME_N "[0-9]{1,9}"
#define MNEME_DAYS "(" MNEME_N "Y(" MNEME_N "M(" MNEME_N "D)?)?|" MNEME_N "M(" MNEME_N "D)?|" MNEME_N "D)"
#define MNEME_HOURS "(" MNEME_N "H(" MNEME_N "M(" MNEME_N "S)?)?|" MNEME_N "M(" MNEME_N "S)?|" MNEME_N "S)"
#define MNEME_BYTE "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define MNEME_IPV4 "(" MNEME_BYTE "\\.){3}" MNEME_BYTE
#define MNEME_HEX4 "[0-9a-fA-F]{1,4}"
#define MNEME_LABEL "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"

struct Format {
  std::string_view name, pattern;
};

constexpr Format kFormats[] = {
    {"date", MNEME_DATE},
    {"time", MNEME_TIME},
    {"date-time", MNEME_DATE "T" MNEME_TIME},
    // RFC 3339, appendix A.
    {"duration", "P([0-9]{1,9}W|" MNEME_DAYS "(T" MNEME_HOURS ")?|T" MNEME_HOURS ")"},
    {"uuid", "[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"},
    {"email",
     "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,32}(\\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,31}){0,1}@" MNEME_LABEL
     "(\\." MNEME_LABEL "){1,3}"},
    {"hostname", MNEME_LABEL "(\\." MNEME_LABEL "){0,3}"},
    {"ipv4", MNEME_IPV4},
    // RFC 4291, with and without ::, without an IPv4 address at the end.
    {"ipv6", "((" MNEME_HEX4 ":){7}" MNEME_HEX4 "|(" MNEME_HEX4 ":){1,7}:|(" MNEME_HEX4 ":){1,6}:" MNEME_HEX4
             "|(" MNEME_HEX4 ":){1,5}(:" MNEME_HEX4 "){1,2}|(" MNEME_HEX4 ":){1,4}(:" MNEME_HEX4 "){1,3}"
             "|(" MNEME_HEX4 ":){1,3}(:" MNEME_HEX4 "){1,4}|(" MNEME_HEX4 ":){1,2}(:" MNEME_HEX4 "){1,5}"
             "|" MNEME_HEX4 ":(:" MNEME_HEX4 "){1,6}|:((:" MNEME_HEX4 "){1,7}|:))"},
    // A scheme and what RFC 3986 allows after it, without the structure of each scheme.
    {"uri",
     "[a-zA-Z][a-zA-Z0-9+.-]{0,15}:(//)?([a-zA-Z0-9._~:/?#\\[\\]@!$&'()*+,;=-]|%[0-9a-fA-F]{2}){1,2000}"},
};

#undef MNEME_DATE
#undef MNEME_TIME
#undef MNEME_N
#undef MNEME_DAYS
#undef MNEME_HOURS
#undef MNEME_BYTE
#undef MNEME_IPV4
#undef MNEME_HEX4
#undef MNEME_LABEL

}  // namespace

std::optional<std::string_view> format_pattern(std::string_view format) {
  for (const Format& known : kFormats) {
    if (known.name == format) return known.pattern;
  }
  return std::nullopt;
}

}  // namespace mneme::grammar
