#!/bin/sh
# make train: the default model from nothing. Corpus, vocabulary, training, model file; each step is skipped where its
# result is there, and the training goes on from its last checkpoint. From the environment: TRAIN_DIR, THREADS, OUT, STEPS.
set -eu
cd "$(dirname "$0")/.."
dir=$TRAIN_DIR threads=$THREADS out=$OUT
steps=${STEPS:-8000}
bin=build/release

if [ ! -f "$dir/corpus/train.docs" ]; then
  echo "Corpus: Debian documentation and permissively licensed sources, about 0.8 GB to fetch and 5 GB on disk"
  MNEME_CORPUS=$PWD/$bin/mneme-corpus tools/corpus.sh "$dir/corpus" 150
fi
if [ ! -f "$dir/corpus/vocab-4096.bpe" ]; then
  "$bin/mneme-corpus" vocab --documents "$dir/corpus/train.docs" --out "$dir/corpus/vocab" --sizes 4096
fi

# The recipe (models/README.md says what it gives). OpenBLAS and torch take their own best kernels.
OMP_NUM_THREADS=$threads "$bin/mneme-train" run --out "$dir/default" --corpus "$dir/corpus" \
  --vocabulary "$dir/corpus/vocab-4096.bpe" --threads "$threads" \
  --dim 256 --layers 6 --global-layers 2,4 --look-ahead 24 --heads 4 --kv-heads 2 --head-dim 128 --ffn-dim 768 --window 64 \
  --value-residual 1 --tied 0 --embedding-std 0.5 --spelled 1 --tokens-per-step 4096 --validation-rows 32 --validate-every 250 \
  --context-weight 0.1 --text-weight 0.3 --chinese-share 0.2 --task-share 0.92 --variety 0.6 --backwards 0.3 --bare-share 0.12 \
  --tools-share 0.06 \
  --mixture key_value=5,passkey=3,multi_needle=4,several=2,copy=2.5,quote_line=3,paraphrase=4,extraction=3,symbol_definition=1.5,\
tool_call=3,grounded=2,variable_tracking=0.5,frequent_words=0.2,fill_in_middle=0.5,svg=0.5 \
  --steps "$steps" --stages 0:1024,0.7:2048

"$bin/mneme-train" export --checkpoint "$dir/default/checkpoint.pt" --vocabulary "$dir/corpus/vocab-4096.bpe" \
  --name "mneme default" --licence "Apache-2.0" --out "$out"
echo "Written: $out"
"$bin/mneme" eval recall -m "$out" --lengths 1024,4096 --tasks all --samples 4
