# The commands of mneme. `make help` lists them. Everything else is a CMake preset (CMakePresets.json) or a verb of the program.
JOBS ?= $(shell nproc)

# make run: what is asked of what. They reach tools/run.sh as environment, so that no shell reads the prompt.
MODEL  ?= models/mneme-default.gguf
FILES  ?= src/engram/hash.h
PROMPT ?= Which line defines `HashOptions`? Quote it exactly.
N      ?= 128
# 1: as a question in the model's chat format, its likeliest answer; 0: the model goes on from the text
ASK    ?= 1

# make train: where it works, threads, and the model file it writes
TRAIN_DIR ?= build/train
THREADS   ?= $(JOBS)
OUT       ?= build/train/mneme-default.gguf

# make fuzz: seconds for each fuzzer
FUZZ_SECONDS ?= 30

BINARY = build/release/mneme

.PHONY: help build run test train bench fuzz check clean
.DEFAULT_GOAL := help

help:
	@echo "make build    the program, optimised: $(BINARY)"
	@echo "make run      build it, and ask MODEL about FILES, at most N tokens (ASK=0: let it go on from them):"
	@echo "              make run MODEL=model.gguf FILES=\"a.txt b.txt\" PROMPT=\"What is this?\" N=64"
	@echo "make test     build and run every test; what .ci/run does"
	@echo "make check    the tests again under AddressSanitizer and UBSan, the threaded ones under ThreadSanitizer, the guards"
	@echo "make train    a model like the default one from nothing, some hours; goes on where it was left"
	@echo "make bench    build and run the kernel benchmarks"
	@echo "make fuzz     build every fuzzer and run each for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make clean    remove build/"
	@echo "Each installs the packages it lacks (Debian, apt-get; tools/bootstrap.sh says which)."

build:
	@tools/bootstrap.sh build
	@cmake --preset release
	@cmake --build build/release -j $(JOBS) --target mneme

run: export MODEL := $(MODEL)
run: export FILES := $(FILES)
run: export PROMPT := $(PROMPT)
run: export N := $(N)
run: export ASK := $(ASK)
run: build
	@tools/run.sh

test:
	@tools/bootstrap.sh build test
	@cmake --preset release
	@cmake --build build/release -j $(JOBS)
	@tools/ctest.sh release

train: export TRAIN_DIR := $(TRAIN_DIR)
train: export THREADS := $(THREADS)
train: export OUT := $(OUT)
train:
	@tools/bootstrap.sh build train corpus
	@cmake --preset release
	@cmake --build build/release -j $(JOBS) --target mneme mneme-train mneme-corpus
	@tools/train.sh

check:
	@tools/bootstrap.sh build test
	@cmake --preset dev
	@cmake --build build/dev -j $(JOBS)
	@tools/ctest.sh dev
	@cmake --preset tsan
	@cmake --build build/tsan -j $(JOBS) --target core_test kv_test attention_test engram_test model_test engine_test serve_test
	@tools/ctest.sh tsan -R '^(core|kv|attention|engram|model|engine|serve)_test$$'

bench:
	@tools/bootstrap.sh build bench
	@cmake --preset bench
	@cmake --build build/bench -j $(JOBS)
	@tools/bench.sh

fuzz:
	@tools/bootstrap.sh build fuzz
	@cmake --preset fuzz
	@cmake --build build/fuzz -j $(JOBS)
	@tools/fuzz.sh $(FUZZ_SECONDS)

clean:
	rm -rf build
