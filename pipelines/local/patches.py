"""The three patches of the Kubernetes API, pure. https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/"""

import copy
from typing import Any

from pipelines.local.merge import items

_MERGE_KEYS = {
    **dict.fromkeys(("containers", "initContainers", "ephemeralContainers", "env", "volumes", "imagePullSecrets"), "name"),
    **{"ports": "containerPort", "volumeMounts": "mountPath", "ownerReferences": "uid", "secrets": "name", "hostAliases": "ip"},
}
"""`patchMergeKey` of the lists of built-in kinds. https://github.com/kubernetes/api/blob/v0.34.0/core/v1/types.go"""


class PatchError(Exception):
    """A patch that the server refuses; kubectl's words."""


def merge(before: Any, change: Any, remove: bool = True) -> Any:
    """JSON merge patch: https://www.rfc-editor.org/rfc/rfc7396. `remove`: null takes a field away."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    after = dict(before) if isinstance(before, dict) else {}
    for key, value in change.items():
        if value is None and remove:
            after.pop(key, None)
        else:
            after[key] = merge(after.get(key), value, remove)
    return after


def strategic(before: Any, change: Any, key: str = "") -> Any:
    """A merge patch that merges the known lists of objects by their key, and obeys `$patch: delete` and `$patch: replace`."""
    if isinstance(change, list) and key == "finalizers":
        return list(dict.fromkeys([*(before or []), *change]))
    if isinstance(change, list) and key in _MERGE_KEYS and all(isinstance(c, dict) for c in change):
        return _lists(before or [], change, _MERGE_KEYS[key])
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    if change.get("$patch") == "replace":
        return {name: value for name, value in change.items() if name != "$patch"}
    after = dict(before) if isinstance(before, dict) else {}
    for name, value in change.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = strategic(after.get(name), value, name)
    return after


def _lists(before: list[Any], change: list[dict[str, Any]], by: str) -> list[Any]:
    if any(one.get("$patch") == "replace" for one in change):
        return [one for one in change if "$patch" not in one]
    gone = {one.get(by) for one in change if one.get("$patch") == "delete"}
    kept = [one for one in before if one.get(by) not in gone]
    return items(kept, [one for one in change if "$patch" not in one], by, strategic)


def by_operations(before: Any, operations: Any) -> Any:
    """JSON patch: https://www.rfc-editor.org/rfc/rfc6902. PatchError when it is none or does not fit."""
    if not isinstance(operations, list):
        kind = {dict: "object", str: "string", bool: "bool"}.get(type(operations), "number")
        raise PatchError(f"Error from server (BadRequest): json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch")
    after = copy.deepcopy(before)
    try:
        for operation in operations:
            after = _operate(after, operation)
    except (KeyError, IndexError, TypeError, ValueError):
        raise PatchError("The request is invalid: the server rejected our request due to an error in our request") from None
    return after


def _operate(document: Any, operation: dict[str, Any]) -> Any:
    kind, path = operation["op"], _parts(operation["path"])
    if kind == "test":
        if _get(document, path) != operation["value"]:
            raise ValueError("test failed")
    elif kind == "add":
        return _add(document, path, copy.deepcopy(operation["value"]))
    elif kind == "replace":
        _remove(document, path)
        return _add(document, path, copy.deepcopy(operation["value"]))
    elif kind == "remove":
        _remove(document, path)
    elif kind in ("copy", "move"):
        moved = copy.deepcopy(_get(document, _parts(operation["from"])))
        if kind == "move":
            _remove(document, _parts(operation["from"]))
        return _add(document, path, moved)
    else:
        raise ValueError(kind)
    return document


def _parts(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError(pointer)
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_index(part)] if isinstance(document, list) else document[part]
    return document


def _index(part: str) -> int:
    if not part.isdecimal():
        raise ValueError(part)
    return int(part)


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    holder, last = _get(document, path[:-1]), path[-1]
    if isinstance(holder, list):
        at = len(holder) if last == "-" else _index(last)
        if at > len(holder):
            raise IndexError(at)
        holder.insert(at, value)
    else:
        holder[last] = value
    return document


def _remove(document: Any, path: list[str]) -> None:
    holder = _get(document, path[:-1])
    del holder[_index(path[-1]) if isinstance(holder, list) else path[-1]]
