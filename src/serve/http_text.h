// Small texts of HTTP: names of headers, reasons of statuses, dates, ids.
#pragma once

#include <string>
#include <string_view>

namespace mneme::serve {

bool equal_ignoring_case(std::string_view a, std::string_view b);
std::string_view trimmed(std::string_view text);  // without blanks and tabs at its ends
std::string_view status_text(int status);         // "Not Found"; "" for one that is unknown
// Of a client: letters, digits and ._:- alone, at most 128 of them.
bool is_sane_id(std::string_view id);
// "req_" and 24 hex digits from the system's random numbers.
std::string new_request_id();

}  // namespace mneme::serve
