"""Names inside a workflow: what Argo lets templates, steps, tasks, parameters and artifacts be called.

https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/validate/validate.go
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipelines.local.faults import Fault, Path

LONGEST = 128  # characters of a template's, step's or task's name
TAG = re.compile(r"\{\{[-a-zA-Z0-9]+(\.[-a-zA-Z0-9_]+)*\}\}")
"""What Argo takes for a parameter where a name is expected."""

QUANTITY = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?\d+)?")
"""https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/; no tag: Argo reads it before it fills in tags."""

_FIELD = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_VALUE = re.compile(r"[-a-zA-Z0-9_]+")
_EXAMPLES = "(e.g. My-name1-2, 123-NAME)"
_FIELD_RULE = f"name must consist of alpha-numeric characters or '-', and must start with an alpha-numeric character {_EXAMPLES}"
_VALUE_RULE = "Parameter/Artifact name must consist of alpha-numeric characters, '_' or '-' e.g. my_param_1, MY-PARAM-1"


def close_to(name: str, known: Iterable[object]) -> str:
    """`; did you mean 'train'?`, when something is near."""
    close = difflib.get_close_matches(name, [str(k) for k in known], 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def of_template(name: str) -> str:
    """What is wrong with the name of a template, step, task or container; empty when nothing is."""
    problems = [f"must be no more than {LONGEST} characters"] * (len(name) > LONGEST)
    return ";".join(problems + [_FIELD_RULE] * (not _FIELD.fullmatch(name)))


def of_value(name: str) -> str:
    """What is wrong with the name of a parameter or artifact."""
    return "" if _VALUE.fullmatch(name) else _VALUE_RULE


def fields(named: Sequence[dict[str, Any]], what: str, at: Path, values: bool = False) -> Iterator[Fault]:
    """The names of one list: there, well formed and each once. `values`: they are parameters or artifacts."""
    seen = set[str]()
    for index, one in enumerate(named):
        name, path = str(one.get("name") or ""), (*at, index)
        problem = (of_value if values else of_template)(name)
        if not name:
            yield Fault("name-missing", path, f"{what}[{index}].name is required")
        elif problem:
            yield Fault("name-invalid", (*path, "name"), f"{what}[{index}].name: '{name}' is invalid: {problem}")
        elif name in seen:
            yield Fault("name-twice", (*path, "name"), f"{what}[{index}].name '{name}' is not unique")
        seen.add(name)
