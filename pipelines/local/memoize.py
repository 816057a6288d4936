"""Memoized templates: their outputs are kept in a ConfigMap under a key, and taken from there while they are not too old.

Follows argo-workflows v4.1.2 `workflow/controller/cache/configmap_cache.go` and `executeTemplate`. The ConfigMap is an object of this
machine, so it outlives the run, and people can look at it.
"""

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.local import clock, durations, objectfile
from pipelines.local.caller import Around, Call, NodeError
from pipelines.local.nodes import Node, Nodes, Template, fulfilled, node_type
from pipelines.local.objects import Objects

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

Memoize = dict[str, Any]
Outputs = dict[str, Any]
Entry = dict[str, Any]

_KEY = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_LABEL, _CACHE = "workflows.argoproj.io/configmap-type", "Cache"


class CacheError(ValueError):
    """A key, an age or a ConfigMap that is no good; Argo's words."""


@dataclass
class Caches:
    """The caches of one run. `unsaved`: nodes whose outputs are to be kept once they have succeeded."""

    objects: Objects
    clock: clock.Clock
    unsaved: set[str] = field(default_factory=set)

    def watch(self, nodes: Nodes) -> None:
        """Take up the nodes of a run whose runner died."""
        self.unsaved |= {n["id"] for n in nodes if missed(n) and not fulfilled(n)}

    def look_up(self, memoize: Memoize) -> tuple[dict[str, Any], Outputs | None]:
        """The `memoizationStatus` of a node that is to run now, and what the cache holds for it. Raises CacheError."""
        name, key = memoize["cache"]["configMap"]["name"], memoize["key"]
        entry = self._load(name, key)
        hit = bool(entry and entry.get("nodeID"))
        if memoize.get("maxAge"):
            hit = self._fresh(entry, memoize["maxAge"]) and hit
        return {"hit": hit, "key": key, "cacheName": name}, (entry or {}).get("outputs") if hit else None

    def _fresh(self, entry: Entry | None, max_age: str) -> bool:
        try:
            longest = durations.parse(max_age)
        except ValueError as error:
            raise CacheError(f"invalid maxAge: {error}") from None
        return entry is not None and self.clock.now() - clock.seconds(entry["creationTimestamp"]) <= longest

    def _load(self, name: str, key: str) -> Entry | None:
        if not _KEY.fullmatch(key):
            raise CacheError(f"invalid cache key: {key}")
        found = self.objects.get("ConfigMap", name)
        if found is None:
            return None
        _check(found)
        text = (found.get("data") or {}).get(key)
        if not text:
            return None
        try:
            entry: Entry = json.loads(text)
        except ValueError as error:
            raise CacheError(f"malformed cache entry: could not unmarshal JSON; unable to parse: {error}") from None
        self._put(name, key, entry | {"lastHitTimestamp": clock.rfc3339(self.clock.now())})
        return entry

    def keep(self, nodes: Nodes) -> None:
        """Save the outputs of pods that have succeeded; a pod whose outputs cannot be kept is an Error."""
        for node_id in [i for i in self.unsaved if fulfilled(nodes.all.get(i))]:
            self.unsaved.discard(node_id)
            node = nodes.all[node_id]
            if node["phase"] != "Succeeded" or node["type"] != "Pod":
                continue
            try:
                self.save(node)
            except CacheError as error:
                nodes.phase(node, "Error", str(error))

    def save(self, node: Node) -> None:
        """Keep a node's outputs under its key. Raises CacheError."""
        status, now = node["memoizationStatus"], clock.rfc3339(self.clock.now())
        found = self.objects.get("ConfigMap", status["cacheName"])
        if found is not None:
            _check(found)
        else:
            metadata = {"name": status["cacheName"], "labels": {_LABEL: _CACHE}}
            self.objects.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        entry = {"nodeID": node["id"], "outputs": node.get("outputs"), "creationTimestamp": now, "lastHitTimestamp": now}
        self._put(status["cacheName"], status["key"], entry)

    def _put(self, name: str, key: str, entry: Entry) -> None:
        def edit(found: objectfile.Object) -> None:
            found["data"] = (found.get("data") or {}) | {key: json.dumps(entry, ensure_ascii=False, separators=(",", ":"))}

        objectfile.change(self.objects.file("ConfigMap", name), edit)


def _check(found: objectfile.Object) -> None:
    kind = (found["metadata"].get("labels") or {}).get(_LABEL)
    if kind is None:
        raise CacheError(f"memoization configmap doesn't have {_LABEL} label, refusing to use it")
    if kind != _CACHE:
        raise CacheError(f"memoization configmap doesn't have label {_LABEL} = {_CACHE}, refusing to use it")


def missed(node: Node) -> bool:
    """Is this a memoized node that the cache had nothing for?"""
    return not (node.get("memoizationStatus") or {"hit": True})["hit"]


def mark(caches: Caches, node: Node, template: Template) -> None:
    """A node that begins says which cache is its own."""
    memoize = template.get("memoize")
    if memoize:
        node["memoizationStatus"] = {"hit": False, "key": memoize["key"], "cacheName": memoize["cache"]["configMap"]["name"]}
        caches.unsaved.add(node["id"])


def recall(engine: "Engine", name: str, call: Call, template: Template, around: Around) -> Node | None:
    """The node of a memoized template whose outputs the cache holds; None when it is to run. NodeError when it cannot be told."""
    node = engine.nodes.get(name)
    if not template.get("memoize") or (node is not None and "memoizationStatus" in node):
        return None
    try:
        status, outputs = engine.caches.look_up(template["memoize"])
    except CacheError as error:
        engine.error(name, call, around, str(error))
        raise NodeError(str(error)) from None
    if node is None:
        node = engine.begin(name, node_type(template), call, template, around, "Pending")
    node["memoizationStatus"] = status
    engine.caches.unsaved.add(node["id"])
    if not status["hit"]:
        return None
    engine.caches.unsaved.discard(node["id"])
    if outputs:
        node["outputs"] = outputs
    return engine.nodes.phase(node, "Succeeded")


def save_outputs(engine: "Engine", node: Node) -> None:
    """Keep the outputs of a dag or steps node. One that cannot be kept succeeds all the same."""
    if missed(node):
        with contextlib.suppress(CacheError):
            engine.caches.save(node)
