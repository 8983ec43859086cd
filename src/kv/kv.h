// kv: where keys and values live. A Sequence is one growing context; its keys and values are kept in blocks
// of 64 tokens of one layer and KV head, taken from a BlockPool that everyone shares. Attention reads
// BlockViews and never learns where they are: tiers (RAM, disk, device) can come and go behind this line.
//
// A layer with a window gives the blocks that no later token can read back to the pool; enough stays for a
// truncation by kRewindTokens. What layers remember of the last tokens beside keys and values: RecentRows.
//
// With a cold tier, whole runs of 256 tokens are sealed into segments (segment.h), named by what they hold
// (segment_name.h) and kept in a folder (store.h, segment_file.h, disk.h); Tiers (tiers.h) decides which of
// their extents are in memory, reads ahead through an IoQueue, and writes behind. A named session is a log
// (session_log.h) and a tail in the same folder (session_folder.h, session_archive.h);
// docs/formats/session.md.
//
// Layout of a block, bf16, chosen so that 16 lanes hold 16 tokens (keys) or 16 channels (values) and nothing
// is reduced across lanes, and so that a block is a matrix-unit operand as it lies:
//   keys    [head_dim / 2, 64, 2]   channel pairs outside, tokens inside
//   values  [32, head_dim, 2]       token pairs outside, channels inside
// head_dim is even. Unwritten tokens of a block are zero bits.
#pragma once

#include "kv/block.h"
#include "kv/block_pool.h"
#include "kv/block_source.h"
#include "kv/io_queue.h"
#include "kv/recent_rows.h"
#include "kv/sequence.h"
