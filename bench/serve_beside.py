#!/usr/bin/env python3
"""Two servers of the same model beside each other, in turn: tokens a second of one stream and of 16 at once, or
the time to the first token of a long prompt. Both have to be running, and speak /v1/completions.

Usage: bench/serve_beside.py speed PORT PORT [ROUNDS]      medians of 5 rounds, and the ratio of the first
       bench/serve_beside.py first PORT [TOKENS [SEED]]    seconds to the first token of so many tokens (16384)
"""

import asyncio
import random
import statistics
import sys
import time

from serve_client import ask

TOKENS = 64


def body(prompt, tokens):
    return {"model": "m", "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 0,
            "stream": True}


async def tokens_per_second(port, streams, salt):
    prompts = [f"Stream {i} of {salt}. A stone fell into the river, and" for i in range(streams)]
    answers = await asyncio.gather(*(ask(port, "/v1/completions", body(one, TOKENS)) for one in prompts))
    for answer in answers:
        if answer.status != 200 or answer.events[-1][1] < TOKENS:
            raise RuntimeError(f"port {port}: {answer.status} {bytes(answer.raw[:200])}")
    # From the first token of any to the last of all: prompts are not counted.
    begin = min(answer.first_token for answer in answers)
    end = max(answer.events[-1][0] for answer in answers)
    return (streams * TOKENS - 1) / (end - begin)


async def speed(ports, rounds):
    print(f"| streams of {TOKENS} tokens | first, tok/s | second, tok/s | first / second |\n|---|---|---|---|")
    for streams in (1, 16):
        seen = [[], []]
        for turn in range(rounds + 1):  # one to warm up
            for side, port in enumerate(ports):
                rate = await tokens_per_second(port, streams, f"{turn}.{time.time_ns()}")
                if turn > 0:
                    seen[side].append(rate)
        medians = [statistics.median(rates) for rates in seen]
        ratios = [a / b for a, b in zip(*seen)]
        print(f"| {streams} | {medians[0]:.1f} ({min(seen[0]):.1f} to {max(seen[0]):.1f}) | {medians[1]:.1f} "
              f"({min(seen[1]):.1f} to {max(seen[1]):.1f}) | {statistics.median(ratios):.2f} |", flush=True)


async def first(port, tokens, seed):
    rng = random.Random(seed)
    words = " ".join(str(rng.randrange(10)) for _ in range(tokens // 2))  # a digit and a blank: two tokens or one
    begin = time.monotonic()
    answer = await ask(port, "/v1/completions", body(words, 4))
    usage = [one["usage"] for one in answer.objects() if one.get("usage")]
    print(f"status {answer.status}, first token {answer.first_token:.3f} s, {time.monotonic() - begin:.3f} s in all "
          f"{usage}")


def main():
    if len(sys.argv) >= 4 and sys.argv[1] == "speed":
        rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
        asyncio.run(speed([int(port) for port in sys.argv[2:4]], rounds))
    elif len(sys.argv) >= 3 and sys.argv[1] == "first":
        rest = [int(word) for word in sys.argv[3:]]
        asyncio.run(first(int(sys.argv[2]), rest[0] if rest else 16384, rest[1] if len(rest) > 1 else 1))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
