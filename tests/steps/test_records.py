"""Reading a source: strict, with line numbers, a record at a time."""

import json
from pathlib import Path

import pytest

from steps import records as module
from steps.records import records


def read(folder: Path, name: str, data: bytes) -> list[tuple[int, object]]:
    (folder / name).write_bytes(data)
    return [(record.line, record.value if not record.problem else record.problem.split(":")[0]) for record in records(folder / name)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a": }', "is no JSON"),
        (b'{"a": 1} {"b": 2}', "is no JSON"),
        (b'{"a": NaN}', "is no JSON"),
        (b'{"a": "\\ud800"}', "is no JSON"),
        (b'{"a": "\xff"}', "is no JSON"),
        (b'{"a": "x', "is no JSON"),
        (b"[1]", "is a list, not an object with columns"),
        (b"3", "is a int, not an object with columns"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path, line: bytes, problem: str) -> None:
    found = read(tmp_path, "x.jsonl", b'{"a": 1}\n\n' + line + b'\n{"a": 2}')
    assert found == [(1, {"a": 1}), (3, problem), (4, {"a": 2})]


def test_a_problem_never_quotes_the_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": "my secret is out" oops}\n')
    assert [("secret" in record.problem, record.line) for record in records(tmp_path / "x.jsonl")] == [(False, 1)]


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_an_array_gives_its_objects_whatever_is_in_their_strings(tmp_path: Path, indent: int | None) -> None:
    rows = [{"a": text, "b": [{"c": text}, []]} for text in ('plain, "quoted" \\', "[{]}\n", "é \u2028 \\\\", "")]
    found = read(tmp_path, "x.json", json.dumps(rows, indent=indent).encode())
    assert [value for _, value in found] == rows


def test_objects_that_cross_the_ends_of_blocks_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": '\\"[{' * number, "number": number} for number in range(20)]
    for block in (2, 3, 7, 64):
        monkeypatch.setattr(module, "_BLOCK", block)
        (tmp_path / "x.json").write_text("\n" * (block - 1) + json.dumps(rows, indent=1))  # the first block shows that it is an array
        found = list(records(tmp_path / "x.json"))
        assert [record.value for record in found] == rows
        assert found[0].line == block + 1


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"[]", []),
        (b"\xef\xbb\xbf[{}]", [(1, {})]),
        (b'[\n{"a": 1},\n{"a": }]', [(2, {"a": 1}), (3, "is no JSON")]),
        (b'[{"a": 1}', [(1, {"a": 1}), (1, "is where the JSON array of objects ends or breaks off; correct the file from this line on")]),
        (b'[{"a": 1},]', [(1, {"a": 1}), (1, "is where the JSON array of objects ends or breaks off; correct the file from this line on")]),
        (b"[1]", [(1, "is where the JSON array of objects ends or breaks off; correct the file from this line on")]),
        (b"[{}]\n{}", [(1, {}), (2, "is where the JSON array of objects ends or breaks off; correct the file from this line on")]),
        (b'[\n\n{"a": "x]', [(3, "is an object that never ends; the file is cut off or a quote is missing")]),
        (b'{"a": 1}\n{"a": 2}', [(1, {"a": 1}), (2, {"a": 2})]),
        (b"", []),
    ],
)
def test_an_array_ends_where_it_breaks(tmp_path: Path, data: bytes, found: list[tuple[int, object]]) -> None:
    assert read(tmp_path, "x.json", data) == found


def test_a_text_file_is_a_row_a_line(tmp_path: Path) -> None:
    assert read(tmp_path, "x.txt", b"one\r\n\n  two\n\xff\n") == [(1, {"text": "one"}), (3, {"text": "  two"}), (4, "is no UTF-8 (byte 0)")]
