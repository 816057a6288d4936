"""Copies, contradictions and the identity of a data set, against the plain way of counting them."""

import hashlib
import random
from pathlib import Path

from steps.conversion import canonical, layout
from steps.row_index import RowIndex


def indexed(folder: Path, pairs: list[tuple[str, str]]) -> tuple[str, list[int], list[int]]:
    folder.mkdir(exist_ok=True)
    how = layout("alpaca", {})
    with RowIndex(folder) as index:
        for line, (asked, answered) in enumerate(pairs, 1):
            index.add(canonical({"instruction": asked, "input": "", "output": answered}, how), line)
        return index.digest(), index.copies(), index.conflicts()


def test_copies_and_conflicts_are_those_that_counting_finds(tmp_path: Path) -> None:
    draw = random.Random(3)  # noqa: S311 - rows, not secrets
    for size in (0, 1, 2, 50, 300):
        pairs = [(f"q{draw.randrange(40)}", f"a{draw.randrange(3)}") for _ in range(size)]
        copies = [line for line, pair in enumerate(pairs, 1) if pair in pairs[: line - 1]]
        answers = {asked: {answered for other, answered in pairs if other == asked} for asked, _ in pairs}
        conflicts = [line for line, (asked, _) in enumerate(pairs, 1) if len(answers[asked]) > 1]
        assert indexed(tmp_path / "index", pairs)[1:] == (copies, conflicts)


def test_the_digest_is_that_of_the_sorted_ids(tmp_path: Path) -> None:
    pairs = [(f"q{number}", "a") for number in range(100)] + [("q1", "a")]
    how = layout("alpaca", {})
    ids = sorted(bytes.fromhex(canonical({"instruction": q, "input": "", "output": a}, how)["id"]) for q, a in pairs)
    digest = indexed(tmp_path, pairs)[0]
    assert digest == hashlib.sha256(b"".join(ids)).hexdigest()
    assert digest == indexed(tmp_path, pairs[::-1])[0]
    assert digest != indexed(tmp_path, pairs[:-1])[0]


def test_case_and_white_space_make_no_other_prompt(tmp_path: Path) -> None:
    assert indexed(tmp_path, [("What is  it?", "a"), ("what is it?", "b")])[1:] == ([], [1, 2])
