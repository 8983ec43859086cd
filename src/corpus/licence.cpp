#include "corpus/licence.h"

#include <algorithm>

namespace mneme::corpus {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == ','))
    text.remove_suffix(1);
  return text;
}

// How short names of permissive licences begin, lower case.
constexpr std::string_view kPermissive[] = {
    "mit",        "expat",         "x11",           "bsd",     "isc",     "zlib",         "apache",
    "asl-2",      "public-domain", "public domain", "pd",      "cc0",     "unlicense",    "python",
    "psf",        "0bsd",          "bsl-1",         "boost",   "ntp",     "hpnd",         "wtfpl",
    "postgresql", "curl",          "libpng",        "openssl", "tcl",     "permissive",   "unicode",
    "icu",        "go-bsd",        "google",        "lua",     "zpl",     "w3c",          "fsfap",
    "bitstream",  "jquery",        "blessing",      "musl",    "nginx",   "free",         "all-permissive",
    "2-clause",   "3-clause",      "fsful",         "old-mit", "new-bsd", "modified-bsd", "harfbuzz"};

constexpr std::string_view kCopyleft[] = {"general public licen",
                                          "gnu lesser",
                                          "gnu gpl",
                                          "gnu affero",
                                          "mozilla public licen",
                                          "(mpl",
                                          "gplv",
                                          "creative commons",
                                          "cc-by",
                                          "eclipse public",
                                          "common development and distribution"};

constexpr std::string_view kPermissiveWords[] = {"permission is hereby granted, free of charge",
                                                 "redistribution and use in source and binary forms",
                                                 "apache license, version 2",
                                                 "permission to use, copy, modify, and",
                                                 "public domain",
                                                 "licensed under the apache license",
                                                 "provided 'as-is', without any express"};

bool contains_any(std::string_view text, const auto& words) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

// The parts of `text` between `separator`s all, or some, pass.
template <class Test>
bool parts_pass(std::string_view text, std::string_view separator, bool all, const Test& test) {
  while (true) {
    const size_t end = text.find(separator);
    if (test(text.substr(0, end)) != all) return !all;
    if (end == std::string_view::npos) return all;
    text.remove_prefix(end + separator.size());
  }
}

bool is_permissive_one(std::string_view name) {
  name = trim(name);
  if (name.empty() || name.find("gpl") != std::string_view::npos) return false;
  if (name == "go") return true;  // the Go authors' BSD licence
  return std::any_of(std::begin(kPermissive), std::end(kPermissive),
                     [&](std::string_view known) { return name.starts_with(known); });
}

// '*' is any run of characters, '/' among them; '?' is one.
bool matches(std::string_view glob, std::string_view path) {
  size_t at = 0;
  size_t in = 0;
  size_t star = std::string_view::npos;
  size_t star_in = 0;
  while (in < path.size()) {
    if (at < glob.size() && (glob[at] == '?' || glob[at] == path[in]) && glob[at] != '*') {
      at++;
      in++;
    } else if (at < glob.size() && glob[at] == '*') {
      star = at++;
      star_in = in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++star_in;
    } else {
      return false;
    }
  }
  while (at < glob.size() && glob[at] == '*') at++;
  return at == glob.size();
}

}  // namespace

bool is_permissive_name(std::string_view name) {
  const std::string lowered = lower(name);
  const auto both = [](std::string_view part) {
    return parts_pass(part, " and ", true, [](std::string_view one) { return is_permissive_one(one); });
  };
  return parts_pass(lowered, ", and ", true, [&](std::string_view part) {
    return parts_pass(part, " or ", false,
                      [&](std::string_view one) { return parts_pass(one, " | ", false, both); });
  });
}

bool head_names_copyleft(std::string_view text) {
  const std::string head = lower(text.substr(0, 4096));
  return contains_any(head, kCopyleft);
}

Licences::Licences(std::string_view copyright) {
  const std::string_view head = copyright.substr(0, 1000);
  const bool machine_readable = head.find("Format") != std::string_view::npos &&
                                head.find("copyright-format") != std::string_view::npos;
  if (!machine_readable) {
    read_free_text(copyright);
    return;
  }
  while (!copyright.empty()) {
    const size_t end = std::min(copyright.find("\n\n"), copyright.size());
    read_stanza(copyright.substr(0, end));
    copyright.remove_prefix(std::min(end + 2, copyright.size()));
  }
  for (const Stanza& stanza : stanzas_) {
    if (std::find(stanza.globs.begin(), stanza.globs.end(), "*") == stanza.globs.end()) continue;
    main_ = stanza.licence;
    main_is_permissive_ = stanza.permissive;
  }
  if (main_ == "unknown" && !stanzas_.empty()) {
    main_ = stanzas_.front().licence;
    main_is_permissive_ = stanzas_.front().permissive;
  }
}

void Licences::read_stanza(std::string_view text) {
  Stanza stanza;
  bool in_files = false;
  bool in_licence = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool continues = line.starts_with(' ') || line.starts_with('\t');
    if (!continues) in_files = line.starts_with("Files:");
    if (!continues && line.starts_with("License:")) stanza.licence = trim(line.substr(8));
    if (continues && in_licence && stanza.licence.empty()) stanza.licence = trim(line);  // "License:" alone
    if (!continues) in_licence = line.starts_with("License:");
    if (!in_files) continue;
    if (!continues) line.remove_prefix(6);
    while (!(line = trim(line)).empty()) {
      const size_t word = std::min(line.find_first_of(" \t"), line.size());
      std::string glob(trim(line.substr(0, word)));
      if (glob.starts_with("./")) glob.erase(0, 2);
      if (glob == "*.*") glob = "*";
      stanza.globs.push_back(std::move(glob));
      line.remove_prefix(word);
    }
  }
  if (stanza.globs.empty()) return;
  stanza.permissive = is_permissive_name(stanza.licence);
  stanzas_.push_back(std::move(stanza));
}

void Licences::read_free_text(std::string_view text) {
  std::string lowered = lower(text);
  for (char& c : lowered) c = c == '\n' ? ' ' : c;
  const auto doubled = [](char a, char b) { return a == ' ' && b == ' '; };
  lowered.erase(std::unique(lowered.begin(), lowered.end(), doubled), lowered.end());
  const bool copyleft = contains_any(lowered, kCopyleft) || lowered.find("gpl") != std::string::npos;
  const bool permissive = contains_any(lowered, kPermissiveWords);
  main_ = copyleft && permissive ? "free text: copyleft and permissive"
          : copyleft             ? "free text: copyleft"
          : permissive           ? "free text: permissive"
                                 : "unknown";
  main_is_permissive_ = permissive && !copyleft;
}

bool Licences::is_permissive(std::string_view path) const {
  for (auto stanza = stanzas_.rbegin(); stanza != stanzas_.rend(); ++stanza) {
    const auto here = [&](const std::string& glob) { return matches(glob, path); };
    if (std::any_of(stanza->globs.begin(), stanza->globs.end(), here)) return stanza->permissive;
  }
  return main_is_permissive_;
}

}  // namespace mneme::corpus
