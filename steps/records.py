"""One source file as records with their line numbers, in constant memory: JSON Lines, a JSON array, or plain text.

Readers disagree on malformed JSON (PyArrow accepts what pandas refuses, some take the first of two equal keys, some the last), so
each record is parsed strictly, on its own, by orjson, and everything downstream reads only what this made of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

_BLOCK = 1 << 20
_LONGEST = 64 << 20
_BOM = b"\xef\xbb\xbf"
# A string (whole, or cut off by the end of the buffer) or a bracket: what decides where an element of an array ends.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{\]}]', re.DOTALL)


@dataclass(frozen=True)
class Record:
    """A parsed record, or why there is none."""

    line: int
    value: Any = None
    problem: str = ""


def records(path: Path) -> Iterator[Record]:
    """The records of a `.jsonl`, `.json` or `.txt` file. Blank lines are none; a text line is `{"text": line}`."""
    with path.open("rb") as handle:
        if handle.read(3) != _BOM:
            handle.seek(0)
        if path.suffix == ".txt":
            yield from _text(handle)
        elif path.suffix == ".json" and _begins_an_array(handle):
            yield from _array(handle)
        else:
            yield from _lines(handle)


def _lines(handle: IO[bytes]) -> Iterator[Record]:
    for number, line in enumerate(handle, 1):
        if line.strip():
            yield parse(line, number)


def _text(handle: IO[bytes]) -> Iterator[Record]:
    for number, line in enumerate(handle, 1):
        if line.strip():
            try:
                yield Record(number, {"text": line.decode().rstrip("\r\n")})
            except UnicodeDecodeError as error:
                yield Record(number, problem=f"is no UTF-8 (byte {error.start})")


def parse(data: bytes, line: int) -> Record:
    """One JSON object, strictly. The problem names a column, never the text."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return Record(line, problem=f"is no JSON: {error.msg.split(':')[0]} (column {error.colno})")
    if not isinstance(value, dict):
        return Record(line, problem=f"is a {type(value).__name__}, not an object with columns")
    return Record(line, value)


def _begins_an_array(handle: IO[bytes]) -> bool:
    start = handle.tell()
    first = handle.read(_BLOCK).lstrip()[:1]
    handle.seek(start)
    return first == b"["


def _array(handle: IO[bytes]) -> Iterator[Record]:
    """The objects of a JSON array, each with the line it begins on; ends at the first place that cannot be an array's."""
    walk = _Walk(handle)
    walk.skip(b"[")
    more = not walk.skip(b"]")
    while more and walk.peek() == b"{":
        line = walk.line
        element = walk.take_object()
        if element is None:
            yield Record(line, problem="is an object that never ends; the file is cut off or a quote is missing")
            return
        yield parse(element, line)
        more = walk.skip(b",")
        if not more and not walk.skip(b"]"):
            break
    else:
        if not more and not walk.peek():
            return
    yield Record(walk.line, problem="is where the JSON array of objects ends or breaks off; correct the file from this line on")


class _Walk:
    """A buffer over a file that moves forward by whole objects and counts lines."""

    def __init__(self, handle: IO[bytes]) -> None:
        self.handle, self.data, self.at, self.line = handle, b"", 0, 1

    def more(self) -> bool:
        block = self.handle.read(_BLOCK)
        self.data, self.at = self.data[self.at :] + block, 0
        return bool(block)

    def peek(self) -> bytes:
        """The next byte that is no white space; empty at the end of the file."""
        while True:
            rest = self.data[self.at : self.at + 4096]
            blank = len(rest) - len(rest.lstrip())
            self.advance(blank)
            if blank < len(rest):
                return self.data[self.at : self.at + 1]
            if not rest and not self.more():
                return b""

    def advance(self, count: int) -> None:
        self.line += self.data.count(b"\n", self.at, self.at + count)
        self.at += count

    def skip(self, byte: bytes) -> bool:
        """Step over the byte if it comes next, and say whether it did."""
        found = self.peek() == byte
        self.advance(found)
        return found

    def take_object(self) -> bytes | None:
        """The bytes of the object that begins here, or None when it has no end."""
        depth, scanned = 0, 0
        while True:
            for token in _TOKEN.finditer(self.data, self.at + scanned):
                if token.end() == len(self.data) and token.group()[:1] == b'"':
                    break  # may go on in the next block
                depth += _DEPTH.get(token.group()[:1], 0)
                scanned = token.end() - self.at
                if depth == 0:
                    element = self.data[self.at : self.at + scanned]
                    self.advance(scanned)
                    return element
            if len(self.data) - self.at > _LONGEST or not self.more():
                return None


_DEPTH = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
