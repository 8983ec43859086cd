// What turns files into text: HTML, manual pages, catalogues, licences, cleaning, deduplication.
#include <gtest/gtest.h>

#include "core/rng.h"
#include "corpus/clean.h"
#include "corpus/dedup.h"
#include "corpus/files.h"
#include "corpus/html.h"
#include "corpus/licence.h"
#include "corpus/translations.h"
#include "corpus/troff.h"

namespace mneme::corpus {
namespace {

TEST(Html, keeps_the_text_and_its_lines) {
  EXPECT_EQ(html_to_text("<h2>Title</h2><p>One\n  two &amp; three&#33;</p><ul><li><p>a</p><li>b</ul>"),
            "\n## Title\n\nOne two & three!\n\n- a\n- b\n");
  EXPECT_EQ(html_to_text("x<pre>a\n  b &lt;\n</pre>y"), "x\n```\na\n  b <\n```\ny");
  EXPECT_EQ(html_to_text("use <code>ls -l</code> now"), "use `ls -l` now");
  EXPECT_EQ(html_to_text("<p>中文\n换行</p>"), "\n中文换行\n");
  EXPECT_EQ(html_to_text("<table><tr><td>a</td><td>b</td></tr></table>"), "\na | b\n");
}

TEST(Html, leaves_out_what_is_not_the_page) {
  EXPECT_EQ(html_to_text("<head><title>t</title></head><script>if (a<b) x('</p>')</script>y<!-- no -->"),
            "y");
  EXPECT_EQ(html_to_text("<div class=\"navheader\">a<div>b</div>c</div>d"), "d");
  EXPECT_EQ(html_to_text("<nav>menu</nav><div role=\"navigation\">x</div>z"), "z");
}

TEST(Html, broken_markup_gives_text) {
  EXPECT_EQ(html_to_text("a < b && c"), "a < b && c");
  EXPECT_EQ(html_to_text("<a href=\"x>text</a> more"), "text more");
  EXPECT_EQ(html_to_text("&nosuch; &#xD800; &#99999999999;"), "&nosuch; &#xD800; &#99999999999;");
  for (const char* text :
       {"<", "<!", "<!--", "</", "<a", "<script>", "<nav><nav>", "&", "&#", "&#x;", "<pre>"}) {
    html_to_text(text);
  }
}

TEST(Troff, man_and_mdoc) {
  EXPECT_TRUE(is_text(troff_to_text(".B ab \\f(x\xEF\xBB\xBF cd\n")));  // no name ends inside a character
  EXPECT_EQ(troff_to_text(".TH LS 1\n.\\\" no\n.SH NAME\nls \\- list\nfiles\n.PP\n.B ls\n.RI [ file ]\n"),
            "# LS(1)\n\n## NAME\nls - list files\n\nls [file]\n");
  EXPECT_EQ(troff_to_text(".TP\n.B \\-a\nall \\fIof\\fP them\n.nf\n a\n  b\n.fi\nc\n"),
            "\n-a\nall of them\n a\n  b\nc\n");
  EXPECT_EQ(troff_to_text(".Sh NAME\n.Nm cat\n.Nd join\n.Pp\n.Nm\n.Fl b Ar file .\n"),
            "\n## NAME\ncat - join\n\ncat -b file.\n");
}

TEST(Info, node_lines_go) {
  EXPECT_EQ(info_to_text(
                "This is x.info\n\n\x1f\nFile: x.info,  Node: Top\n\nText.\n\x1f\nTag Table:\nNode: Top\n"),
            "\n\nText.\n");
}

TEST(Po, translations_only) {
  const char* text =
      "msgid \"\"\nmsgstr \"Content-Type: text/plain\\n\"\n\n#: a.c:1\nmsgid \"Cannot open the file\"\n"
      "msgstr \"\"\n\"无法打开\"\n\"这个文件\"\n\n#, fuzzy\nmsgid \"x\"\nmsgstr \"不确定的翻译不要的\"\n\n"
      "msgid \"OK\"\nmsgstr \"好\"\n";
  EXPECT_EQ(po_to_text(text), "无法打开这个文件\n");
}

// Any bytes, and pieces of markup in any order, end and stay in bounds (run under the sanitizers).
TEST(Text, hostile_input) {
  const char* pieces[] = {"<",     ">",          "\"",        "</",           "<pre>", "</pre>", "<nav>",
                          "&#",    "&amp;",      "<!--",      "-->",          "\n",    ".",      "\\",
                          "\\f(",  "\\*[",       ".TP\n",     ".de x\n",      "..",    "\x1f",   "\"\"",
                          "msgid", "\xE4",       "\xFF",      "\n.It",        " Fl",   "'",      "\\s+1",
                          "\\h'",  "<script>",   "msgstr \"", "\xE4\xBD\xA0", "/*",    "*/",     "Copyright",
                          "\n\n",  "#, fuzzy\n", "<a b='"};
  core::Rng rng(20240601);
  for (int round = 0; round < 3000; round++) {
    std::string text;
    for (uint32_t i = rng.next_below(40); i > 0; i--) text += pieces[rng.next_below(std::size(pieces))];
    html_to_text(text);
    troff_to_text(text);
    info_to_text(text);
    po_to_text(text);
    Licences licences(text);
    licences.is_permissive("a/b.c");
    Deduplicator seen;
    seen.keep_new(text, Kind::kCode);
    if (!is_text(text)) continue;
    EXPECT_TRUE(is_text(clean_lines(text, Kind::kProse) + "x"));
    EXPECT_TRUE(is_text(html_to_text(text) + "x"));
    prose_language(text);
  }
}

TEST(Clean, lines) {
  EXPECT_EQ(clean_lines("\xEF\xBB\xBF\r\n\na  \r\n\n\n\nb\x01"
                        "c\n\n",
                        Kind::kProse),
            "a\n\nbc\n");
  EXPECT_EQ(clean_lines("a\n\n\n\nb", Kind::kCode), "a\n\n\nb\n");
  EXPECT_EQ(clean_lines("a\n" + std::string(201, 'x') + "\nb\n", Kind::kProse), "a\nb\n");
  EXPECT_EQ(clean_lines("", Kind::kCode), "");
  EXPECT_FALSE(is_text("a\xC3"));
  EXPECT_FALSE(is_text(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_text(""));
}

TEST(Clean, languages) {
  std::string english, chinese, german, japanese;
  for (int i = 0; i < 20; i++) {
    english += "This is the text of a page that you can read in English. ";
    chinese += "这是一页可以用中文阅读的文字。";
    german += "Dies ist der Text einer Seite und man kann ihn auch auf Deutsch lesen. ";
    japanese += "これは日本語で読むことができる文章です。";
  }
  EXPECT_EQ(prose_language(english), Language::kEnglish);
  EXPECT_EQ(prose_language(chinese), Language::kChinese);
  EXPECT_EQ(prose_language(german), std::nullopt);
  EXPECT_EQ(prose_language(japanese), std::nullopt);
  EXPECT_FALSE(reads_like_language("0x12, 0x34, 0x56, 0x78, 0x9a,\n", Kind::kCode));
}

TEST(Licence, names) {
  for (const char* name :
       {"MIT", "Expat", "BSD-3-clause", "Apache-2.0", "ISC", "zlib/libpng", "public-domain", "GPL-2+ or MIT",
        "MIT and BSD-2-clause", "CC0-1.0", "MIT or Apache-2.0"}) {
    EXPECT_TRUE(is_permissive_name(name)) << name;
  }
  for (const char* name : {"GPL-2", "LGPL-2.1+", "MIT and GPL-2", "MPL-2.0", "", "CC-BY-SA-3.0", "AGPL-3",
                           "BSD-3-clause-or-GPL", "Artistic", "GFDL-1.3"}) {
    EXPECT_FALSE(is_permissive_name(name)) << name;
  }
}

TEST(Licence, the_last_stanza_that_matches_counts) {
  const Licences licences(
      "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense:\n "
      "MIT\n\n"
      "Files: lib/*.c\n debian/*\nLicense: GPL-3\n\nFiles: lib/free?.c\nLicense: ISC\n");
  EXPECT_EQ(licences.main(), "MIT");
  EXPECT_TRUE(licences.main_is_permissive());
  EXPECT_TRUE(licences.is_permissive("a.c"));
  EXPECT_FALSE(licences.is_permissive("lib/x/a.c"));
  EXPECT_FALSE(licences.is_permissive("debian/rules"));
  EXPECT_TRUE(licences.is_permissive("lib/free1.c"));
  EXPECT_FALSE(Licences("").main_is_permissive());
  EXPECT_TRUE(Licences("Permission is hereby granted,\n free of charge, to any").main_is_permissive());
  EXPECT_FALSE(Licences("public domain, and the packaging is GPL").main_is_permissive());
  EXPECT_TRUE(head_names_copyleft("/* under the GNU General Public License */"));
}

TEST(Dedup, paragraphs_headers_and_common_lines) {
  Deduplicator seen;
  const std::string one = "A paragraph of prose that is long enough to be told from any other one.\n\n";
  const std::string two = "Another paragraph of prose that is long enough to be told from the first.\n\n";
  const std::string three =
      "The third paragraph says what the first two of them did not, and more of it.\n\n";
  EXPECT_EQ(seen.keep_new(one + two, Kind::kProse), one + two);
  EXPECT_EQ(seen.keep_new(one, Kind::kProse), "");
  EXPECT_EQ(seen.keep_new(one + three, Kind::kProse), three);
  const std::string header =
      "/* FILE.c\n * Copyright 2001 A\n * This file is under the licence of this project. */\n";
  std::string other = header;
  other.replace(other.find("2001 A"), 6, "2019 Someone Else");
  EXPECT_EQ(seen.keep_new(header + "int a;\n", Kind::kCode), header + "int a;\n");
  EXPECT_EQ(seen.keep_new(other + "int b;\n", Kind::kCode), "int b;\n");
  std::vector<std::string> texts;
  for (int i = 0; i < 25; i++) texts.push_back(fmt::format("Next page\nline {}\n", i));
  drop_common_lines(texts);
  EXPECT_EQ(texts[3], "line 3\n");
}

TEST(Files, forms_and_parts) {
  EXPECT_EQ(form_of("src/a.c", false)->kind, Kind::kCode);
  EXPECT_FALSE(form_of("src/a.c", true));
  EXPECT_FALSE(form_of("vendor/x/a.c", false));
  EXPECT_FALSE(form_of("debian/rules.sh", false));
  EXPECT_TRUE(form_of("usr/share/doc/debian/FAQ/x.en.html", true));
  EXPECT_EQ(form_of("usr/share/man/zh_CN/man1/ls.1", true)->markup, Markup::kTroff);
  EXPECT_FALSE(form_of("usr/share/doc/x/it-IT/a.html", true));
  EXPECT_EQ(form_of("django/conf/locale/zh_Hans/LC_MESSAGES/django.po", false)->markup, Markup::kPo);
  std::string text;
  for (int i = 0; i < 100; i++) text += fmt::format("paragraph {}\n\n", i);
  const auto parts = split_long(text, 200);
  std::string joined;
  for (const auto part : parts) joined += part;
  EXPECT_EQ(joined, text);
  EXPECT_GT(parts.size(), 3u);
  EXPECT_EQ(split_long(std::string(1000, 'x'), 10).size(), 1u);
}

}  // namespace
}  // namespace mneme::corpus
