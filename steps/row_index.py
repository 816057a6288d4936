"""Hashes of all rows of a data set on disk: its identity, its copies and its contradictions, in constant memory."""

import hashlib
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import TYPE_CHECKING, Any

from steps import rows

if TYPE_CHECKING:
    import numpy

_BLOCK = 1 << 16
_KEYS = 4  # of each row: row, prompt, answer, line


def key(text: str) -> bytes:
    """64 bits of a text's hash; two of 10 million texts agree by chance once in 4 · 10^5 data sets."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class RowIndex:
    """Written row by row, read once at the end."""

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self._ids, self._keys = (TemporaryFile(dir=folder) for _ in range(2))  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> "RowIndex":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ids.close()
        self._keys.close()

    def add(self, row: rows.Row, line: int) -> None:
        digest = bytes.fromhex(row["id"])
        asked, answered = key(rows.normal(rows.prompt(row))), key(rows.normal(rows.answer(row)))
        self._ids.write(digest)
        self._keys.write(digest[:8] + asked + answered + line.to_bytes(8, "little"))
        self.rows += 1

    def digest(self) -> str:
        """sha256 of the sorted row ids: the order of the rows does not matter, their number does."""
        import numpy

        whole = hashlib.sha256()
        if self.rows:
            self._ids.flush()
            ids = numpy.memmap(self._ids, dtype="S32", mode="r+", shape=(self.rows,))
            ids.sort()
            for start in range(0, self.rows, _BLOCK):
                whole.update(ids[start : start + _BLOCK].tobytes())
        return whole.hexdigest()

    def copies(self) -> list[int]:
        """Lines of the rows that are copies of an earlier one."""
        import numpy

        table = self._table()
        order = numpy.argsort(table[:, 0], kind="stable")
        later = order[1:][table[order[1:], 0] == table[order[:-1], 0]]
        return sorted(table[later, 3].tolist())

    def conflicts(self) -> list[int]:
        """Lines of the rows whose prompt occurs with another answer."""
        import numpy

        table = self._table()
        order = numpy.lexsort((table[:, 2], table[:, 1]))
        asked, answered = table[order, 1], table[order, 2]
        starts = numpy.flatnonzero(numpy.r_[True, asked[1:] != asked[:-1]]) if self.rows else numpy.array([], int)
        ends = numpy.r_[starts[1:], self.rows] if self.rows else starts
        differ = answered[starts] != answered[ends - 1] if self.rows else starts.astype(bool)
        lines = [table[order[start:end], 3] for start, end in zip(starts[differ], ends[differ], strict=True)]
        return sorted(numpy.concatenate(lines).tolist()) if lines else []

    def _table(self) -> "numpy.ndarray[Any, numpy.dtype[numpy.uint64]]":
        import numpy

        self._keys.flush()
        if not self.rows:
            return numpy.zeros((0, _KEYS), numpy.uint64)
        return numpy.memmap(self._keys, dtype="<u8", mode="r", shape=(self.rows, _KEYS))
