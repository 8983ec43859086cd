"""What the server's load and abuse scripts share: a server of their own, and requests over plain sockets.

Only Python's standard library. A Server is the process that the scripts start on a free port of loopback;
Stream is one answer with the times of its bytes.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import time


class Server:
    """`mneme serve` on a free port. stop() ends it as an operator does, kill() as a power cut does."""

    def __init__(self, binary, model, log, *flags):
        self.command = [binary, "serve", "-m", model, "--port", "0", *flags]
        self.log, self.process, self.port = log, None, 0
        self.tls = None  # an ssl.SSLContext for ask(), where it speaks TLS

    def start(self):
        with open(self.log, "ab") as out:
            begin = out.tell()
            self.process = subprocess.Popen(self.command, stdout=out, stderr=out)
        for _ in range(1200):
            with open(self.log, "rb") as text:
                text.seek(begin)
                found = re.search(rb"at https?://[^ ]+:(\d+)\n", text.read())
            if found:
                self.port = int(found.group(1))
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start; see {self.log}")

    def stop(self, patience_s=60):
        """The exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience_s)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def status(self, field):
        """VmRSS or VmHWM, in MB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            for line in lines:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def cpu(self):
        """Seconds of CPU that its threads have had; others disturb them less than wall time."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat", encoding="ascii") as text:
                total += int(text.read().split()[0])
        return total / 1e9

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def request_bytes(path, body=None, method=None, headers=()):
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += ["Connection: close", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class Stream:
    """One answer: the times at which bytes of it came, since the request was sent."""

    def __init__(self):
        self.status, self.first_byte, self.first_token, self.end = 0, None, None, None
        self.raw = bytearray()
        self.events = []  # (time, events so far)

    def take(self, data, now):
        if self.first_byte is None:
            self.first_byte = now
        before = len(self.raw)
        self.raw += data
        if not self.status and b" " in self.raw[:12]:
            self.status = int(bytes(self.raw[9:12]) or b"0")
        events = self.raw.count(b"data: {", max(0, before - 6))
        if events:
            self.first_token = self.first_token or now
            self.events.append((now, events + (self.events[-1][1] if self.events else 0)))

    def whole(self):
        return self.status == 200 and b"data: [DONE]" in self.raw

    def body(self):
        """Chunks put together."""
        head, _, rest = bytes(self.raw).partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" not in head.lower():
            return rest
        parts, at = [], 0
        while (line := rest.find(b"\r\n", at)) > at:
            length = int(rest[at:line], 16)
            parts.append(rest[line + 2 : line + 2 + length])
            at = line + length + 4
        return b"".join(parts)

    def objects(self):
        return [json.loads(line[6:]) for line in self.body().split(b"\n") if line.startswith(b"data: {")]

    def text(self):
        choices = [one["choices"][0] for one in self.objects() if one.get("choices")]
        return "".join(one.get("text") or one.get("delta", {}).get("content") or "" for one in choices)


async def ask(port, path, body=None, method=None, headers=(), tls=None):
    """A Stream whose first events are times since the connection was asked for. Raises OSError."""
    begin = time.monotonic()
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    stream = Stream()
    try:
        writer.write(request_bytes(path, body, method, headers))
        while data := await reader.read(1 << 16):
            stream.take(data, time.monotonic() - begin)
    finally:
        writer.close()
    stream.end = time.monotonic() - begin
    return stream


async def metrics(port, headers=()):
    """{name: value} of /metrics; names with labels keep them."""
    text = (await ask(port, "/metrics", headers=headers)).body().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name.split("{model")[0]: float(value) for name, value in lines}


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

