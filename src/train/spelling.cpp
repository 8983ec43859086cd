#include "train/spelling.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "engram/vocabulary.h"

namespace mneme::train {

namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) { return is_upper(c) || is_lower(c) || static_cast<unsigned char>(c) >= 0x80; }
bool is_sign(char c) { return c == ' ' || (static_cast<unsigned char>(c) < 0x80 && std::ispunct(c)); }

struct Written {
  std::string letters, form;
};

Written read(std::string_view token) {
  Written written;
  const bool sign_and_letters = token.size() > 1 && is_sign(token[0]) && is_letter(token[1]);
  if (sign_and_letters || (token.size() > 1 && token[0] == ' ')) {
    written.form = token.substr(0, 1);
    token.remove_prefix(1);
  }
  const auto upper = std::count_if(token.begin(), token.end(), is_upper);
  const auto lower = std::count_if(token.begin(), token.end(), is_lower);
  written.letters = token;
  const bool first = upper == 1 && is_upper(token[0]), all = upper > 1 && lower == 0;
  if (!first && !all) return written;
  written.form += first ? "Aa" : "AA";
  for (char& c : written.letters)
    if (is_upper(c)) c = static_cast<char>(c - 'A' + 'a');
  return written;
}

}  // namespace

Spelling spelling_of(const corpus::Vocabulary& vocabulary) {
  Spelling spelling;
  std::map<std::string, int64_t> letters, forms;
  std::set<std::pair<int64_t, int64_t>> taken;
  for (int id = 0; id < vocabulary.size(); ++id) {
    const Written written = vocabulary.is_special(id) ? Written{"special " + std::to_string(id), ""}
                                                      : read(vocabulary.bytes(id));
    const int64_t form = forms.try_emplace(written.form, static_cast<int64_t>(forms.size())).first->second;
    int64_t of = letters.try_emplace(written.letters, spelling.letters_count).first->second;
    // New letters, or the token of another way of writing the same that looks alike here.
    if (of == spelling.letters_count || !taken.emplace(of, form).second) {
      of = spelling.letters_count++;
      taken.emplace(of, form);
    }
    spelling.letters.push_back(of);
    spelling.forms.push_back(form);
  }
  spelling.forms_count = static_cast<int64_t>(forms.size());
  return spelling;
}

std::vector<uint32_t> classes_of(const corpus::Vocabulary& vocabulary) {
  std::vector<std::string> tokens;
  for (int id = 0; id < vocabulary.size(); ++id) {
    const bool special = vocabulary.is_special(id);
    tokens.emplace_back(special ? std::string_view() : vocabulary.bytes(id));
  }
  return engram::compress_vocabulary(tokens).token_map;
}

}  // namespace mneme::train
