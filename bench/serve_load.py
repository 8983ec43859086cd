#!/usr/bin/env python3
"""What the server does under load: many streams, batches beside one, a chat beside a long prompt, a prompt
that comes back after a restart, what a grammar costs, and what TLS. Starts servers of its own; a table in
Markdown.

Usage: bench/serve_load.py BINARY MODEL [MEASURE...]     MEASURE: streams batch beside return grammar tls;
all if not given. tls needs the program openssl, which makes a certificate.

From the environment: STREAMS (256 1000), TOKENS of the long prompt (60000), of the returning one (RETURN,
16384), FLAGS of the server (--kv 2GiB), ROUNDS of tls (5). Its own process needs CPU as well: leave a core to it, or read
ratios.
"""

import asyncio
import glob
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

from serve_client import Server, ask, metrics, quantile

FLAGS = os.environ.get("FLAGS", "--kv 2GiB").split()
FOLDER = tempfile.mkdtemp(prefix="serve-load-")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def row(what, *figures):
    print(f"| {what} | " + " | ".join(str(figure) for figure in figures) + " |", flush=True)


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def completion(prompt, tokens, **more):
    return {"prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 0, "stream": True,
            **more}


async def tokens_of_source(port, count, salt):
    """Tokens of this project's own text; `salt` in front makes the prompt one that nobody has asked."""
    text = f"{salt}\n"
    for path in sorted(glob.glob(f"{ROOT}/src/*/*.cpp") + glob.glob(f"{ROOT}/docs/*.md")):
        if len(text) > count * 5:
            break
        with open(path, encoding="utf-8") as file:
            text += file.read()
    answer = await ask(port, "/tokenize", {"content": text})
    tokens = [int(number) for number in answer.body().partition(b"[")[2].rpartition(b"]")[0].split(b",")]
    if len(tokens) < count:
        raise RuntimeError(f"{len(tokens)} tokens of text where {count} are needed")
    return tokens[:count]


async def burst(server, count, salt):
    """The whole ones of so many streams of 50 tokens, and the time that all took."""
    bodies = [completion(f"Stream {salt}.{i}: a program that", 50) for i in range(count)]
    begin = time.monotonic()
    asked = (ask(server.port, "/v1/completions", body, tls=server.tls) for body in bodies)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    wall = time.monotonic() - begin
    return [one for one in answers if not isinstance(one, BaseException) and one.whole()], wall


async def measure_streams(server, count):
    await ask(server.port, "/v1/completions", completion("warm", 50))
    rss, kv = server.status("VmRSS"), (await metrics(server.port))["mneme_kv_bytes"]
    good, wall = await burst(server, count, count)
    short = sum(one.events[-1][1] != 51 for one in good)  # 50 tokens and the reason of the end
    kv = (await metrics(server.port))["mneme_kv_bytes"] - kv
    first = [one.first_byte for one in good]
    token = [one.first_token for one in good]
    row(f"{count} streams of 50 tokens", f"{len(good)} whole, {count - len(good)} lost, {short} short",
        f"{len(good) * 50 / wall:.0f} tok/s, {wall:.2f} s")
    row("first byte, p50, p99", ms(quantile(first, 0.5)), ms(quantile(first, 0.99)))
    row("first token, p50, p99", ms(quantile(token, 0.5)), ms(quantile(token, 0.99)))
    row("growth of RSS, of it keys and values", f"{server.status('VmHWM') - rss:.1f} MB (peak)",
        f"{kv / 2**20:.1f} MB")


def rate(answers):
    """Tokens a second from the first token of all to the last."""
    begin = min(one.events[0][0] for one in answers)
    end = max(one.events[-1][0] for one in answers)
    return sum(one.events[-1][1] for one in answers) / (end - begin)


async def measure_batch(server):
    speeds = {1: [], 16: []}
    for turn in range(5):
        for count, found in speeds.items():
            bodies = [completion(f"Session {turn}.{count}.{i}: the", 300) for i in range(count)]
            found.append(rate(await asyncio.gather(
                *(ask(server.port, "/v1/completions", body) for body in bodies))))
    one, many = (statistics.median(speeds[count]) for count in (1, 16))
    row("tok/s of 1 session, of 16 together (medians of 5)", f"{one:.0f}", f"{many:.0f} ({many / one:.2f}x)")


def gaps(stream, begin, end):
    times = [moment for moment, _ in stream.events if begin <= moment <= end]
    return [after - before for before, after in zip(times, times[1:])]


async def measure_beside(server):
    count = int(os.environ.get("TOKENS", "60000"))
    port = server.port
    prompts = [await tokens_of_source(port, count, f"prompt {i}") for i in range(2)]
    alone = await ask(port, "/v1/completions", completion(prompts[0], 1))
    begin = time.monotonic()
    chat = asyncio.ensure_future(ask(port, "/v1/chat/completions", {
        "messages": [{"role": "user", "content": "Tell of the sea."}], "stream": True, "temperature": 0,
        "ignore_eos": True, "max_tokens": 4000}))
    await asyncio.sleep(2)
    asked = time.monotonic() - begin
    beside = await ask(port, "/v1/completions", completion(prompts[1], 1))
    answered = time.monotonic() - begin
    stream = await chat
    before, during = gaps(stream, 0, asked), gaps(stream, asked, answered)
    for name, values in (("alone", before), (f"while {count} tokens are read", during)):
        row(f"times between a chat's tokens, {name}",
            f"p50 {ms(quantile(values, 0.5))}, p99 {ms(quantile(values, 0.99))}",
            f"max {ms(max(values, default=0))}, {len(values)} tokens")
    row(f"first token of {count} tokens: alone, beside the chat", f"{alone.first_token:.2f} s",
        f"{beside.first_token:.2f} s")


async def first_token_of(port, tokens):
    answer = await ask(port, "/v1/completions", completion(tokens, 8))
    return answer.first_token, answer.text()


def measure_return(binary, model):
    count = int(os.environ.get("RETURN", "16384"))
    server = Server(binary, model, f"{FOLDER}/return.log", "--cold-dir", f"{FOLDER}/cold", *FLAGS).start()
    tokens = asyncio.run(tokens_of_source(server.port, count, "a prompt that comes back"))
    asyncio.run(ask(server.port, "/v1/completions", completion("warm", 8)))
    first, text = asyncio.run(first_token_of(server.port, tokens))
    times = []
    for end in (server.stop, server.kill):
        begin = time.monotonic()
        end()
        ended = time.monotonic() - begin
        server.start()
        asyncio.run(ask(server.port, "/v1/completions", completion("warm", 8)))
        again, same = asyncio.run(first_token_of(server.port, tokens))
        times.append((end.__name__, ended, again, same == text))
    server.stop()
    for name, ended, again, same in times:
        row(f"first token of {count} tokens: at first, after {name} and start",
            f"{first:.3f} s", f"{again:.3f} s ({first / again:.1f}x sooner; ended in {ended:.2f} s; "
            f"{'same answer' if same else 'ANOTHER ANSWER'})")


FIELDS = [f"field_{i}" for i in range(60)]
SCHEMA = {"type": "object", "additionalProperties": False,
          "properties": {name: {"type": "string", "minLength": 12, "maxLength": 40} for name in FIELDS},
          "required": FIELDS}


async def measure_grammar(server):
    formats = {"free": {}, "schema": {"response_format": {
        "type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": SCHEMA}}}}
    walls, cpus = ({name: [] for name in formats} for _ in range(2))
    first, told = {}, {}
    for turn in range(20):
        for name, more in formats.items():
            cpu = server.cpu()
            answer = await ask(server.port, "/v1/chat/completions", {
                "messages": [{"role": "user", "content": f"Fill in form {turn}."}], "stream": True,
                "temperature": 0, "ignore_eos": True, "max_tokens": 400, **more})
            last = answer.objects()[-1]["timings"]
            told[name] = last["predicted_n"]
            first.setdefault(name, answer.first_token)
            walls[name].append(1000 * last["predicted_ms"] / last["predicted_n"])
            cpus[name].append(1e6 * (server.cpu() - cpu) / last["predicted_n"])
    for what, found in (("wall", walls), ("CPU of the server", cpus)):
        free, schema = (statistics.median(found[name][1:]) for name in formats)
        row(f"{what} a token of one stream: free, with a JSON schema (medians of 19)",
            f"{free:.0f} us ({told['free']} tokens)",
            f"{schema:.0f} us ({told['schema']} tokens), {100 * (schema / free - 1):+.1f} %")
    row("first token, first time: free, with a JSON schema", ms(first["free"]), ms(first["schema"]))


def certified(server):
    """The server, with a certificate of its own for localhost."""
    certificate, key = f"{FOLDER}/cert.pem", f"{FOLDER}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    server.command += ["--tls-cert", certificate, "--tls-key", key]
    server.tls = ssl.create_default_context(cafile=certificate)
    return server


def measure_tls(binary, model):
    """Two servers, one with TLS, asked in turn: the load of the machine is that of both."""
    count, rounds = int(os.environ.get("STREAMS", "256").split()[0]), int(os.environ.get("ROUNDS", "5"))
    servers = {name: Server(binary, model, f"{FOLDER}/{name}.log", "--memory-only", *FLAGS)
               for name in ("plain", "TLS")}
    certified(servers["TLS"])
    rates, cpus, firsts = ({name: [] for name in servers} for _ in range(3))
    lost = 0
    for server in servers.values():
        server.start()
        asyncio.run(burst(server, 8, "warm"))
    for turn in range(rounds):
        for name in list(servers)[:: 1 if turn % 2 == 0 else -1]:
            cpu = servers[name].cpu()
            good, wall = asyncio.run(burst(servers[name], count, turn))
            cpus[name].append(servers[name].cpu() - cpu)
            rates[name].append(len(good) * 50 / wall)
            firsts[name].append(quantile([one.first_byte for one in good], 0.99))
            lost += count - len(good)
    for server in servers.values():
        server.stop()
    plain, tls = (statistics.median(rates[name]) for name in servers)
    row(f"{count} streams of 50 tokens, without TLS and with it, medians of {rounds} in turn; {lost} lost",
        f"{plain:.0f} tok/s", f"{tls:.0f} tok/s ({tls / plain:.2f}x)")
    plain, tls = (statistics.median(cpus[name]) for name in servers)
    row("CPU of the server a burst", f"{plain:.2f} s", f"{tls:.2f} s ({1e3 * (tls - plain) / count:+.2f} ms a stream)")
    row("first byte, p99, medians", *(ms(statistics.median(firsts[name])) for name in servers))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary, model = sys.argv[1:3]
    measures = sys.argv[3:] or ["streams", "batch", "beside", "return", "grammar", "tls"]
    print(f"Load of the machine before: {os.getloadavg()[0]:.2f}, {os.cpu_count()} CPUs.\n")
    print("| | | |\n|---|---|---|", flush=True)
    try:
        for measure in measures:
            if measure in ("return", "tls"):  # servers of their own
                globals()[f"measure_{measure}"](binary, model)
                continue
            server = Server(binary, model, f"{FOLDER}/{measure}.log", "--memory-only", *FLAGS).start()
            if measure == "streams":
                for count in os.environ.get("STREAMS", "256 1000").split():
                    asyncio.run(measure_streams(server, int(count)))
            else:
                asyncio.run(globals()[f"measure_{measure}"](server))
            if server.stop() != 0:
                print(f"the server ended with {server.process.returncode}", file=sys.stderr)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main()
