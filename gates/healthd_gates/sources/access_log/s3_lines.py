"""The lines of a compressed object, piece by piece: memory does not grow with the object."""

from __future__ import annotations

import zlib

from healthd_gates.sources.access_log.follower import LONGEST_LINE, Sink

_PIECE = 1024 * 1024
_MOST = 2 * 1024**3  # bytes of an object: a load balancer with more to write writes several
_GZIP = 31  # the window, and that there is a header of gzip


class BrokenObject(Exception):  # noqa: N818 — what is lost is told, and counting goes on
    """The object is no whole gzip, or has more bytes than any that a load balancer writes."""


class Lines:
    """Takes an object apart. Its methods block: they are called in a thread."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._gzip = zlib.decompressobj(_GZIP)
        self._rest = b""
        self.skipped = 0
        """Lines that were too long."""
        self.size = 0
        """Bytes after decompression."""

    def feed(self, chunk: bytes) -> None:
        """Take a chunk. Raises BrokenObject."""
        while chunk:
            if self._gzip.eof:  # a further member
                self._gzip = zlib.decompressobj(_GZIP)
            try:
                piece = self._gzip.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise BrokenObject(str(error)) from error
            chunk = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail
            self._add(piece)

    def end(self) -> None:
        """Take what is left. Raises BrokenObject if the object is cut off."""
        if not self._gzip.eof:
            raise BrokenObject("it is cut off")
        if self._rest:
            self._add(b"\n")

    def _add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > _MOST:
            raise BrokenObject("it has too many bytes")
        whole, newline, rest = piece.rpartition(b"\n")
        if newline:
            lines = (self._rest + whole).decode("latin-1").split("\n")
            fit = [line for line in lines if len(line) <= LONGEST_LINE]
            self.skipped += len(lines) - len(fit)
            self._rest = rest
            self._sink(fit)
        elif len(self._rest) <= LONGEST_LINE:  # of a longer line no more than that is kept
            self._rest += rest
