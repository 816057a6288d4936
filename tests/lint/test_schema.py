"""The fields and words that the linter knows, against the schemas that Argo 4.1.2 publishes.

tests/schemas/argo-workflows-4.1.2.json holds those schemas without repetition: each object once, with its fields' types, the fields it must
have and the words that a field may be.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.lint import models, vocabulary
from pipelines.lint.models import LOOSE, Type
from pipelines.local import bodies, submission

PUBLISHED = json.loads((Path(__file__).parents[1] / "schemas" / "argo-workflows-4.1.2.json").read_text())
KNOWN = ("metrics: required by one only: prometheus", "sidecar.container: required by one only: name")
"""Hera asks for the name of a container, which a plugin's need not have, and not for the list of metrics. Neither is reported."""
NAMES = {"text": "string", "value": "string", "whole": "integer", "number": "number", "truth": "boolean", "either": "either"}
SAID_BY_ARGO = {
    "podGC.strategy": submission.POD_GC,
    "retryStrategy.retryPolicy": submission.RETRY_POLICIES,
    "resource.action": bodies.ACTIONS,
    "spec.concurrencyPolicy": ("Allow", "Forbid", "Replace"),
}


def differences(known: Type, published: Any, path: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    """What one of both has and the other lacks, from a field on; ObjectMeta's own fields are not in the schemas."""
    if published in ("any", "object") or known.kind == "any" or known.name == "ObjectMeta":
        return
    if isinstance(published, list) or known.kind == "list":
        if known.kind != "list" or not isinstance(published, list):
            yield f"{path}: {known.kind}, published {published}"
            return
        yield from differences(known.inner, published[0], f"{path}[]", seen)
    elif isinstance(published, dict) or known.kind == "map":
        yield from differences(known.inner, published[""], f"{path}{{}}", seen)
    elif isinstance(published, str) and published.startswith("#"):
        if (known.name, published) not in seen:
            seen.add((known.name, published))
            yield from of_object(known, PUBLISHED["shapes"][int(published[1:])], path, seen)
    elif NAMES.get(known.kind, "either") != published:
        yield f"{path}: {known.kind}, published {published}"


def of_object(known: Type, published: dict[str, Any], path: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    fields = known.fields()
    yield from (f"{path}: unknown here: {key}" for key in published["fields"].keys() - fields.types.keys())
    yield from (f"{path}: unknown to Argo: {key}" for key in fields.types.keys() - published["fields"].keys() - {"status"})
    must = set(published["required"]) ^ fields.required
    yield from (f"{path}: required by one only: {key}" for key in must)
    for key, type_ in published["fields"].items():
        if key in fields.types:
            yield from differences(LOOSE.get((known.name, key)) or fields.types[key], type_, f"{path}.{key}", seen)
    for key, words in published["words"].items():
        mine = vocabulary.WORDS.get((known.name, key)) or next((w for p, w in SAID_BY_ARGO.items() if f"{path}.{key}".endswith(p)), ())
        if set(mine) - {""} != set(words) - {""}:
            yield f"{path}.{key}: {mine}, published {words}"


@pytest.mark.parametrize("kind", models.KINDS)
def test_the_linter_knows_the_fields_of_argo_4_1_and_no_others(kind: str) -> None:
    found = list(differences(models.of_kind(kind), PUBLISHED["kinds"][kind], kind, set()))
    assert [one for one in found if not one.endswith(KNOWN)] == []
