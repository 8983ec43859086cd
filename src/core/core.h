// core: what every other room stands on, and nothing that knows about language models.
//
//   error.h        Result<T>, fail(...) for the outside world, MNEME_CHECK(...) for bugs
//   file.h         read-only mappings and positioned reads, closed by their owners
//   pending_file.h new files, that replace the old one whole or not at all
//   arena.h        one large reservation of 2 MiB pages, handed out in 64-byte aligned pieces
//   thread_pool.h  fork-join over tasks; the calling thread works too
//   rng.h          a small seeded generator that gives the same stream on every machine
//   hash.h         XXH3 over bytes
//   clock.h        monotonic seconds
//   plot.h         lines and heat maps as SVG
//   utf8.h         characters in bytes: read, checked, cut between, written
//
// Includes: nothing but the standard library and the packages fmt, tl::expected and xxHash, which no other
// room names.
#pragma once

#include "core/arena.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/pending_file.h"
#include "core/plot.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "core/utf8.h"
