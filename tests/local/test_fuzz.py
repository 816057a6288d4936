"""Whatever is written into a workflow: an answer, or an error of ours; no traceback, no hang, and no tag reaches a process unsaid."""

import json
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.local import cron, depends, documents, durations, expressions, fieldselectors, printer, re2, run, spec_warnings, tags, when
from pipelines.local.clock import SkippingClock
from pipelines.local.faults import Refused
from pipelines.local.nodes import COMPLETED
from pipelines.local.queries import QueryError, jq, jsonpath
from tests.local import inputs

OBJECT = {"a": [1, "x", {"b": 2.5}], "b": None, "c": {"d": True}}
EVALUATION = (tags.TagError, expressions.ExpressionError)


def a_document(text: str) -> None:
    with suppress(Refused):
        for index, found in enumerate(documents.parse(text, "f.yaml")):
            assert isinstance(found, dict)
            assert documents.line(text, index, ("spec", 0, "a")) > 0


def an_expression(text: str) -> None:
    with suppress(expressions.ExpressionError):
        value = expressions.evaluate(text, expressions.expand(inputs.SCOPE))
        assert isinstance(expressions.render(value), str)
    with suppress(expressions.ExpressionError):
        assert isinstance(expressions.holds(text, {}), bool)


def tagged_text(text: str) -> None:
    """What is put in stays JSON, and only tags that stay as they are remain."""
    for tolerant in (True, False):
        with suppress(*EVALUATION):
            found = tags.substitute_json({"k": [text]}, inputs.SCOPE, tolerant=tolerant)
            assert isinstance(found["k"][0], str)


def a_query(text: str) -> None:
    for query in (jq, jsonpath):
        with suppress(QueryError):
            assert isinstance(query(text, OBJECT), str)


def a_when(text: str) -> None:
    with suppress(when.WhenError):
        assert isinstance(when.holds(text), bool)


def a_depends(text: str) -> None:
    with suppress(depends.DependsError):
        found = depends.parse(text)
        assert isinstance(found.holds({name: dict.fromkeys(depends.RESULTS, True) for name in found.tasks}), bool)


def a_duration(text: str) -> None:
    for read in (durations.parse, durations.seconds_or_duration):
        with suppress(ValueError):
            assert isinstance(read(text), float)


def a_field_selector(text: str) -> None:
    with suppress(Refused):
        assert isinstance(fieldselectors.matches(fieldselectors.parse(text), {"phase": "Failed"}), bool)


def a_pattern(text: str) -> None:
    """No pattern goes back and forth over a text that nearly matches: its steps are counted in test_re2."""
    nearly = "a" * 30 + "b1\n"
    with suppress(re2.PatternError):
        found = re2.compile(text)
        assert found.replace(nearly, lambda match: match.expand("$0")) == nearly
        assert found.search(nearly) == any(True for _ in found.find_all(nearly))


def a_schedule(text: str) -> None:
    with suppress(cron.CronError):
        cron.parse(text)


PROPERTIES: list[tuple[Callable[[Any], None], st.SearchStrategy[Any]]] = [
    (a_document, inputs.YAML),
    (an_expression, inputs.EXPRESSIONS),
    (tagged_text, inputs.TAGGED),
    (a_query, inputs.JQS | inputs.JSONPATHS),
    (a_when, inputs.WHENS),
    (a_depends, inputs.DEPENDS),
    (a_duration, inputs.DURATIONS),
    (a_field_selector, inputs.SELECTORS),
    (a_schedule, inputs.CRONS),
    (a_pattern, inputs.PATTERNS),
]


def check(holds: Callable[[Any], None], made: st.SearchStrategy[Any], examples: int) -> None:
    """The same examples every time, so that a failure can be had again."""
    how = settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    how(given(made)(holds))()


@pytest.mark.parametrize(("holds", "made"), PROPERTIES, ids=lambda one: getattr(one, "__name__", ""))
def test_anything_gives_an_answer_or_an_error_of_ours(holds: Callable[[Any], None], made: st.SearchStrategy[Any]) -> None:
    check(holds, made, examples=20)


@pytest.mark.slow
@pytest.mark.parametrize(("holds", "made"), PROPERTIES, ids=lambda one: getattr(one, "__name__", ""))
def test_anything_at_all_gives_an_answer_or_an_error_of_ours(holds: Callable[[Any], None], made: st.SearchStrategy[Any]) -> None:
    check(holds, made, examples=1500)


def a_workflow(text: str) -> None:
    """It is refused, or it runs to an end; a tag that a process saw is warned of."""
    with tempfile.TemporaryDirectory() as folder, suppress(Refused):
        home, file = Path(folder), Path(folder) / "w.yaml"
        file.write_text(text)
        ended = run.run(str(file), {}, home=home, templates=home / "none", clock=SkippingClock())
        assert ended["status"]["phase"] in COMPLETED
        seen = [log for log in home.glob("runs/w/nodes/*/main.log") if re.search(r"\{\{.*?\}\}", log.read_text())]
        assert bool(seen) <= bool(spec_warnings.of(ended["status"]))
        assert printer.details(ended, "", "wide", lambda node: True, 0.0, colour=False)
        assert json.loads((home / "runs/w/workflow.json").read_text()) == ended


def test_a_small_workflow_is_refused_or_ends() -> None:
    check(a_workflow, inputs.workflows(), examples=5)


@pytest.mark.slow
def test_any_small_workflow_is_refused_or_ends() -> None:
    check(a_workflow, inputs.workflows(), examples=150)
