"""`fleece lint`: exit codes, and what is printed."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli_lint import lint
from pipelines.lint import report, rules

CASES = Path(__file__).parents[1] / "argo" / "lint"
PAGE = Path(__file__).parents[2] / "docs" / "lint.md"


@pytest.mark.parametrize(
    ("case", "options", "code"),
    [
        ("301-dashed-names", [], 0),
        ("254-yaml-item-no", [], 0),
        ("254-yaml-item-no", ["--strict"], 65),
        ("033-step-template-undefined", [], 65),
        ("033-step-template-undefined", ["-o", "json"], 65),
    ],
)
def test_errors_end_with_65_and_warnings_only_when_strict(case: str, options: list[str], code: int) -> None:
    assert CliRunner().invoke(lint, [str(CASES / f"{case}.yaml"), *options]).exit_code == code


def test_a_finding_says_where_what_why_and_how_to_go_on() -> None:
    lines = CliRunner().invoke(lint, [str(CASES / "033-step-template-undefined.yaml")]).output.splitlines()
    assert lines[0].endswith("033-step-template-undefined.yaml:10: error undefined-template: template name 'gone' undefined")
    assert [line.split()[0] for line in lines[1:3]] == ["why", "fix"]
    assert lines[3] == "1 error in 1 object"


def test_json_has_every_part_of_a_finding() -> None:
    shown = json.loads(CliRunner().invoke(lint, [str(CASES / "262-configmap-without-label.yaml"), "-o", "json"]).output)
    assert (shown["checked"], shown["ignored"]) == (1, ["ConfigMap"])
    assert {"object": "Workflow/v262", "rule": "config-map-label", "severity": "error"}.items() <= shown["findings"][0].items()


def test_nothing_to_lint_is_a_mistake(tmp_path: Path) -> None:
    ended = CliRunner().invoke(lint, [str(tmp_path)])
    assert (ended.exit_code, "nothing to lint in" in ended.output) == (1, True)


def test_a_path_that_does_not_exist_is_a_mistake() -> None:
    ended = CliRunner().invoke(lint, ["gone.yaml"])
    assert (ended.exit_code, "'gone.yaml' does not exist" in ended.output) == (2, True)  # 64 by `fleece`, as every wrong argument


def test_rules_have_names_of_their_own_and_the_page_has_all_of_them() -> None:
    named = [rule.id for rule in rules.every_rule()]
    assert len(named) == len(set(named)) > 80
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in named)
    assert PAGE.read_text() == report.page(), "stale: fleece lint --rules > docs/lint.md"
