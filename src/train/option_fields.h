// One description of every option: name, place, meaning. The command line, checkpoints and model files are
// made from it.
#pragma once

#include "train/options.h"

namespace mneme::train {

// field(name, value reference, help) for each.
template <class Options, class Field>
void visit_model_options(Options& o, Field field) {
  field("vocab-size", o.vocab_size, "tokens; set from the vocabulary");
  field("dim", o.dim, "channels of the residual stream");
  field("layers", o.layers, "layers");
  field("heads", o.heads, "query heads");
  field("kv-heads", o.kv_heads, "key/value heads");
  field("head-dim", o.head_dim, "channels of a head, even");
  field("ffn-dim", o.ffn_dim, "channels inside the feed-forward sublayer");
  field("window", o.window, "tokens that a local layer sees");
  field("global-layers", o.global_layers, "layers that see everything, without positions");
  field("look-ahead", o.look_ahead, "tokens behind its own that a key of these knows; 0: none");
  field("residual", o.residual, "plain, alpha, rezero, layerscale, hc, mhc, mhc-lite or mhc-identity");
  field("streams", o.streams, "residual streams of the last four kinds, 2 to 4");
  field("hyper-scale", o.hyper_scale, "start of their a_pre, a_post, a_res");
  field("value-residual", o.value_residual, "values mixed with those of layer 0");
  field("embedding-mix", o.embedding_mix, "the embedding added again before every layer");
  field("sinks", o.sinks, "a sink logit a head");
  field("tied", o.tied, "the head is the embedding");
  field("spelled", o.spelled, "tokens of the same letters share a part of embedding and head");
  field("embedding-std", o.embedding_std, "of the embedding at the start");
  field("temperature-global", o.temperature_global, "of global layers at the start");
  field("temperature-local", o.temperature_local, "of local layers at the start");
  field("norm-epsilon", o.norm_epsilon, "of every norm");
  field("rope-base", o.rope_base, "of rotary positions");
  field("log-length-slope", o.log_length_slope, "sharpening beyond the trained length");
  field("context-length", o.context_length, "trained length, tokens");
  field("engram-layers", o.engram.layers, "layers with an n-gram table");
  field("engram-order", o.engram.order_max, "longest n-gram");
  field("engram-heads", o.engram.heads, "hash heads an order");
  field("engram-width", o.engram.width, "values of a row, a multiple of 32");
  field("engram-rows", o.engram.rows, "rows of a table, at most");
  field("engram-seed", o.engram.seed, "of the hash");
  field("indexer-heads", o.indexer.heads, "heads of the indexer of global layers; 0: none");
  field("indexer-dim", o.indexer.head_dim, "channels of an indexer head");
  field("indexer-top-k", o.indexer.top_k, "tokens it chooses");
}

template <class Options, class Field>
void visit_optimizer_options(Options& o, Field field) {
  field("muon", o.muon, "Muon for matrices; else AdamW for everything");
  field("matrix-rate", o.matrix_rate, "learning rate of Muon");
  field("adam-rate", o.adam_rate, "learning rate of AdamW");
  field("table-factor", o.table_factor, "n-gram tables learn this much faster");
  field("hyper-factor", o.hyper_factor, "mHC coefficients learn this much faster");
  field("logit-factor", o.logit_factor, "temperatures and sinks learn this much faster");
  field("weight-decay", o.weight_decay, "of matrices");
  field("beta1", o.beta1, "of AdamW");
  field("beta2", o.beta2, "of AdamW");
  field("adam-epsilon", o.adam_epsilon, "of AdamW");
  field("momentum", o.momentum, "of Muon");
  field("clip", o.clip, "largest gradient norm");
  field("ema", o.ema, "decay of the averaged weights; 0: none");
  field("warmup", o.warmup, "steps of rising rate");
  field("decay-share", o.decay_share, "last share of the steps, in which the rate falls");
  field("final-share", o.final_share, "of the rate that is left at the end");
}

// RunOptions' fields of the indexer.
template <class Options, class Field>
void visit_indexer_run_options(Options& o, Field field) {
  field("indexer-weight", o.indexer_weight, "of the indexer's loss; 0: it does not learn; 0.01 is advised");
  field("indexer-only-from", o.indexer_only_from, "share of the steps from which only the indexer learns");
  field("sparse-from", o.sparse_from, "share of the steps from which attention is what the indexer chooses");
  field("indexer-queries", o.indexer_queries, "of a row, compared with the dense attention");
}

// NAME=VALUE lines, and back: unknown names and values that do not parse are reported, not skipped.
std::string to_text(const ModelOptions& options);
bool from_text(const std::string& text, ModelOptions& options, std::string& error);

// What is wrong with these options; empty: nothing.
std::string check(const ModelOptions& options);

}  // namespace mneme::train
