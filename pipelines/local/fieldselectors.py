"""Field selectors (`phase=Failed,templateName!=a`), by which people name nodes. k8s.io/apimachinery v0.35.4 `pkg/fields/selector.go`."""

import re
from dataclasses import dataclass

from pipelines.local.faults import Refused
from pipelines.local.nodes import Node

_TERMS = re.compile(r"(?:[^\\,]|\\.)+", re.DOTALL)
_TERM = re.compile(r"((?:[^\\=!]|\\.|!(?!=))*?)(!=|==|=)(.*)", re.DOTALL)
_VALUE = re.compile(r"(?:[^\\,=]|\\[\\,=])*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Term:
    field: str
    equal: bool
    value: str


Selector = tuple[Term, ...]


def parse(text: str) -> Selector:
    """The terms, all of which must hold. Refused for what Kubernetes would not read; in a value, `,` and `=` take a backslash."""
    return tuple(_term(term, text) for term in _TERMS.findall(text))


def _term(term: str, whole: str) -> Term:
    found = _TERM.fullmatch(term)
    if found is None:
        raise Refused(f"selector is invalid: invalid selector: '{whole}'; can't understand '{term}'")
    if not _VALUE.fullmatch(found[3]):
        raise Refused(f"selector is invalid: {found[3]!r} holds a '=' or an escape other than \\\\, \\, and \\=")
    return Term(found[1], found[2] != "!=", re.sub(r"\\(.)", r"\1", found[3], flags=re.DOTALL))


def matches(selector: Selector, node: Node) -> bool:
    """Does a node meet every term? A field that it does not have is empty."""
    known = fields(node)
    return all((known.get(term.field, "") == term.value) is term.equal for term in selector)


def fields(node: Node) -> dict[str, str]:
    """What a selector may ask of a node. argo-workflows v4.1.2 `workflow/util/util.go` SelectorMatchesNode"""
    reference = node.get("templateRef") or {}
    found = {name: str(node.get(name, "")) for name in ("displayName", "templateName", "phase", "name", "id")}
    if reference:
        found |= {
            "templateName": reference["template"],
            "templateRef.name": reference["name"],
            "templateRef.template": reference["template"],
        }
    for parameter in (node.get("inputs") or {}).get("parameters") or []:
        found[f"inputs.parameters.{parameter['name']}.value"] = str(parameter.get("value", ""))
    return found
