// What a Debian package's copyright file says about each of its files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mneme::corpus {

// Is a licence of this short name (debian.org/doc/packaging-manuals/copyright-format/1.0) permissive: MIT,
// BSD, Apache, ISC, Zlib, public domain and their kin? "A or B" is where one of them is, "A and B" where both
// are.
bool is_permissive_name(std::string_view name);

// Does the head of a source file speak of a licence that is not permissive?
bool head_names_copyleft(std::string_view text);

class Licences {
 public:
  // A debian/copyright file, of the machine-readable format or free text. Free text counts as permissive
  // where it holds the words of a permissive licence and none of another.
  explicit Licences(std::string_view copyright);

  // The licence of most of the package, as the file names it; "unknown" where it does not.
  const std::string& main() const { return main_; }
  bool main_is_permissive() const { return main_is_permissive_; }
  bool is_machine_readable() const { return !stanzas_.empty(); }
  // `path` from the root of the source package. The last stanza that matches counts.
  bool is_permissive(std::string_view path) const;

 private:
  struct Stanza {
    std::vector<std::string> globs;
    std::string licence;
    bool permissive;
  };
  void read_stanza(std::string_view text);
  void read_free_text(std::string_view text);

  std::vector<Stanza> stanzas_;
  std::string main_ = "unknown";
  bool main_is_permissive_ = false;
};

}  // namespace mneme::corpus
