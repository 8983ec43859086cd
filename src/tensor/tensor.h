// tensor: what a number in memory is, and what a matrix in a file is; no arithmetic on matrices (that is
// kernels).
//
//   dtype.h       the element types of GGUF: f32, f16, bf16 and the block-quantised ones
//   convert.h     scalar f16/bf16 <-> f32
//   e4m3.h        the 8-bit float of sealed KV blocks
//   blocks.h      the block formats as structs, and their packed scales
//   quantize.h    f32 to any type, by plain scaling
//   dequantize.h  rows of any type to f32, written to be read: the oracle for every packed kernel
#pragma once

#include "tensor/blocks.h"
#include "tensor/convert.h"
#include "tensor/dequantize.h"
#include "tensor/dtype.h"
#include "tensor/e4m3.h"
#include "tensor/quantize.h"
