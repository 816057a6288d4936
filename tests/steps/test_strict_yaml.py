"""YAML that can surprise nobody."""

import pytest

from steps import strict_yaml
from steps.faults import BadInput


def test_numbers_and_dates_are_read_as_llamafactory_reads_them() -> None:
    text = b"a: 1e-3\nb: 2.0e-3\nc: .5\nd: 3.\ne: -1E5\nf: 12\ng: 2026-11-21\nh: 1.2.3\ni: '1'\nj: yes\nk:\nl: 1_000\n"
    assert strict_yaml.load(text, "f") == {
        "a": 0.001, "b": 0.002, "c": 0.5, "d": 3.0, "e": -100000.0, "f": 12, "g": "2026-11-21", "h": "1.2.3", "i": "1", "j": True,
        "k": None, "l": 1000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a: 1\nb: 2\na: 3", "f.yaml, line 3, column 1: found the key 'a' twice"),
        (b"a: {b: 1, b: 2}", "f.yaml, line 1, column 11: found the key 'b' twice"),
        (b"a: [1", "f.yaml, line 2, column 1: did not find expected"),
        (b"\ta: 1", "f.yaml, line 1, column 1: found character"),
        (b"1: 2", "f.yaml, line 1, column 1: found a key that is no plain text"),
        (b"a: {{x}}", "f.yaml, line 1, column 5: found a key that is no plain text"),
        (b"<<: {a: 1}", "found a key that is no plain text"),
        (b"a: &x [1]\nb: *x", "f.yaml, line 2, column 4: found an alias"),
        (b"a: .nan", "found .nan, which is no finite number"),
        (b"a: -.inf", "no finite number"),
        (b"a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        (b"a: 1\n---\nb: 2", "f.yaml, line 2, column 1"),
        (b"a: \x01", "not allowed"),
        (b"a: \xff", "no UTF-8"),
        (b"", "holds nothing"),
        (b"- a", "holds a list"),
        (b"[" * 1500, "nested deeper than 100 levels"),
        (b"a: " + b"x" * (1 << 20), "has 1048579 bytes"),
    ],
)
def test_what_is_no_plain_mapping_is_refused_with_its_place(text: bytes, problem: str) -> None:
    with pytest.raises(BadInput) as seen:
        strict_yaml.load(text, "f.yaml")
    assert problem in str(seen.value)
    assert "\n" not in str(seen.value)
