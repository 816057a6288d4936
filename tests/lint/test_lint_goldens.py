"""The workflows that ran on a real controller: what went well there has no error, what waited for ever is found."""

import json
from pathlib import Path

import pytest

from pipelines.lint import linter
from pipelines.lint.findings import Severity

GOLDENS = Path(__file__).parents[1] / "argo"
OUTCOMES = {
    path: json.loads(path.with_suffix(".json").read_text())
    for area in ("control", "data")
    for path in sorted((GOLDENS / area).glob("*.yaml"))
}

ODD = {
    "control/037-when-literals": (
        {"when-never-equal", "when-text-order"},
        "compares text with numbers and booleans, to show that it is false",
    ),
    "control/048-when-expr-tag": ({"when-text-order"}, "compares a number as text"),
    "control/072-withparam-invalid-skipped": ({"with-param"}, "the step with the bad list is skipped"),
    "control/073-sequence-forms": ({"sequence-format"}, "one value is %!s(int=0)"),
    "control/120-retries-elsewhere": ({"retries-without-retry"}, "the pod prints {{retries}}"),
    "control/149-onexit-retry-task": ({"unresolved-tag"}, "the hook gets the tag"),
    "control/225-item-inside-template": ({"item-outside-loop"}, "the pod prints {{item}}"),
    "control/240-exit-hook-own-outputs-steps": ({"unresolved-tag"}, "the hook gets the tag"),
    "control/241-exit-hook-own-outputs-dag": ({"unresolved-tag"}, "the hook gets the tag"),
    "data/026-expression-nil": ({"expression-name"}, "names a task that is not there and lives on the default"),
    "data/032-wf-metadata": ({"expression-name"}, "a key with a dot stays text"),
    "data/065-expr-string-plus-int": ({"expression-type"}, "the expression stays text"),
    "data/068-expr-sprig-env": ({"expression-name"}, "the expression stays text"),
    "data/088-spaced-tags": ({"tag-braces"}, "one tag stays text"),
    "data/089-unknown-tags": ({"expression-name"}, "the expression stays text"),
    "data/094-unclosed-tag": ({"unclosed-tag"}, "the tag stays text"),
    "data/241-triple-brace": ({"tag-braces"}, "the tag stays text"),
    "data/246-value-structures": ({"parameter-not-text"}, "lists and maps become empty"),
    "data/258-hyphen-parameter": ({"expression-dash"}, "the expression stays text"),
    "data/266-inputs-typo-step": ({"expression-name"}, "the expression stays text"),
}
"""Workflows that Succeeded and have an error: the rules, and what went wrong nevertheless."""


def errors(file: Path) -> set[str]:
    return {placed.rule for placed in linter.lint([file]).findings if placed.finding.rule.severity is Severity.ERROR}


@pytest.mark.slow
def test_what_succeeds_has_no_error_unless_something_else_came_out_than_was_meant() -> None:
    succeeded = [path for path, outcome in OUTCOMES.items() if outcome.get("phase") == "Succeeded"]
    found = {path.relative_to(GOLDENS).with_suffix("").as_posix(): errors(path) for path in succeeded}
    assert {name: rules for name, rules in found.items() if rules} == {name: rules for name, (rules, _) in ODD.items() if name in found}


NEVER = sorted(path for path, outcome in OUTCOMES.items() if outcome.get("never_ends"))
WARNED = {"234-memoize-hit-no-result": "memoized-result", "062-continue-on-no-output": "failed-output"}
"""Those that wait for ever only because of what happened when they ran."""


@pytest.mark.parametrize("path", NEVER, ids=lambda path: path.stem)
def test_what_never_ends_is_found(path: Path) -> None:
    report = linter.lint([path])
    if path.stem in WARNED:
        assert WARNED[path.stem] in {placed.rule for placed in report.findings}
    else:
        assert errors(path)


NOT_WRITTEN = {"004-value-null", "037-required-missing"}
"""Workflow arguments without a value, which -p may give; the null has a warning."""


def test_what_is_refused_has_an_error() -> None:
    refused = [path for path, outcome in OUTCOMES.items() if "refused" in outcome]
    assert {path.stem for path in refused if not errors(path)} == NOT_WRITTEN
