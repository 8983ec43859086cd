#!/usr/bin/env python3
"""Abuse of the server at random from a seed: clients that leave at any byte, that lie about lengths, that
send nonsense, ask for too much, read or write slowly, at the limits of their keys; SIGKILL and a new start in
between. Meanwhile answers at temperature 0 have to be those of a quiet server, and /health has to answer.
From the middle on nothing is killed: memory and descriptors have to stay.

Usage: bench/serve_abuse.py BINARY MODEL [SECONDS [SEED]]     480 s, seed 1. Status 1 if something was found.

From the environment: COLD, a folder for the cold tier (say of a small tmpfs, so that the disk is full; a new
one each time); CLIENTS (24); CALM, the share of the time after which nothing is killed (0.5); FLAGS of the
server.
"""

import asyncio
import collections
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

from serve_client import Server, Stream, ask, metrics, quantile, request_bytes

FLAGS = os.environ.get("FLAGS", "--kv 256MiB --parallel 16 --queue 64 --drain 5").split()
CLIENTS = int(os.environ.get("CLIENTS", "24"))
CALM = float(os.environ.get("CALM", "0.5"))
HOME = tempfile.mkdtemp(prefix="serve-abuse-")
COLD = os.environ.get("COLD", f"{HOME}/cold")
KEYS = {"root": ["--admin"], "few": ["--requests", "60"], "poor": ["--tokens", "3000"],
        "one": ["--generations", "1"], "short": ["--tokens-max", "100"], "low": ["--priority", "low"],
        "named": ["--sessions", "3"]}
WORDS = "the of a fn int return struct { } ( ) = river stone if while light over 0 1 7 \n é 漢 🜚".split(" ")


def chat(text, tokens, **more):
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": text}], "max_tokens": tokens,
                                    "temperature": 0, **more}


def completion(text, tokens, **more):
    return "/v1/completions", {"prompt": text, "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
                               **more}


def messages(text, tokens, **more):
    return "/v1/messages", {"model": "m", "messages": [{"role": "user", "content": text}],
                            "max_tokens": tokens, "temperature": 0, **more}


FIXED = [completion("The sea is", 40), completion("int main(", 40, stream=True), chat("Say hi.", 30),
         chat("What is a tree?", 30, stream=True), messages("Tell me of stones.", 30),
         completion("once upon a time " * 60, 20), chat("A number?", 60, response_format={
             "type": "json_schema", "json_schema": {"name": "n", "schema": {
                 "type": "object", "properties": {"n": {"type": "integer", "maximum": 99}, "why": {
                     "type": "string", "maxLength": 12}}, "required": ["n", "why"]}}})]


def answer_text(stream):
    """What was said, without names and times."""
    body = stream.body()
    if body.startswith(b"data: "):
        return stream.text()
    answer = json.loads(body)
    return json.dumps(answer["choices"][0].get("message", answer["choices"][0].get("text"))
                      if "choices" in answer else answer["content"])


class Abuse:
    """One run: its server, what clients saw, and what was found wrong."""

    def __init__(self, server, keys, seconds, seed):
        self.server, self.keys, self.seed = server, keys, seed
        self.begin, self.end = time.monotonic(), time.monotonic() + seconds
        self.quiet_from = self.begin + seconds * CALM  # no kills from here on
        self.down = True  # the server is being killed or started
        self.deaths = 0
        self.statuses = collections.Counter()
        self.found, self.right, self.busy, self.kills = [], 0, 0, 0
        self.health, self.samples = [], []

    def running(self):
        return time.monotonic() < self.end

    def wrong(self, what):
        self.found.append(f"{time.monotonic() - self.begin:.1f} s: {what}")
        if len(self.found) <= 20:
            print("found:", self.found[-1], file=sys.stderr, flush=True)

    def saw(self, kind, stream):
        self.statuses[(kind, stream.status)] += 1
        broken = stream.status >= 500 and stream.status not in (503, 505, 529)
        if broken and self.statuses[(kind, stream.status)] <= 3:
            self.wrong(f"{kind}: status {stream.status}: {stream.body()[:300]!r}")

    def key(self, name):
        return (f"Authorization: Bearer {self.keys[name]}",)


# ---- clients that mean well ----

async def check(run, rng, reference):
    index = rng.randrange(len(FIXED))
    path, body = FIXED[index]
    deaths, down = run.deaths, run.down
    try:
        stream = await ask(run.server.port, path, body, headers=run.key("root"))
        if deaths != run.deaths or (down and stream.status == 0):
            return  # what was cut off by a kill says nothing
        if stream.status in (429, 503, 529):
            run.busy += 1
        elif stream.status != 200:
            run.wrong(f"prompt {index}: status {stream.status}: {stream.body()[:200]!r}")
        elif answer_text(stream) != reference[index]:
            run.wrong(f"prompt {index}: {answer_text(stream)!r}, quiet: {reference[index]!r}")
        else:
            run.right += 1
    except (OSError, ValueError, KeyError) as error:
        if not down and deaths == run.deaths:
            run.wrong(f"prompt {index}: {error!r}")


async def watch_health(run):
    while run.running():
        deaths, down = run.deaths, run.down
        try:
            stream = await asyncio.wait_for(ask(run.server.port, "/health"), 10)
            if deaths != run.deaths or (down and stream.status == 0):
                continue
            if stream.status == 200:
                run.health.append(stream.end)
            else:
                run.wrong(f"health: status {stream.status}")
        except (OSError, asyncio.TimeoutError) as error:
            if not down and deaths == run.deaths:
                run.wrong(f"health: {error!r}")
        await asyncio.sleep(0.25)


async def watch_process(run):
    while run.running():
        if not run.down:
            if run.server.process.poll() is not None:
                run.wrong(f"the server died: {run.server.process.returncode}; see {run.server.log}")
                run.end = 0
                return
            run.samples.append((time.monotonic(), run.server.status("VmRSS"), run.server.descriptors()))
        await asyncio.sleep(1)


async def kill_now_and_then(run, rng):
    while True:
        await asyncio.sleep(rng.uniform(15, 35))
        if time.monotonic() > run.quiet_from or not run.running():
            return
        run.down, run.deaths = True, run.deaths + 1
        await asyncio.to_thread(run.server.kill)
        await asyncio.to_thread(run.server.start)
        run.down, run.kills = False, run.kills + 1


# ---- clients that do not ----

def some_request(run, rng):
    """(path, body) that could be answered."""
    text = " ".join(rng.choice(WORDS) for _ in range(rng.choice([1, 5, 30, 200, 1500])))
    make = rng.choice([chat, completion, messages])
    more = {"stream": rng.random() < 0.6, "temperature": rng.choice([0, 1])}
    if rng.random() < 0.3:
        more["stop"] = rng.choice(WORDS[:8])
    if rng.random() < 0.2 and make is not messages:
        more["session"] = rng.choice(["a", "b", "c", "d/../e", "\u0000", "x" * 300])
    return make(text, rng.choice([1, 10, 50, 300]), **more)


async def connect(run):
    return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", run.server.port), 10)


def leave(writer, rng):
    if rng.random() < 0.5:  # with a reset
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()


async def talk(run, rng, kind, data, patience=20):
    """Sends raw bytes, reads whatever comes until the end of it or of patience."""
    reader, writer = await connect(run)
    stream = Stream()
    try:
        writer.write(data)
        limit = time.monotonic() + patience
        while (left := limit - time.monotonic()) > 0:
            got = await asyncio.wait_for(reader.read(1 << 16), left)
            if not got:
                break
            stream.take(got, 0)
    except asyncio.TimeoutError:
        pass
    finally:
        leave(writer, rng)
    run.saw(kind, stream)


def keyed(run, rng):
    return run.key(rng.choice(["low", "root"]))


async def leave_while_asking(run, rng):
    data = request_bytes(*some_request(run, rng), headers=keyed(run, rng))
    _, writer = await connect(run)
    writer.write(data[:rng.randrange(len(data) + 1)])
    await asyncio.sleep(rng.choice([0, 0, 0.05, 1]))
    leave(writer, rng)


async def leave_while_answered(run, rng):
    path, body = some_request(run, rng)
    body.update(stream=True, max_tokens=2000)
    reader, writer = await connect(run)
    writer.write(request_bytes(path, body, headers=keyed(run, rng)))
    for _ in range(rng.randrange(30)):
        if not await asyncio.wait_for(reader.read(rng.choice([1, 100, 5000])), 20):
            break
    leave(writer, rng)


async def damaged_body(run, rng):
    path, body = some_request(run, rng)
    data = bytearray(json.dumps(body, ensure_ascii=rng.random() < 0.5).encode())
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(data))
        other = rng.choice([[rng.randrange(256)], b'"', b"{", b"\\u", b"\xff", b"e9"])
        data[at:at + rng.randrange(2)] = bytes(other)
    await talk(run, rng, "damaged body", request_bytes(path, bytes(data), headers=keyed(run, rng)))


async def wrong_length(run, rng):
    path, body = some_request(run, rng)
    data = json.dumps(body).encode()
    length = rng.choice([0, 1, len(data) - 1, len(data) + 1, -1, 10**12, 2**64, "x", "5, 6", "+3", "0x10"])
    extra = rng.choice(["", "Content-Length: 3", "Transfer-Encoding: chunked", "Transfer-Encoding: x"])
    extra += "\r\n" if extra else ""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{extra}"
    head += f"{keyed(run, rng)[0]}\r\n\r\n"
    await talk(run, rng, "wrong length", head.encode() + data, 3)


async def noise(run, rng):
    parts = [b"GET", b"POST", b" ", b"/", b"/v1/models", b"/health", b" HTTP/1.1", b"\r\n", b"\n",
             b"\r\n\r\n", b"Host: a", b"%2e%2e", b"\x00", b"Expect: 100-continue", b"Connection: upgrade",
             rng.randbytes(50)]
    await talk(run, rng, "noise", b"".join(rng.choices(parts, k=rng.randrange(1, 40))), 2)


async def too_long(run, rng):
    if rng.random() < 0.5:
        request = completion([rng.randrange(300) for _ in range(rng.choice([10**5, 4 * 10**5]))], 1)
    else:
        request = rng.choice([chat, completion, messages])("a stone " * 200000, 5)
    key = run.key(rng.choice(["short", "low"]))
    await talk(run, rng, "too long", request_bytes(*request, headers=key), 8)


async def too_much(run, rng):
    path, body = some_request(run, rng)
    values = [0, -1, 1, 17, 10**6, 2**31, 2**63, 2**64, -2**63, 1e308, -0.0, 1e-320, True, None, "7", [], {},
              [1]]
    names = ["n", "max_tokens", "best_of", "temperature", "top_p", "top_k", "min_p", "seed", "logprobs",
             "stop", "top_logprobs", "frequency_penalty", "logit_bias", "stream_options", "messages", "prompt",
             "tools"]
    for _ in range(rng.randrange(1, 4)):
        body[rng.choice(names)] = rng.choice(values)
    await talk(run, rng, "too much", request_bytes(path, body, headers=keyed(run, rng)), 5)


async def deep(run, rng):
    depth = rng.choice([150, 199, 201, 5000, 200000])
    left, right = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'{"properties":{"a":', b"}}")])
    nest = left * depth + b"1" + right * (depth if rng.random() < 0.7 else 0)
    bodies = [nest, b'{"messages":' + nest + b"}", b'{"prompt":"x","max_tokens":9,"response_format":{"type":'
              b'"json_schema","json_schema":{"name":"a","schema":' + nest + b"}}}"]
    path = rng.choice(["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses", "/infill"])
    await talk(run, rng, "deep", request_bytes(path, rng.choice(bodies), headers=keyed(run, rng)), 10)


async def hard_grammar(run, rng):
    path, body = some_request(run, rng)
    schema = rng.choice([
        {"type": "string", "pattern": "^(a+)+$" * rng.choice([1, 50])},
        {"type": "string", "minLength": 10**9},
        {"$ref": "#"}, {"anyOf": [{"$ref": "#"}] * 30}, {"enum": ["x" * 5000] * 50}, {"type": "array",
         "minItems": 10**6, "items": {"type": "array", "minItems": 10**6}}, {"const": {"a": [None, 1e400]}},
        {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(3000)}},
        {"pattern": "("}])
    body.update(rng.choice([
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}},
        {"regex": "(((a?){50}){50}){50}"}, {"grammar": "root ::= root root | \"\""},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
         "tool_choice": "required"}]), max_tokens=40)
    await talk(run, rng, "hard grammar", request_bytes(path, body, headers=keyed(run, rng)), 15)


async def slow_reader(run, rng):
    path, body = some_request(run, rng)
    body.update(stream=True, max_tokens=4000)
    reader, writer = await connect(run)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    writer.write(request_bytes(path, body, headers=keyed(run, rng)))
    for _ in range(20):
        await asyncio.sleep(0.3)
        if not await asyncio.wait_for(reader.read(60), 20):
            break
    leave(writer, rng)


async def slow_sender(run, rng):
    data = request_bytes(*some_request(run, rng), headers=keyed(run, rng))
    reader, writer = await connect(run)
    step = max(1, len(data) // 60)
    for at in range(0, len(data), step):
        writer.write(data[at:at + step])
        await asyncio.sleep(rng.choice([0.01, 0.1]))
        if writer.is_closing():
            raise ConnectionError("answered before the end, or killed")
    run.statuses[("slow sender", int((await asyncio.wait_for(reader.read(12), 20))[9:12] or b"0"))] += 1
    leave(writer, rng)


async def at_limits(run, rng):
    name = rng.choice(["few", "poor", "one", "short", "named", "wrong"])
    header = run.key(name) if name != "wrong" else (f"x-api-key: sk-mneme-{rng.randrange(10**9)}",)
    path, body = some_request(run, rng)
    if name == "named" and path != "/v1/messages":
        body["session"] = f"s{rng.randrange(9)}"
    await talk(run, rng, f"key {name}", request_bytes(path, body, headers=header))


async def sessions(run, rng):
    name = rng.choice(["a", "b", "s1", "%00", "..", "x" * 5000, "a%2fb", "é"])
    method, path, body = rng.choice([
        ("GET", "/v1/sessions", None), ("GET", f"/v1/sessions/{name}", None),
        ("GET", f"/v1/sessions/{name}/export", None), ("DELETE", f"/v1/sessions/{name}", None),
        ("POST", f"/v1/sessions/{name}/fork", {"name": rng.choice(["b", "c", ""])}),
        ("POST", f"/v1/sessions/{name}/pin", {"pinned": rng.random() < 0.3}), ("GET", "/metrics", None)])
    data = request_bytes(path, body, method, run.key(rng.choice(["root", "low", "named"])))
    await talk(run, rng, "sessions", data)


ABUSES = [leave_while_asking, leave_while_answered, damaged_body, wrong_length, noise, too_long, too_much,
          deep, hard_grammar, slow_reader, slow_sender, at_limits, sessions]


async def client(run, number, reference):
    rng = random.Random(run.seed * 1000 + number)
    while run.running():
        if number < 3:
            await check(run, rng, reference)
            await asyncio.sleep(0.1)
            continue
        try:
            abuse = rng.choice(ABUSES)
            await abuse(run, rng)
            run.statuses[(abuse.__name__.replace("_", " "), "done")] += 1
        except (OSError, asyncio.TimeoutError):
            await asyncio.sleep(0.1)  # killed meanwhile, or it had enough of us


# ---- the run ----

def make_keys(binary):
    keys = {}
    for name, flags in KEYS.items():
        command = [binary, "serve", "key", "add", name, "--keys", f"{HOME}/keys.json", *flags]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        keys[name] = next(word for word in words if word.startswith("sk-mneme-"))
    return keys


async def run_all(run, reference):
    run.server.start()
    run.down = False
    tasks = [client(run, number, reference) for number in range(CLIENTS)]
    tasks += [watch_health(run), watch_process(run), kill_now_and_then(run, random.Random(run.seed))]
    tasks = [asyncio.create_task(task) for task in tasks]
    done, late = await asyncio.wait(tasks, timeout=run.end - time.monotonic() + 90)
    for task in done:
        task.result()
    for task in late:
        run.wrong("a client did not come to its end")
        task.cancel()
    await asyncio.sleep(3)
    if run.server.process.poll() is None:
        left = await metrics(run.server.port, run.key("root"))
        mosts = {"generations_running": 0, "generations_waiting": 0, "http_requests_running": 1}
        for name, most in mosts.items():
            if left[f"mneme_{name}"] > most:
                run.wrong(f"{left[f'mneme_{name}']:.0f} {name} although nobody asks any more")
        run.samples.append((time.monotonic(), run.server.status("VmRSS"), run.server.descriptors()))
        if (status := await asyncio.to_thread(run.server.stop)) != 0:
            run.wrong(f"the server ended with {status}")


def slope(points):
    """Of a straight line through (time, value), a minute."""
    count = len(points)
    mean_x, mean_y = (sum(point[i] for point in points) / count for i in (0, 1))
    across = sum((x - mean_x) ** 2 for x, _ in points) or 1
    return 60 * sum((x - mean_x) * (y - mean_y) for x, y in points) / across


def report(run):
    late = [sample for sample in run.samples if sample[0] > run.quiet_from] or run.samples
    late = late[len(late) // 4:]  # the last start is behind it
    print(f"\n| | |\n|---|---|\n| kills and starts | {run.kills} |")
    print(f"| answers like the quiet server's | {run.right} (and {run.busy} refused because it was busy) |")
    median, late_ms, longest = (1000 * quantile(run.health, share) for share in (0.5, 0.99, 1))
    print(f"| /health | {len(run.health)} answers, p50 {median:.0f} ms, p99 {late_ms:.0f} ms, "
          f"longest {longest:.0f} ms |")
    print(f"| RSS without kills | {late[0][1]:.0f} to {late[-1][1]:.0f} MB, "
          f"{slope([(at, rss) for at, rss, _ in late]):+.2f} MB a minute |")
    print("| RSS, ten times meanwhile | " + ", ".join(
        f"{one[1]:.0f}" for one in late[::max(1, len(late) // 10)]) + " MB |")
    print(f"| descriptors | {min(one[2] for one in late)} to {max(one[2] for one in late)}, "
          f"at the end {late[-1][2]} |")
    print(f"| found wrong | {len(run.found)} |\n")
    kinds = collections.defaultdict(list)
    for (kind, status), count in sorted(run.statuses.items(), key=str):
        kinds[kind].append(f"{status}: {count}")
    for kind, told in kinds.items():
        print(f"{kind}: {', '.join(told)}")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary, model = sys.argv[1:3]
    seconds, seed = (int(word) for word in (sys.argv[3:] + ["480", "1"][len(sys.argv) - 3:]))
    quiet = Server(binary, model, f"{HOME}/quiet.log", "--memory-only", "--kv", "256MiB").start()
    reference = [answer_text(asyncio.run(ask(quiet.port, path, body))) for path, body in FIXED]
    quiet.stop()
    print(f"Seed {seed}, {seconds} s, {CLIENTS} clients, load before {os.getloadavg()[0]:.2f}; logs: {HOME}.")
    keys = make_keys(binary)
    flags = ["--cold-dir", COLD, "--keys", f"{HOME}/keys.json", *FLAGS]
    server = Server(binary, model, f"{HOME}/server.log", *flags)
    run = Abuse(server, keys, seconds, seed)
    asyncio.run(run_all(run, reference))
    report(run)
    if not run.found:
        shutil.rmtree(HOME)
    sys.exit(1 if run.found else 0)


if __name__ == "__main__":
    main()
