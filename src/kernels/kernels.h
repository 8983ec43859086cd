// kernels: the arithmetic, and nothing that knows what a model is.
//
//   ops.h           the table of operations that every back-end fills (scalar/ avx2/ avx512/ amx/; shared/
//                   holds what they share)
//   packed.h        weights in 16-row tiles, the form that all back-ends multiply
//   sealed.h        what is made of a KV block when it is sealed: layouts and formulas
//   sealed_tasks.h  what is computed with sealed blocks: estimates, attention over 8-bit copies, bounds
//   select.h        which table this machine gets
//   matmul.h        matrix products over the thread pool: activation forms, tasks, scratch
//   rope.h          rotary positions
#pragma once

#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "kernels/packed.h"
#include "kernels/rope.h"
#include "kernels/sealed.h"
#include "kernels/sealed_tasks.h"
#include "kernels/select.h"
