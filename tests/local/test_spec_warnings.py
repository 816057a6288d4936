"""What Argo does without a word, and a person hears here."""

import io
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import spec_warnings
from pipelines.local.show import Plain
from tests.local.play import log, manifest, play, sh

TEXT = "names nothing, so it was passed on as text"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"container": {"command": ["a"], "args": ["x {{b.c}} y", "{{b.c}}"]}}, ["{{b.c}} in args", "{{b.c}} in args"]),
        ({"script": {"source": "{{=\n  a}}", "command": ["sh"]}}, ["{{= a}} in source"]),
        ({"container": {"env": [{"name": "E", "value": "{{a}}{{b}}"}]}}, ["{{a}} in env E", "{{b}} in env E"]),
        ({"resource": {"manifest": "name: '{{x}}'"}}, ["{{x}} in manifest"]),
        ({"container": {}, "inputs": {"artifacts": [{"name": "r", "raw": {"data": "{{x}}"}}]}}, ["{{x}} in artifact r"]),
        ({"container": {"args": ['{"a": {"b": 1}}', "{{", "}} {{", "plain"]}}, []),
        ({"container": {"args": ["{{" + "long" * 40 + "}}"]}}, ["{{" + "long" * 13 + "lon…}} in args"]),
    ],
)
def test_a_tag_that_reaches_a_process_is_named_with_its_place(template: dict[str, Any], said: list[str]) -> None:
    found = list(spec_warnings.literals(template | {"name": "t"}))
    assert found == [f"template `t`: {one} {TEXT}" for one in said]


def test_a_literal_tag_is_passed_on_and_said_once_at_the_end(tmp_path: Path) -> None:
    out = io.StringIO()
    main = {"name": "main", "steps": [[{"name": "a", "template": "say", "withItems": [1, 2]}]]}
    ended = play(tmp_path, manifest(main, sh("say", "echo '{{nothing.here}}'")), display=Plain(out))
    assert log(tmp_path, ended, "a(0:1)") == "{{nothing.here}}\n"
    message = f"template `say`: {{{{nothing.here}}}} in args {TEXT}"
    assert [c for c in ended["status"]["conditions"] if c["type"] == "SpecWarning"] == [
        {"type": "SpecWarning", "status": "True", "message": message}
    ]
    assert out.getvalue().count(f"warning:  {message}\n") == 1


def test_nodes_without_an_end_are_named() -> None:
    nodes = [{"name": "w.a", "phase": "Pending"}, {"name": "w.b", "phase": "Omitted"}]
    assert list(spec_warnings.left_over(nodes)) == ["node w.a stays Pending though the workflow has ended, as on Argo"]
