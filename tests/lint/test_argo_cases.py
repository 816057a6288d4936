"""The 220 workflows with one fault each that Argo's lint, its API server and its controller were tried with: each is found, by its rule."""

import json
from pathlib import Path

import pytest

from pipelines.compile import TEMPLATES
from pipelines.lint import linter
from pipelines.lint.findings import Severity
from tests.lint.cases import MEANT

CASES = Path(__file__).parents[1] / "argo" / "lint"
RESULTS = json.loads((CASES / "results.json").read_text())
RIGHT = sorted(name for name, result in RESULTS.items() if "right" in result)


def test_every_case_is_in_the_table() -> None:
    assert {name.removesuffix(".yaml") for name in RESULTS if name not in RIGHT} == set(MEANT)


@pytest.mark.parametrize("name", sorted(MEANT))
def test_a_fault_is_found_by_the_rule_that_is_meant_for_it(name: str) -> None:
    report = linter.lint([CASES / f"{name}.yaml"])
    assert MEANT[name] in {placed.rule for placed in report.findings}
    assert all(placed.line > 0 and placed.finding.rule.why and placed.finding.rule.fix for placed in report.findings)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_has_no_error(name: str) -> None:
    report = linter.lint([CASES / name])
    assert [placed.what for placed in report.findings if placed.finding.rule.severity is Severity.ERROR] == []


@pytest.mark.slow  # make check lints them, too
def test_the_compiled_templates_are_clean() -> None:
    report = linter.lint([Path(__file__).parents[2] / "workflow-templates"])
    assert (report.findings, report.checked) == ([], len(TEMPLATES))
