"""validate: what is accepted is committed, what is refused is reported row by row."""

import json
from pathlib import Path
from typing import Any

import pytest

from steps import store
from steps.contracts import ValidateIn, ValidateOut
from steps.faults import BadData, BadInput
from steps.findings import policy_file, read_policy
from steps.validate import validate
from tests.steps.data_runs import a_run

pytestmark = pytest.mark.slow

FREE: dict[str, Any] = {"runfile": {"dataset": {"split": {"group": None}}}, "training": {"cutoff_len": 4096}}


def ticket(number: int, **changes: Any) -> dict[str, Any]:
    return {"instruction": f"Ticket {number}", "input": "", "output": f"queue {number % 5}", **changes}


TICKETS = [ticket(number) for number in range(40)]
CHATS: dict[str, tuple[dict[str, str], list[dict[str, Any]]]] = {
    "sharegpt": (
        {"messages": "conversations", "tools": "tools"},
        [{"conversations": [{"from": "human", "value": f"q {n}"}, {"from": "gpt", "value": f"a {n}"}], "tools": "[]"} for n in range(20)],
    ),
    "openai": ({}, [{"messages": [{"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": f"a {n}"}]} for n in range(20)]),
    "preference": ({}, [{"instruction": f"q {n}", "input": "", "chosen": f"a {n}", "rejected": "no"} for n in range(20)]),
    "kto": (
        {"messages": "messages", "kto_tag": "label"},
        [
            {"messages": [{"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": f"a {n}"}], "label": n % 2 == 0}
            for n in range(20)
        ],
    ),
    "pretraining": ({"prompt": "text"}, [{"text": f"Chapter {n}."} for n in range(20)]),
}


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def validated(tmp_path: Path, data: bytes | list[dict[str, Any]], **options: Any) -> ValidateOut:
    return validate(ValidateIn(run=a_run(tmp_path, data, **{**FREE, **options})))


def refused(tmp_path: Path, data: bytes | list[dict[str, Any]], **options: Any) -> tuple[str, dict[str, Any]]:
    with pytest.raises(BadData) as seen:
        validated(tmp_path, data, **options)
    assert not store.backend(f"file://{tmp_path}/store/datasets").names(f"file://{tmp_path}/store/datasets")
    return str(seen.value), json.loads(next(tmp_path.glob("store/runs/ab12/validate/*/report.json")).read_text())


def rules(report: dict[str, Any], severity: str) -> dict[str, int]:
    return {finding["rule"]: finding["count"] for finding in report["findings"] if finding["severity"] == severity}


def test_good_rows_become_a_committed_data_set(tmp_path: Path) -> None:
    out = validated(tmp_path, TICKETS)
    assert (out.rows, out.warnings) == (40, 0)
    folder = store.fetch(out.dataset, tmp_path)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    facts = json.loads((folder / "dataset.json").read_text())
    assert rows[3]["messages"][0] == {"role": "user", "content": "Ticket 3"}
    assert out.data_id == facts["data_id"]
    assert out.dataset.split("/")[-1].startswith(out.data_id.partition("sha256:")[2][:12])
    assert facts["card"]["purpose"]
    assert len((folder / "features.csv").read_text().splitlines()) == 41
    assert "Ticket" not in (folder / "features.csv").read_text() + (folder / "report.json").read_text()


def test_the_same_rows_in_another_order_have_the_same_id_and_again_the_same_folder(tmp_path: Path) -> None:
    first, again = validated(tmp_path / "1", TICKETS), validated(tmp_path / "1" / "again", TICKETS)
    assert first.dataset.split("/datasets/")[1] == again.dataset.split("/datasets/")[1]
    assert validated(tmp_path / "2", TICKETS[::-1]).data_id == first.data_id
    assert validated(tmp_path / "3", TICKETS[1:]).data_id != first.data_id


@pytest.mark.parametrize("format", CHATS)
def test_every_format_is_accepted_as_lines_and_as_an_array(tmp_path: Path, format: str) -> None:
    columns, rows = CHATS[format]
    asked = {"runfile": {"dataset": {"format": format, "columns": columns, "split": {"group": None}}}}
    lines = validated(tmp_path / "lines", rows, **asked)
    array = validated(tmp_path / "array", json.dumps(rows, indent=2).encode(), name="data.json", **asked)
    assert lines.rows == array.rows == 20
    assert lines.data_id == array.data_id


def test_plain_text_is_accepted_for_pretraining(tmp_path: Path) -> None:
    data = "\n\n".join(f"Chapter {n}." for n in range(20)).encode()
    assert validated(tmp_path, data, name="data.txt", runfile={"dataset": {"format": "pretraining", "split": {"group": None}}}).rows == 20


def test_every_bad_row_is_named_with_line_rule_and_why(tmp_path: Path) -> None:
    rows = [ticket(number) for number in range(30)]
    lines = [json.dumps(row).encode() for row in rows]
    lines[4] = b'{"instruction": "SECRET-TEXT", '
    lines[9] = b'{"instruction": "SECRET-TEXT", "output": 3}'
    lines[14] = b'{"instruction": "SECRET-TEXT", "output": null}'
    message, report = refused(tmp_path, b"\n".join(lines))
    assert [(row["line"], row["rule"]) for row in report["bad_rows"]] == [(5, "json"), (10, "columns"), (15, "turns")]
    assert rules(report, "block") == {"json": 1, "columns": 1, "turns": 1}
    assert report["rows"] == 27
    assert "first: line 5" in message
    assert "report.html" in message
    assert "\n" not in message
    assert not any("SECRET" in path.read_text() for path in tmp_path.glob("store/runs/ab12/validate/*/*"))


def test_the_list_is_capped_and_the_count_is_not(tmp_path: Path) -> None:
    _, report = refused(tmp_path, TICKETS + [ticket(100 + number, output=None) for number in range(500)])
    assert rules(report, "block")["turns"] == 500
    assert len(report["bad_rows"]) <= 200


@pytest.mark.parametrize(
    ("rows", "severity", "rule", "count"),
    [
        ([ticket(1)] * 2 + [ticket(n) for n in range(2, 40)], "warn", "duplicates", 1),
        ([ticket(1)] * 30 + TICKETS[2:20], "block", "duplicates", 29),
        ([*TICKETS, ticket(7, output="another")], "warn", "conflicts", 2),
        ([*TICKETS, ticket(99, output="")], "block", "blank_answer", 1),
        ([*TICKETS, ticket(99, output="token ghp_" + "a1B2" * 9)], "block", "secrets", 1),
        ([*TICKETS, ticket(99, output="mail me@corp.example")], "block", "denied_personal", 1),
        (TICKETS[:5], "block", "few_rows", 5),
    ],
)
def test_findings_have_the_severity_of_the_policy(tmp_path: Path, rows: list[dict[str, Any]], severity: str, rule: str, count: int) -> None:
    if severity == "block":
        _, report = refused(tmp_path, rows)
    else:
        out = validated(tmp_path, rows)
        assert out.warnings == 1
        report = store.read_json(store.join(out.dataset, "report.json"))
    assert rules(report, severity)[rule] == count


def test_personal_data_that_the_card_admits_warns_and_blocks_where_the_risk_is_high(tmp_path: Path) -> None:
    rows, card = [*TICKETS, ticket(99, output="mail me@corp.example")], {"contains_personal_data": True}
    assert validated(tmp_path / "minimal", rows, data_card=card).warnings == 1
    high = {"runfile": {**FREE["runfile"], "risk": {"class": "HIGH_RISK"}}}
    assert rules(refused(tmp_path / "high", rows, data_card=card, **high)[1], "block") == {"personal": 1}


@pytest.mark.parametrize(
    ("edits", "text"),
    [
        ({"data_card": {"origin": None}}, "origin is missing"),
        ({"data_card": {"bias": "TODO: think about bias, one day or another"}}, "bias is a placeholder"),
        ({"data_card": {"contains_personal_data": None}}, "contains_personal_data is not true or false"),
        ({"runfile": {"dataset": {"license": "unknown", "split": {"group": None}}}}, "unknown is not on the data policy's list"),
    ],
)
def test_a_card_or_licence_that_says_nothing_blocks(tmp_path: Path, edits: dict[str, Any], text: str) -> None:
    assert text in refused(tmp_path, TICKETS, **edits)[0]


@pytest.mark.parametrize(("tokenizer", "rule"), [(True, "too_long"), (False, "maybe_too_long")])
def test_length_is_counted_in_the_bases_tokens(tmp_path: Path, tokenizer: bool, rule: str) -> None:
    rows = [*(ticket(n, output="word-of-many-bytes " * 5) for n in range(200)), ticket(999, output="w " * 60)]
    out = validated(tmp_path, rows, tokenizer=tokenizer, training={"cutoff_len": 50})
    found = rules(store.read_json(store.join(out.dataset, "report.json")), "warn")
    assert found == {rule: 1 if tokenizer else 201}


def test_the_report_is_a_page_without_network_or_script(tmp_path: Path) -> None:
    page = store.read(store.join(validated(tmp_path, [*TICKETS, ticket(7, output="another")]).dataset, "report.html")).decode()
    assert "<svg" in page
    assert "different answers" in page
    assert "<script" not in page
    assert "http" not in page


def test_markup_in_a_card_stays_text(tmp_path: Path) -> None:
    card = {"scope": "<script>alert(1)</script>"}
    assert "&lt;script&gt;" in store.read(store.join(validated(tmp_path, TICKETS, data_card=card).dataset, "report.html")).decode()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("  echo: {warn_above: 0, block_above: 0.001}\n", "", "rules lacks echo"),
        ("min_rows: 10", "min_rows: ten", "min_rows"),
        ("min_rows: 10", "min_row: 10", "min_row: Extra inputs"),
        ("block_above: 0.01}", "block_above: 2}", "less than or equal to 1"),
    ],
)
def test_a_wrong_policy_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, text: str) -> None:
    (tmp_path / "data.yaml").write_text(policy_file().read_text().replace(old, new, 1))
    monkeypatch.setenv("FLEECE_POLICIES", str(tmp_path))
    with pytest.raises(BadInput, match=text):
        read_policy()
