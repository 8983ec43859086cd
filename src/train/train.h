// train: makes models of the mneme architecture (docs/formats/mneme-gguf.md) and writes them as GGUF files.
// The program is mneme-train; the runtime never links this room.
//
//   options.h, option_fields.h   shape of the network and how it is trained; one description of every option
//   batches.h                    rows of tokens from tasks and text, a function of seed and number alone
//   network.h                    the network: parameters by their names in the model file, the forward pass
//     functional.h               its building blocks, fused on the CPU, with a plain reference beside each
//     attention.cpp              banded attention (row_kernels.h: the loops, for several machines)
//     residual_stream.h          what flows between the layers, for every residual kind
//     hyper_connection.h         hyper-connections, reference and fused (hyper_*.h: the loops)
//     engram_layer.h             n-gram tables (engram_gather.h: their rows, and gradients of rows)
//   optimizer.h                  Muon for matrices, AdamW for the rest, clipping, averaged weights
//     lazy_adam.h                Adam of the rows of a table that a step touched
//   workers.h                    several processes that train as one (c10d)
//   checkpoint.h, csv.h, run_plot.h  what a run leaves on disk
//   run.h                        a run: train, validate, log, save; killed and gone on with
//   export.h                     a network as a model file
//
// One step, in run.cpp's train_step: RowMaker::make -> Network::loss_sum -> backward -> Workers::sum ->
// Optimizer::step.
//
// Includes: corpus, tasks, model (GGUF writer, tokenizer), engram (hashing), tensor, core; libtorch, which no
// other room names.
#pragma once

#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/export.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/run.h"
