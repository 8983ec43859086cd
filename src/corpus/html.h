// HTML, and the XML of manuals (DocBook, Mallard), to plain text.
#pragma once

#include <string>
#include <string_view>

namespace mneme::corpus {

// The text of a page in the manner of Markdown: headings with #, items with -, <pre> between ``` lines, code
// between backticks, a paragraph on a line of its own. What is not the page's own text is left out: scripts,
// styles, the head, navigation by its element or the usual classes (of Sphinx, DocBook, ...). Any bytes are
// fine; broken markup gives what text there is. Linear in the page.
std::string html_to_text(std::string_view html);

}  // namespace mneme::corpus
