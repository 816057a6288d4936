"""Kubernetes' strategic merge of a patch into what it is laid over, for the lists that a workflow's spec knows.

Checked against k8s.io/apimachinery v0.35.4 `pkg/util/strategicpatch`; which lists are merged: `patchMergeKey` in argo-workflows v4.1.2
`pkg/apis/workflow/v1alpha1/workflow_types.go` and Kubernetes' core types.
"""

from collections.abc import Callable
from typing import Any

_KEYS = {
    **dict.fromkeys(("templates", "parameters", "artifacts", "volumes", "imagePullSecrets", "initContainers", "sidecars", "tasks"), "name"),
    **{"env": "name", "volumeMounts": "mountPath", "ports": "containerPort", "tolerations": "key", "hostAliases": "ip"},
}
"""The lists that are merged item by item, and the field that tells items apart. All others are replaced."""


def strategic(base: Any, patch: Any, field: str = "") -> Any:
    """`patch` over `base`; neither is changed. A null in the patch says nothing: Go's decoder has dropped it."""
    if isinstance(base, dict) and isinstance(patch, dict):
        said = {name: value for name, value in patch.items() if value is not None or name not in base}
        return base | {name: strategic(base.get(name), value, name) for name, value in said.items()}
    if isinstance(base, list) and isinstance(patch, list) and field in _KEYS:
        return items(base, patch, _KEYS[field], strategic)
    return patch


def items(base: list[Any], patch: list[Any], key: str, combine: Callable[[Any, Any], Any]) -> list[Any]:
    """Items of the patch in its order; before each of them those of the base alone that stand before it there.

    An item that the base does not know comes before whatever of the base is still to come.
    """
    known = {item.get(key): item for item in base}
    order = {name: index for index, name in enumerate(known)}
    named = {item.get(key) for item in patch}
    alone = [item for item in base if item.get(key) not in named]
    found = []
    for item in patch:
        name = item.get(key)
        while alone and name in order and order[alone[0].get(key)] < order[name]:
            found.append(alone.pop(0))
        found.append(combine(known.get(name, {}), item))
    return found + alone
