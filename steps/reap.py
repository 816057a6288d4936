"""`reap`: delete the JobSets that have outlived their Workflow. `terminate` runs no exit handler: their gangs would train on for nobody.

It remembers nothing and decides from what the API says now. A JobSet that has ended is kept: it is evidence, and goes with its Workflow.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from steps.contracts import ReapIn, ReapOut
from steps.faults import NotAllowed, Unavailable
from steps.runtime import main, say

_ENDED = frozenset({"Succeeded", "Failed", "Error"})
_JOBSETS = ("jobset.x-k8s.io", "v1alpha2", "jobsets")
_WORKFLOWS = ("argoproj.io", "v1alpha1", "workflows")
_ANSWER_SECONDS = 30.0  # a hanging start would keep the next one from starting
_OURS = "fleece.dev/run-id"  # the label that `render` gives every JobSet

Object = dict[str, Any]


@dataclass(frozen=True)
class Orphan:
    """A running JobSet whose Workflow has ended; `why` for the log."""

    name: str
    uid: str
    why: str


def reap(given: ReapIn) -> ReapOut:
    """Delete every orphan of the namespace. Raises Unavailable or NotAllowed when the API does not answer or says no."""
    if os.environ.get("FLEECE_OBJECTS"):  # a folder of the local runner; a cluster has none
        say("reap", "on one machine a gang ends together with the runner of its Workflow: there is nothing to look for")
        return ReapOut(deleted=0)
    api = Api(given.namespace)
    jobsets = api.jobsets()  # before the Workflows: an owner that is not there afterwards is gone, not still to come
    found = orphans(jobsets, api.workflows({owner["name"] for owner in map(_owner, jobsets) if owner}))
    for orphan in found:
        print(f"{orphan.name}: deleted, {orphan.why}" if api.delete(orphan) else f"{orphan.name}: gone already", flush=True)
    return ReapOut(deleted=len(found))


def orphans(jobsets: Iterable[Object], workflows: Iterable[Object]) -> list[Orphan]:
    """The JobSets to delete. A Workflow is known by its uid: another one of the same name is not the owner."""
    phases = {one["metadata"]["uid"]: one.get("status", {}).get("phase", "") for one in workflows}
    return [
        Orphan(jobset["metadata"]["name"], jobset["metadata"]["uid"], _why(owner, phases))
        for jobset in jobsets
        if (owner := _owner(jobset)) and _runs(jobset) and phases.get(owner["uid"], "Error") in _ENDED
    ]


def _owner(jobset: Object) -> Object | None:
    owners: list[Object] = jobset["metadata"].get("ownerReferences", [])
    return next((owner for owner in owners if owner["kind"] == "Workflow" and owner["apiVersion"].startswith("argoproj.io/")), None)


def _runs(jobset: Object) -> bool:
    return not jobset.get("status", {}).get("terminalState") and "deletionTimestamp" not in jobset["metadata"]


def _why(owner: Object, phases: dict[str, str]) -> str:
    return f"its Workflow {owner['name']} " + (f"ended as {phases[owner['uid']]}" if owner["uid"] in phases else "is gone")


class Api:
    """The three calls of the Kubernetes API, as the pod's own account (`client`: in tests)."""

    def __init__(self, namespace: str, client: Any = None) -> None:
        from kubernetes import client as api
        from kubernetes import config

        if client is None:
            config.load_incluster_config()
        self._namespace, self._objects = namespace, api.CustomObjectsApi(client)

    def jobsets(self) -> list[Object]:
        return self._list(_JOBSETS, label_selector=_OURS)

    def workflows(self, names: set[str]) -> list[Object]:
        """Those of these names. One by one: a Workflow may have a megabyte, and a namespace holds those of a week."""
        return [found for name in sorted(names) for found in self._list(_WORKFLOWS, field_selector=f"metadata.name={name}")]

    def delete(self, orphan: Orphan) -> bool:
        """False when it was deleted by another, or replaced by one of the same name."""
        body = {"preconditions": {"uid": orphan.uid}, "propagationPolicy": "Background"}
        return self._call(f"delete {orphan.name}", "delete", _JOBSETS, orphan.name, body=body) is not None

    def _list(self, what: tuple[str, str, str], **selectors: str) -> list[Object]:
        found = self._call(f"list {what[2]}", "list", what, **selectors)
        return list(found["items"]) if found else []

    def _call(self, doing: str, verb: str, what: tuple[str, str, str], *name: str, **options: Any) -> Object | None:
        """None for an object that is not there, or not the one meant."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        group, version, plural = what
        try:
            call = getattr(self._objects, f"{verb}_namespaced_custom_object")
            return dict(call(group, version, self._namespace, plural, *name, _request_timeout=_ANSWER_SECONDS, **options))
        except HTTPError as error:
            raise Unavailable(f"the Kubernetes API did not {doing} ({type(error).__name__}); the next start looks again") from None
        except ApiException as error:
            if error.status in (404, 409):
                return None
            if error.status in (401, 403):
                raise NotAllowed(f"the account of this step may not {doing}; `make install` gives it the right") from None
            raise Unavailable(f"the Kubernetes API did not {doing} ({error.status} {error.reason}); the next start looks again") from None


if __name__ == "__main__":
    main("reap", reap)
