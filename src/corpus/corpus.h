// The room that makes what a model is trained on: a corpus of documents, and a vocabulary.
//
// build_corpus (build.h) takes unpacked Debian packages and writes two files of documents, one to train on
// and one that is held out, with a list of what came from where. It reads like this: the held-out packages
// first, so that nothing of them is found again in what is trained on; of each package the files that are
// text (files.h) and, where they are code, permissively licensed (licence.h); HTML, man pages and
// translations to plain text (html.h, troff.h, translations.h); lines that are data and not language dropped
// (clean.h); what was there already dropped (dedup.h); then from each kind and language an equal share of
// every package, until the wanted size is reached (shares.h).
//
// Documents (documents.h) reads such a file: a mapping with an index, so that opening millions of documents
// is cheap and any of them is one look away.
//
// train_bpe (bpe_trainer.h) learns the merges of a byte-level vocabulary from a sample (sample.h); Vocabulary
// (vocabulary.h) is the result with its special tokens, as a file and as tokenizer.ggml.* keys, so that
// model::Tokenizer reads at run time exactly what was trained with.
//
// The formats on disk: docs/formats/corpus.md. Nothing here prints: progress goes to a function that is
// handed in.
#pragma once

#include "corpus/bpe_trainer.h"
#include "corpus/build.h"
#include "corpus/documents.h"
#include "corpus/sample.h"
#include "corpus/vocabulary.h"
