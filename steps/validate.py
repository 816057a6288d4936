"""The data gate: is this data fit to train on, and if not, which rows and why.

One strict pass over the source makes canonical rows, their features and their hashes; pandera judges the features, the policy
(configs/policies/data.yaml) judges the findings. What is accepted is committed as a data set whose id is that of its rows alone.
"""

import csv
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from steps import cards, conversion, data_report, features, findings, records, rows, store
from steps.contracts import ValidateIn, ValidateOut
from steps.faults import BadData
from steps.findings import Finding, Policy, Tally
from steps.row_index import RowIndex
from steps.runfile import Plan, read_plan
from steps.runtime import main, place, say, scratch

_BATCH = 10_000
_DEFAULT_CUTOFF = 2048  # LLaMA-Factory's own default of cutoff_len
Parsed = tuple[rows.Row, dict[str, Any]]  # a row and its features
_SHOWN = ("prompt_chars", "answer_chars")


@dataclass
class Examined:
    """What one pass over a source found."""

    total: int
    tally: Tally
    accepted: int = 0
    digest: str = ""
    lengths: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in _SHOWN})

    def measure(self, numbers: dict[str, Any]) -> None:
        for name in _SHOWN:
            self.lengths[name][int(numbers[name]).bit_length()] += 1


def validate(given: ValidateIn) -> ValidateOut:
    """Raises BadData when a finding blocks; the report then lies in the run."""
    plan = read_plan(given.run)
    policy, _ = findings.read_policy()
    folder = Path(tempfile.mkdtemp(prefix="dataset-", dir=scratch()))
    examined = examine(_source(plan), plan, policy, folder)
    _judge_whole(examined, plan, policy)
    found = findings.judge(examined.tally, examined.total, policy, plan.runfile.risk.risk_class)
    report = describe(examined, found, plan)
    (folder / "report.json").write_bytes(store.to_json(report))
    (folder / "report.html").write_text(data_report.html(report))
    if report["blocked"]:
        _refuse(given, found, folder)
    for finding in found:
        say("validate", f"{finding.severity}: {finding.text}; {finding.hint}")
    warnings = sum(finding.severity == "warn" for finding in found)
    return ValidateOut(dataset=_commit(report, plan, folder), data_id=report["data_id"], rows=examined.accepted, warnings=warnings)


def examine(source: Path, plan: Plan, policy: Policy, folder: Path) -> Examined:
    """Write rows.jsonl and features.csv of a source into a folder, and tell what is wrong with it."""
    wanted = plan.runfile.dataset
    how = conversion.layout(wanted.format, wanted.columns, wanted.split.group)
    measure, exact = _measure(plan)
    features.self_test(wanted.format)
    schema = features.schema(wanted.format, _cutoff(plan))
    examined = Examined(0, Tally(policy.max_reported))
    read = records.records(source)
    with (
        (folder / "rows.jsonl").open("wb") as lines,
        (folder / "features.csv").open("w", newline="") as sheet,
        RowIndex(scratch()) as index,
    ):
        table = csv.DictWriter(sheet, list(features.TYPES), lineterminator="\n")
        table.writeheader()
        while batch := list(islice(read, _BATCH)):
            examined.total += len(batch)
            parsed = [pair for record in batch if (pair := _parse(record, how, measure, examined.tally))]
            for row, numbers in _kept(parsed, schema, examined.tally, exact=exact):
                lines.write(rows.encode(row))
                table.writerow(numbers)
                index.add(row, numbers["line"])
                examined.measure(numbers)
        _close(examined, index, wanted.format)
    return examined


def describe(examined: Examined, found: list[Finding], plan: Plan) -> dict[str, Any]:
    """The report: report.json, and what the page shows."""
    wanted = plan.runfile.dataset
    blocked = [finding for finding in found if finding.severity == "block"]
    return {
        "apiVersion": "fleece/v1",
        "name": wanted.name,
        "data_id": f"{wanted.name}@sha256:{examined.digest}",
        "source_digest": plan.data_digest,
        "format": wanted.format,
        "license": wanted.license,
        "total": examined.total,
        "rows": examined.accepted,
        "blocked": bool(blocked),
        "verdict": f"Blocked by {len(blocked)} finding{'s' * (len(blocked) != 1)}." if blocked else "Fit to train on.",
        "findings": [finding.as_json() for finding in found],
        "bad_rows": [vars(row) for row in sorted(examined.tally.rows, key=lambda row: (row.line, row.rule))],
        "lengths": {name.replace("_", " "): _histogram(counts) for name, counts in examined.lengths.items()},
        "card": plan.data_card,
    }


def _parse(record: records.Record, how: conversion.Layout, measure: Callable[[str], int], tally: Tally) -> Parsed | None:
    if record.problem:
        tally.add("json", record.line, record.problem)
        return None
    try:
        row = conversion.canonical(record.value, how)
    except conversion.Malformed as problem:
        tally.add("columns", record.line, str(problem))
        return None
    return row, features.features(row, record.line, measure)


def _kept(parsed: list[Parsed], schema: Any, tally: Tally, *, exact: bool) -> list[Parsed]:
    """The rows to train on. Every broken rule is counted; rows that LLaMA-Factory would lose are left out."""
    if not parsed:
        return []
    broken = features.broken(features.frame([numbers for _, numbers in parsed]), schema)
    left_out = {position for rule in findings.LEFT_OUT for position in broken.get(rule, [])}
    for name, positions in broken.items():
        rule: Any = "maybe_too_long" if name == "too_long" and not exact else name
        # What else is wrong with a row that is left out is of no consequence.
        told = positions if name in findings.LEFT_OUT else [position for position in positions if position not in left_out]
        _count(tally, rule, [parsed[position][1]["line"] for position in told])
    return [pair for position, pair in enumerate(parsed) if position not in left_out]


def _close(examined: Examined, index: RowIndex, format: str) -> None:
    """What only the rows together tell."""
    examined.accepted, examined.digest = index.rows, index.digest()
    _count(examined.tally, "duplicates", index.copies())
    if format in ("alpaca", "sharegpt", "openai"):
        _count(examined.tally, "conflicts", index.conflicts())


def _count(tally: Tally, rule: findings.Rule, lines: list[int]) -> None:
    for line in lines:
        tally.add(rule, line)


def _judge_whole(examined: Examined, plan: Plan, policy: Policy) -> None:
    """What is wrong with the data set as a whole: its size, card and licence."""
    tally, card = examined.tally, plan.data_card
    if examined.accepted < policy.min_rows:
        tally.add("few_rows", 0, f"{examined.accepted} rows were accepted; min_rows is {policy.min_rows}")
        tally.counts["few_rows"] = examined.accepted
    problems = cards.problems(card, policy.card.required, policy.card.min_chars)
    if not isinstance(card.get("contains_personal_data"), bool):
        problems.append("contains_personal_data is not true or false")
    if problems:
        tally.add("card", 0, "; ".join(problems))
    if card.get("contains_personal_data") is False and tally.counts["personal"]:
        tally.counts["denied_personal"] = tally.counts["personal"]
    if plan.runfile.dataset.license.lower() not in policy.licenses:
        tally.add("license", 0, plan.runfile.dataset.license)


def _measure(plan: Plan) -> tuple[Callable[[str], int], bool]:
    """How long a text is in tokens, and whether that is exact. A token has at least one byte, so short texts need no tokenizer."""
    vocabulary = store.join(plan.base, "tokenizer.json")
    if not store.exists(vocabulary):
        return (lambda text: len(text.encode())), False
    from tokenizers import Tokenizer

    tokenizer, cutoff = Tokenizer.from_str(store.read(vocabulary).decode()), _cutoff(plan)

    def measure(text: str) -> int:
        size = len(text.encode())
        return size if size <= cutoff else len(tokenizer.encode(text, add_special_tokens=False).ids)

    return measure, True


def _cutoff(plan: Plan) -> int:
    return int(plan.training.get("cutoff_len") or _DEFAULT_CUTOFF)


def _source(plan: Plan) -> Path:
    """The source as a local file."""
    if plan.data.startswith("file://"):
        return store.local_path(plan.data)
    target = scratch() / plan.data.rpartition("/")[2]
    store.backend(plan.data).download(plan.data, target)
    return target


def _commit(report: dict[str, Any], plan: Plan, folder: Path) -> str:
    """Commit the data set. Its folder is named by its rows, then by all that is in it: another card is another folder."""
    shown = {key: report[key] for key in report if key not in ("bad_rows", "lengths", "blocked", "verdict")}
    wanted = plan.runfile.dataset
    facts = {**shown, "columns": dict(wanted.columns), "group": wanted.split.group, "source": wanted.source}
    (folder / "dataset.json").write_bytes(store.to_json(facts))
    whole = store.Manifest(files=store.scan(folder)).digest
    root = plan.data.rpartition("/sources/")[0]
    version = f"{report['data_id'].rpartition(':')[2][:12]}-{whole.rpartition(':')[2][:8]}"
    uri = store.join(root, "datasets", wanted.name, version)
    store.commit(folder, uri, {"data_id": report["data_id"], "rows": report["rows"]})
    return uri


def _refuse(given: ValidateIn, found: list[Finding], folder: Path) -> None:
    where = place("validate", given) or given.run
    for name in ("report.json", "report.html"):
        store.backend(where).upload(folder / name, store.join(where, name))
    blocking = [finding for finding in found if finding.severity == "block"]
    told = "; ".join(f"{finding.text}, {finding.hint}" for finding in blocking[:3])
    more = f"; and {len(blocking) - 3} more" if len(blocking) > 3 else ""
    raise BadData(f"the data is not fit to train on: {told}{more}. Report: {store.join(where, 'report.html')}")


def _histogram(counts: Counter[int]) -> dict[str, int]:
    """Rows by length, as upper bounds that double."""
    filled = sorted(counts)
    return {str(2**bits - 1 if bits else 0): counts[bits] for bits in range(filled[0], filled[-1] + 1)} if filled else {}


if __name__ == "__main__":
    main("validate", validate)
