// The room `grammar`: which texts a generation may become, and which tokens keep it there.
//
// From outside to inside (include/mneme/grammar.h is all that other rooms see):
//   text_parser, regex, schema        what a person or a client writes, to expressions and rules
//     schema_values, schema_object    scalars and arrays; objects
//     schema_merge, formats           allOf, and keywords beside $ref and anyOf; formats of strings
//     sized_regex                     a pattern and a length, both at once
//   json_values, numbers, characters  the pieces: any JSON, numbers between bounds, escapes in strings
//   expressions, rule_checks          the grammar as it was written: an arena; what must hold
//   code_points                       sets of characters, their UTF-8 bytes
//   machine                           compiled: a pushdown machine over bytes, not deterministic
//   automaton                         all ways of reading at once, as a lazy deterministic automaton
//   trie, masks                       a vocabulary as a tree; which tokens may follow, once for each place
//   constraint                        the public classes
//
// A configuration (automaton.h) is a set of pairs: a state that reads a byte, and a stack of rules to return
// to; equal stacks are one, so configurations are small and come back. Everything that cannot come to an end
// of the text any more is cut off when a configuration is made (machine.h, frames_needed): a generation never
// runs into a dead end, whatever it draws from a mask, if the vocabulary can spell every byte.
#pragma once

#include "mneme/grammar.h"
