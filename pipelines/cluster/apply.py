"""Server-side apply: what differs is changed, and what other tools set in the same objects stays theirs.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Iterator

from pipelines.cluster import api
from pipelines.cluster.api import Api, Object
from pipelines.cluster.faults import NotFound

MANAGER = "fleece"
"""Our name as a field manager."""
_MOVING = ("resourceVersion", "generation", "managedFields")


def apply(server: Api, objects: list[Object], dry_run: bool = False) -> Iterator[str]:
    """Each object in turn, one line each."""
    coming: set[str] = set()
    for manifest in objects:
        metadata = manifest["metadata"]
        # In a dry run the API server looks at no object of a namespace that is not there yet.
        done = "unchecked" if metadata.get("namespace") in coming else put(server, manifest, dry_run)
        if dry_run and done == "created" and manifest["kind"] == "Namespace":
            coming.add(metadata["name"])
        yield f"{done:<10} {manifest['kind']} {'/'.join(filter(None, [metadata.get('namespace'), metadata['name']]))}"


def put(server: Api, manifest: Object, dry_run: bool = False) -> str:
    """`created`, `changed` or `unchanged`."""
    place = path(manifest)
    before = found(server, place)
    query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
    after = server.call("PATCH", place, manifest, query, api.APPLY)
    if before is None:
        return "created"
    return "unchanged" if _stated(before) == _stated(after) else "changed"


def found(server: Api, place: str) -> Object | None:
    """None when there is no such object."""
    try:
        there: Object = server.call("GET", place)
    except NotFound:
        return None
    return there


def path(manifest: Object) -> str:
    """Where the API keeps it."""
    kind, metadata = manifest["kind"].lower(), manifest["metadata"]
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return api.path(manifest["apiVersion"], plural, metadata.get("namespace", ""), metadata["name"])


def _stated(there: Object) -> Object:
    """An object without what every write moves, and without what its controller reports."""
    metadata = {key: value for key, value in there["metadata"].items() if key not in _MOVING}
    return {key: value for key, value in there.items() if key != "status"} | {"metadata": metadata}
