"""What Argo does without a word and a person should hear: the SpecWarning conditions of a Workflow.

Literal `{{…}}` in what a process or the API server gets (a tag that cannot be resolved stays as it is), and nodes that a finished workflow
leaves Pending or Running for ever.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pipelines.local.nodes import DONE, Node, Template

_LITERAL = re.compile(r"\{\{.{0,300}?\}\}", re.DOTALL)
_SHOWN = 60  # characters of a tag


def add(status: dict[str, Any], message: str) -> bool:
    """Record a warning once; True when it is new."""
    conditions: list[dict[str, str]] = status.setdefault("conditions", [])
    warning = {"type": "SpecWarning", "status": "True", "message": message}
    if warning in conditions:
        return False
    conditions.append(warning)
    return True


def of(status: dict[str, Any]) -> list[str]:
    return [c["message"] for c in status.get("conditions") or [] if c["type"] == "SpecWarning"]


def literals(template: Template) -> Iterator[str]:
    """Tags in what a template's process gets, or in its manifest, after everything that exists has been put in."""
    for place, value in _given(template):
        for found in dict.fromkeys(_LITERAL.findall(value)):
            tag = " ".join(found.split())
            tag = tag if len(tag) <= _SHOWN else f"{tag[: _SHOWN - 3]}…}}}}"
            yield f"template `{template.get('name', '')}`: {tag} in {place} names nothing, so it was passed on as text"


def _given(template: Template) -> Iterator[tuple[str, str]]:
    body = template.get("container") or template.get("script") or {}
    for field in ("command", "args"):
        yield from ((field, word) for word in body.get(field) or [])
    yield from ((f"env {one['name']}", str(one.get("value") or "")) for one in body.get("env") or [])
    yield from ((field, str(body[field])) for field in ("source", "workingDir") if field in body)
    if "resource" in template:
        yield "manifest", str(template["resource"].get("manifest", ""))
    for artifact in (template.get("inputs") or {}).get("artifacts") or []:
        yield f"artifact {artifact['name']}", str((artifact.get("raw") or {}).get("data", ""))


def left_over(nodes: Iterable[Node]) -> Iterator[str]:
    """Nodes that have no end though the workflow has one."""
    for node in nodes:
        if node["phase"] not in DONE:
            yield f"node {node['name']} stays {node['phase']} though the workflow has ended, as on Argo"
