#include "engram/vocabulary.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/ustring.h>

#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/error.h"

namespace mneme::engram {

namespace {

// Nothing where the bytes are not valid UTF-8.
std::optional<icu::UnicodeString> decode(std::string_view bytes) {
  const auto size = static_cast<int32_t>(bytes.size());
  UErrorCode status = U_ZERO_ERROR;
  int32_t units = 0;
  u_strFromUTF8(nullptr, 0, &units, bytes.data(), size, &status);
  if (status != U_BUFFER_OVERFLOW_ERROR && U_FAILURE(status)) return std::nullopt;
  return icu::UnicodeString::fromUTF8(icu::StringPiece(bytes.data(), size));
}

// The room's tables of ICU; only a broken installation lacks them.
struct Normalizers {
  const icu::Normalizer2* composed;    // NFKC
  const icu::Normalizer2* decomposed;  // NFD: a letter and its accents apart
};
Normalizers open_normalizers() {
  UErrorCode status = U_ZERO_ERROR;
  const Normalizers normalizers{icu::Normalizer2::getNFKCInstance(status),
                                icu::Normalizer2::getNFDInstance(status)};
  MNEME_CHECK(U_SUCCESS(status), "ICU: {}", u_errorName(status));
  return normalizers;
}

icu::UnicodeString normalize(const icu::Normalizer2& form, const icu::UnicodeString& text) {
  UErrorCode status = U_ZERO_ERROR;
  icu::UnicodeString normal = form.normalize(text, status);
  MNEME_CHECK(U_SUCCESS(status), "ICU: {}", u_errorName(status));
  return normal;
}

std::string fold(const Normalizers& forms, const icu::UnicodeString& text) {
  const icu::UnicodeString apart = normalize(
      *forms.decomposed, normalize(*forms.composed, text).toLower(icu::Locale::getRoot()));
  icu::UnicodeString folded;
  bool space = false, any_space = false;
  for (int32_t i = 0; i < apart.length(); i = apart.moveIndex32(i, 1)) {
    const UChar32 c = apart.char32At(i);
    if (u_charType(c) == U_NON_SPACING_MARK) continue;
    if (u_isUWhiteSpace(c)) {
      space = any_space = true;
      continue;
    }
    if (space && !folded.isEmpty()) folded.append(static_cast<UChar32>(' '));
    space = false;
    folded.append(c);
  }
  if (folded.isEmpty() && any_space) return " ";
  std::string utf8;
  folded.toUTF8String(utf8);
  return utf8;
}

}  // namespace

CompressedVocabulary compress_vocabulary(std::span<const std::string> tokens) {
  const Normalizers forms = open_normalizers();
  CompressedVocabulary vocabulary;
  std::unordered_map<std::string, uint32_t> ids;  // the first byte says whether folded ('f') or as it is
                                                  // ('=')
  for (const std::string& token : tokens) {
    std::string key;
    if (const auto text = decode(token)) key = fold(forms, *text);
    key = key.empty() ? "=" + token : "f" + key;
    uint32_t id = vocabulary.size;
    if (!token.empty()) id = ids.try_emplace(std::move(key), vocabulary.size).first->second;
    vocabulary.size += id == vocabulary.size;
    vocabulary.token_map.push_back(id);
  }
  return vocabulary;
}

}  // namespace mneme::engram
