"""The gate's report can be read alone, on screen or paper, and says what the decision says."""

import re
import xml.etree.ElementTree as ET
from html import unescape
from typing import Any

import pytest

from steps.decision import decide, policy_digest
from steps.forest import Plot, Row, forest, ticks
from steps.gate_policy import parse_policy
from steps.gate_report import LEAD, Report, html, markdown, plots
from tests.steps.gate_cases import POLICY, answers, digest, measured

PARTS = {"g[@class='pass']/line": "bar", "g/circle": "point", "line[@class='mark']": "line", "line[@class='zero']": "zero"}
RATIO = {"id": "short", "task": "team_test", "metric": "output_chars", "test": "ratio", "direction": "down", "max": 1.2}


def report(right: int, policy: dict[str, Any] = POLICY, model: str = "default.triage.v1", **fields: Any) -> Report:
    candidate = measured("candidate", answers(right), **fields)
    base, champion = measured("base", answers(2)), measured("champion", answers(37))
    decision = decide(parse_policy(policy, "gate.yaml"), policy_digest(policy), digest("candidate"), candidate, base, champion)
    return Report(model, "r1", decision, candidate, base, champion)


@pytest.mark.parametrize(("right", "verdict"), [(40, "promote"), (34, "undecided"), (10, "hold")])
def test_it_says_the_verdict_in_words_and_every_check_and_rule(right: int, verdict: str) -> None:
    made = report(right)
    page = unescape(html(made))
    for text in (page, markdown(made)):
        assert LEAD[made.decision.verdict] in text
        assert made.decision.verdict == verdict
        assert all(check.words in text for check in made.decision.checks)
        assert all(finding.rule in text and finding.outcome in text for finding in made.decision.findings)
        assert made.decision.candidate.sha256 in text


def test_it_needs_nothing_else_and_runs_nothing() -> None:
    page = html(report(38))
    assert not re.search(r"<script|<link|<iframe|\bsrc=|@import|url\(|\bon\w+=|https?://", page)


def test_it_follows_a_dark_setting_and_prints() -> None:
    page = html(report(38))
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_same_decision_gives_the_same_bytes() -> None:
    assert html(report(38)) == html(report(38))
    assert markdown(report(38)) == markdown(report(38))


def test_names_cannot_break_out_of_the_page() -> None:
    page = html(report(38, model="<img src=x onerror=alert(1)>"))
    assert "<img" not in page


def test_an_invalid_comparison_shows_no_numbers_but_its_reason() -> None:
    made = report(38, harness="lm-eval 0.5")
    assert plots(made.decision) == []
    assert "was measured with another harness" in unescape(html(made))


def test_gains_levels_and_ratios_have_axes_of_their_own() -> None:
    made = report(38, {**POLICY, "rules": [*POLICY["rules"], RATIO]})
    assert [(plot.title, plot.origin, len(plot.rows)) for plot in plots(made.decision)] == [
        ("Gains (points)", 0.0, 2), ("Levels (%)", None, 1), ("Ratios", 1.0, 2),
    ]  # fmt: skip


def test_wins_ties_and_losses_are_drawn_to_scale() -> None:
    page = html(report(38))
    widths = [float(width) for width in re.findall(r'<rect class="(?:win|tie|loss)"[^>]*width="([\d.]+)"', page)]
    assert "36 better, 4 alike, 0 worse" in page
    assert widths[0] / sum(widths[:3]) == pytest.approx(36 / 40, abs=0.001)


def test_a_forest_plot_shows_the_interval_around_its_estimate_the_line_and_zero() -> None:
    row = Row("kept", low=-0.04, estimate=0.01, high=0.06, line=-0.05, outcome="pass")
    picture = ET.fromstring(forest(Plot("Gains", "", True, 0.0, [row])))  # noqa: S314 - our own picture
    found = {name: element.attrib for path, name in PARTS.items() for element in picture.findall(path)}
    assert set(found) == set(PARTS.values())
    places = [float(found[name][side]) for name, side in (("line", "x1"), ("bar", "x1"), ("zero", "x1"), ("point", "cx"), ("bar", "x2"))]
    assert places == sorted(places)
    assert (places[2] - places[0]) / (places[4] - places[0]) == pytest.approx(0.05 / 0.11, abs=0.01)


@pytest.mark.parametrize(("low", "high"), [(-0.05, 1.0), (0.97, 0.99), (0, 0), (1.2, 1.2), (-300, 4), (1e-6, 3e-6)])
def test_the_axis_is_marked_with_a_few_round_numbers_around_the_data(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert marks[0] <= low + 1e-12
    assert marks[-1] >= high - 1e-12
    assert 2 <= len(marks) <= 9
