"""Workflows and templates that run only while they hold locks, and `status.synchronization`, which says what they hold and wait for.

Follows argo-workflows v4.1.2 `executeTemplate`, `SemaphoreStatus` and `MutexStatus`; the latter do not treat the two alike.
"""

from typing import TYPE_CHECKING, Any

from pipelines.local import limits, locks
from pipelines.local.caller import Around, Call, NodeError
from pipelines.local.locks import Lock
from pipelines.local.nodes import Node, Template, fulfilled, node_type

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

Status = dict[str, Any]


def _part(status: Status, lock: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """The half of the status that is about locks of this kind, and the kind."""
    kind = "mutex" if "/Mutex/" in lock else "semaphore"
    part: dict[str, list[dict[str, Any]]] = status.setdefault("synchronization", {}).setdefault(kind, {})
    return part, kind


def _entry(part: dict[str, list[dict[str, Any]]], field: str, kind: str, lock: str) -> dict[str, Any] | None:
    return next((one for one in part.get(field, ()) if one[kind] == lock), None)


def waits(status: Status, lock: Lock, holders: list[str]) -> None:
    """It is held by these."""
    part, kind = _part(status, lock.name)
    entry = _entry(part, "waiting", kind, lock.name)
    if lock.is_mutex and not holders:
        return
    who: dict[str, Any] = {"holder": holders[0]} if lock.is_mutex else {"holders": holders}
    if entry is not None:
        entry |= who
    else:
        part.setdefault("waiting", []).append({kind: lock.name} | {k: v for k, v in who.items() if v})


def acquired(status: Status, lock: Lock, holder: str) -> None:
    """This workflow or node of it has it now. A mutex stays among those that were waited for."""
    part, kind = _part(status, lock.name)
    entry = _entry(part, "holding", kind, lock.name)
    if entry is None:
        entry = {kind: lock.name}
        part.setdefault("holding", []).append(entry)
    if lock.is_mutex:
        entry["holder"] = holder
        return
    entry["holders"] = [other for other in entry.get("holders", []) if other != holder] + [holder]
    waiting = _entry(part, "waiting", kind, lock.name)
    if waiting is not None:
        waiting["holders"] = [other for other in waiting.get("holders", []) if other != holder]
        if not waiting["holders"]:
            part["waiting"].remove(waiting)


def released(status: Status, lock: str, holder: str) -> None:
    part, kind = _part(status, lock)
    entry = _entry(part, "holding", kind, lock)
    if entry is None:
        return
    if kind == "semaphore":
        entry["holders"] = [other for other in entry.get("holders", []) if other != holder]
    elif entry.get("holder") == holder:
        part["holding"].remove(entry)


# --- waiting ----------------------------------------------------------------------------------------------------------------------


def hold_workflow(engine: "Engine") -> bool:
    """Take the locks of the workflow itself; until it holds them nothing runs."""
    if "synchronization" in engine.spec and not _has_its_own(engine):
        return False
    if engine.status["phase"] == "Pending":
        engine.status["phase"] = "Running"
        engine.status.pop("message", None)
    return True


def _has_its_own(engine: "Engine") -> bool:
    if "" in engine.locks.held:
        return True
    try:
        missing = _take(engine, "", locks.wanted(engine.spec, engine.namespace, engine.globals, _limit(engine)))
    except locks.LockError as error:
        engine.finish("Failed", f"Failed to acquire the synchronization lock. {error}")
        return False
    if missing and engine.shutdown:
        engine.finish("Failed", f"Stopped with strategy '{engine.shutdown}'")
    elif missing:
        engine.dirty = engine.dirty or engine.status.get("message") != missing.message
        engine.status["message"] = missing.message
        engine.wake_at(engine.clock.now() + locks.POLL)
    return missing is None


def hold(engine: "Engine", name: str, call: Call, template: Template, around: Around) -> Node | None:
    """Take the locks of a template; the waiting node when one is missing, None when the template may run. NodeError for a bad lock."""
    node_id = engine.nodes.id(name)
    if not template.get("synchronization") or node_id in engine.locks.held:
        return None
    try:
        missing = _take(engine, node_id, locks.wanted(template, engine.namespace, {}, _limit(engine)))
    except locks.LockError as error:
        engine.error(name, call, around, str(error))
        raise NodeError(str(error)) from None
    node = engine.nodes.get(name)
    if missing is not None:
        return _wait(engine, node or _begin(engine, name, call, template, around), template, missing)
    if node is not None and node.pop("synchronizationStatus", None):
        engine.nodes.phase(node, node["phase"], "")
    return None


def _begin(engine: "Engine", name: str, call: Call, template: Template, around: Around) -> Node:
    node = engine.begin(name, node_type(template), call, template, around, "Pending")
    node.pop("memoizationStatus", None)  # the cache is looked into when the lock is there
    return node


def _wait(engine: "Engine", node: Node, template: Template, missing: locks.Wait) -> Node:
    node["synchronizationStatus"] = {"waiting": missing.name}
    if engine.shutdown and not limits.may_go_on(engine, node):
        return engine.nodes.phase(node, "Failed", limits.why(engine, node))
    if limits.timed_out(engine, node, template):
        return engine.nodes.phase(node, "Failed", "timeout")
    if engine.locks.holds("", missing.name):  # argo-control-flow 193
        engine.stuck[node["name"]] = f"the lock {missing.name}, which its own workflow holds"
    else:
        engine.wake_at(engine.clock.now() + locks.POLL)
    return node if node.get("message") == missing.message else engine.nodes.phase(node, "Pending", missing.message)


def _take(engine: "Engine", holder: str, wanted: list[Lock]) -> locks.Wait | None:
    missing = engine.locks.acquire(holder, wanted)
    for lock in wanted:
        if missing is None:
            acquired(engine.status, lock, engine.locks.name_of(holder))
        else:
            waits(engine.status, lock, engine.locks.holders(lock))
    engine.dirty = engine.dirty or missing is None
    return missing


def _limit(engine: "Engine") -> locks.Limit:
    """The text under a key of a ConfigMap, now."""

    def text(namespace: str, name: str, key: str) -> str | None:
        found = engine.caches.objects.get("ConfigMap", name, namespace) or {}
        return (found.get("data") or {}).get(key)

    return text


def release(engine: "Engine") -> None:
    """Give back the locks of nodes that have ended, and the places in line that nobody keeps."""
    for holder in [h for h in engine.locks.held if h and fulfilled(engine.nodes.all.get(h))]:
        for lock in engine.locks.release(holder):
            released(engine.status, lock, engine.locks.name_of(holder))
    if engine.locks.queued and engine.status["phase"] == "Running" and not any("synchronizationStatus" in n for n in engine.nodes):
        engine.locks.leave_queue()
