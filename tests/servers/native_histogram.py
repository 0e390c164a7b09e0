"""A target that exposes one native histogram in protobuf, as a Prometheus with `native-histograms` asks for it.

The messages are those of io.prometheus.client in github.com/prometheus/client_model (MetricFamily, Histogram).
"""

from __future__ import annotations

import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil, log2

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_HISTOGRAM = 4


class NativeTarget:
    """Observes seconds by status, in buckets of a schema."""

    def __init__(self, name: str, version: str, schema: int = 3) -> None:
        self.name, self.version, self.schema = name, version, schema
        self.seen: dict[str, list[float]] = {}
        self.lock = threading.Lock()
        self.port = 0

    def observe(self, seconds: float, status: str = "200", times: int = 1) -> None:
        with self.lock:
            self.seen.setdefault(status, []).extend([seconds] * times)

    def page(self) -> bytes:
        with self.lock:
            metrics = [
                _field(4, _metric({"status": status, "version": self.version}, seen, self.schema))
                for status, seen in self.seen.items()
            ]
        family = _field(1, self.name.encode()) + _number(3, _HISTOGRAM) + b"".join(metrics)
        return _varint(len(family)) + family


@contextmanager
def exposing(target: NativeTarget) -> Iterator[str]:
    """The address at which it is scraped."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = target.page()
            self.send_response(200)
            self.send_header("Content-Type", PROTOBUF)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", target.port), Handler)
    target.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{target.port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _metric(labels: Mapping[str, str], seen: list[float], schema: int) -> bytes:
    pairs = [_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels.items())]
    return b"".join(pairs) + _field(7, _histogram(seen, schema))


def _histogram(seen: list[float], schema: int) -> bytes:
    places = Counter(ceil(log2(seconds) * 2**schema - 1e-9) for seconds in seen)
    spans, deltas, last_place, last_count = b"", b"", None, 0
    for place, count in sorted(places.items()):
        offset = place if last_place is None else place - last_place - 1
        spans += _field(12, _number(1, _zigzag(offset)) + _number(2, 1))
        deltas += _number(13, _zigzag(count - last_count))
        last_place, last_count = place, count
    return (
        _number(1, len(seen))
        + _double(2, sum(seen))
        + _number(5, _zigzag(schema))
        + _double(6, 2**-128)
        + _number(7, 0)
        + spans
        + deltas
    )


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _field(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
