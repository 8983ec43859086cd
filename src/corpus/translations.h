// The Chinese of gettext catalogues.
#pragma once

#include <string>
#include <string_view>

namespace mneme::corpus {

// The translations of a .po file, a line each, those of several lines with a blank one around; without the
// header, fuzzy entries and marks for access keys. Any bytes are fine.
std::string po_to_text(std::string_view catalogue);

}  // namespace mneme::corpus
