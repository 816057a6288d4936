"""What is wrong with a data set, how bad the policy says it is, and the rows it was seen in."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from steps import strict_yaml
from steps.faults import BadInput
from steps.runfile import RiskClass

Rule = Literal[
    "json", "columns", "turns", "tool_json", "label_flips", "same_pair", "blank_prompt", "blank_answer", "echo", "control", "secrets",
    "personal", "denied_personal", "too_long", "maybe_too_long", "duplicates", "conflicts", "few_rows", "card", "license",
]  # fmt: skip
Severity = Literal["block", "warn", "note"]
Share = float | None

WORDS: dict[str, tuple[str, str]] = {
    "json": ("cannot be read", "correct the lines, or write the file with a JSON library"),
    "columns": ("have not the columns of the format", "correct the rows, or set dataset.format and dataset.columns"),
    "turns": ("would be dropped by LLaMA-Factory: turns do not alternate from user to answer", "correct or remove the rows"),
    "tool_json": ("have tools or tool calls that are no JSON, which ends LLaMA-Factory", "write [{\"name\": …, \"arguments\": {…}}]"),
    "label_flips": ("are desired or undesired examples without an answer; LLaMA-Factory would flip their label", "remove the rows"),
    "same_pair": ("have the same chosen and rejected answer", "remove the rows"),
    "blank_prompt": ("have a blank prompt", "remove the rows"),
    "blank_answer": ("have a blank answer; the model would learn to say nothing", "remove the rows"),
    "echo": ("have an answer that is their prompt", "check the columns, or remove the rows"),
    "control": ("have control characters or U+FFFD, a sign of a wrong encoding", "convert the source to UTF-8 again"),
    "secrets": ("hold keys, tokens or private keys", "revoke them, then remove them from the source"),
    "personal": ("seem to hold e-mail, phone, account or card numbers or public IP addresses", "remove them, or say so in the card"),
    "denied_personal": ("seem to hold personal data, which the card denies", "remove it, or correct personal_data in the card"),
    "too_long": ("are longer than cutoff_len; the answer would be cut off", "raise cutoff_len, or shorten the rows"),
    "maybe_too_long": ("may be longer than cutoff_len (the base has no tokenizer.json)", "raise cutoff_len if they are"),
    "duplicates": ("are copies of an earlier row", "remove them, unless they are meant as weights"),
    "conflicts": ("have a prompt that occurs with different answers", "decide for one answer"),
    "few_rows": ("are fewer than min_rows of the data policy", "add rows"),
    "card": ("in the dataset card", "complete the card; a placeholder does not count"),
    "license": ("is not on the data policy's list of licences", "name the data's licence in dataset.license, as an SPDX id"),
}  # fmt: skip
# Rows that are not written into the data set: LLaMA-Factory drops or mislabels them, or dies of them.
LEFT_OUT = ("json", "columns", "turns", "tool_json", "label_flips")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Strict):
    """Above which share of the rows (0..1) a rule warns, and blocks; None: never."""

    warn_above: Share = Field(None, ge=0, le=1)
    block_above: Share = Field(None, ge=0, le=1)


class CardPolicy(_Strict):
    required: list[str]
    min_chars: int = Field(30, ge=1)


class Policy(_Strict):
    """configs/policies/data.yaml. Every rule stands in it, so that none is silently off."""

    apiVersion: Literal["fleece/v1"]
    min_rows: int = Field(ge=1)
    max_reported: int = Field(200, ge=1, le=10_000)
    rules: dict[Rule, Limit]
    by_class: dict[RiskClass, dict[Rule, Limit]] = {}
    licenses: list[str]
    card: CardPolicy

    @model_validator(mode="after")
    def _complete(self) -> "Policy":
        missing = set(get_args(Rule)) - set(self.rules)
        if missing:
            raise ValueError(f"rules lacks {', '.join(sorted(missing))}; write {{}} for a rule that is only counted")
        return self

    def limit(self, rule: Rule, risk_class: RiskClass) -> Limit:
        return self.by_class.get(risk_class, {}).get(rule, self.rules[rule])


def policy_file() -> Path:
    """The data policy: in FLEECE_POLICIES, or this project's own."""
    folder = os.environ.get("FLEECE_POLICIES") or Path(__file__).parents[1] / "configs/policies"
    return Path(folder) / "data.yaml"


def read_policy() -> tuple[Policy, bytes]:
    """The data policy and its bytes. Raises BadInput when it is missing, or naming every wrong key."""
    path = policy_file()
    if not path.is_file():
        raise BadInput(f"there is no data policy {path}; FLEECE_POLICIES names the folder that holds data.yaml")
    return parse_policy(path.read_bytes(), path.name), path.read_bytes()


def parse_policy(data: bytes, where: str) -> Policy:
    """Raises BadInput naming every wrong key."""
    try:
        return Policy.model_validate(strict_yaml.load(data, where))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}" for problem in error.errors())
        raise BadInput(f"{where} is no data policy: {problems}") from None


@dataclass(frozen=True)
class BadRow:
    line: int
    rule: Rule
    why: str


@dataclass
class Tally:
    """Counts per rule, and the first rows of them; never more than `most` rows in memory."""

    most: int
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[BadRow] = field(default_factory=list)

    def add(self, rule: Rule, line: int, why: str = "") -> None:
        self.counts[rule] += 1
        # One rule must not crowd the others out of the list.
        if len(self.rows) < self.most and self.counts[rule] <= max(5, self.most // 2):
            self.rows.append(BadRow(line, rule, why or WORDS[rule][0]))


@dataclass(frozen=True)
class Finding:
    rule: Rule
    severity: Severity
    count: int
    share: float
    text: str
    hint: str
    lines: list[int]

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "share": round(self.share, 6)}


def judge(tally: Tally, total: int, policy: Policy, risk_class: RiskClass) -> list[Finding]:
    """The findings, worst first. `total`: rows of the source, bad ones included."""
    found = [_finding(rule, tally, total, policy.limit(rule, risk_class)) for rule in get_args(Rule) if tally.counts[rule]]
    return sorted(found, key=lambda finding: (("block", "warn", "note").index(finding.severity), -finding.count, finding.rule))


def _finding(rule: Rule, tally: Tally, total: int, limit: Limit) -> Finding:
    count = tally.counts[rule]
    share = 1.0 if rule in ("few_rows", "card", "license") else count / max(1, total)
    severity: Severity = "note"
    if limit.block_above is not None and share > limit.block_above:
        severity = "block"
    elif limit.warn_above is not None and share > limit.warn_above:
        severity = "warn"
    told, hint = WORDS[rule]
    rows = [row for row in tally.rows if row.rule == rule]
    lines = [row.line for row in rows if row.line][:5]
    return Finding(rule, severity, count, share, _sentence(rule, count, told, rows), hint, lines)


def _sentence(rule: Rule, count: int, told: str, rows: list[BadRow]) -> str:
    if rule == "card":
        return f"{'; '.join(row.why for row in rows)} {told}"
    if rule == "license":
        return f"{rows[0].why} {told}"
    return f"{count} row{'s' * (count != 1)} {told}" + (f" (first: line {rows[0].line})" if rows and rows[0].line else "")
