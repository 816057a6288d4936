"""What a worker tells its supervisor: one JSON object a line, appended by one writer, read while it grows."""

import json
import time
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Writer:
    """Every line goes out whole and at once, so a killed worker leaves at most one torn line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def write(self, kind: str, **facts: Any) -> None:
        self._file.write(json.dumps({"kind": kind, "at": round(time.time(), 3)} | facts) + "\n")


class Reader:
    """The events written since the last look. A line that is not whole yet is left for the next one."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def new(self) -> list[Event]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
