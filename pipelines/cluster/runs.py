"""The runs of a namespace on a cluster: what `pipelines.runs.Here` is for this machine, and what only a cluster can."""

import dataclasses
import shlex
from collections.abc import Iterator
from typing import Any

from pipelines.cluster import api as kubernetes
from pipelines.cluster import logs, objects
from pipelines.cluster.api import MERGE, Api, path
from pipelines.cluster.faults import NotAllowed, NotFound
from pipelines.local import history, naming, printer
from pipelines.local.control import Command
from pipelines.local.faults import Refused
from pipelines.local.history import Filter
from pipelines.local.logs import Line
from pipelines.local.workflow import CREATOR_LABEL

Workflow = dict[str, Any]
Object = dict[str, Any]

_PAGE = 200  # objects an answer


class Cluster:
    """The runs of one namespace. `context`: as the caller named it."""

    def __init__(self, api: Api, context: str = "") -> None:
        self.api, self.context = api, context

    @property
    def said(self) -> str:
        """The options that name the place, for the commands that are advised."""
        context = f" --context {shlex.quote(self.context)}" if self.context else ""
        return f" --cluster -n {self.api.namespace}{context}"

    def within(self, namespace: str) -> "Cluster":
        """The same caller's view of another namespace."""
        return Cluster(dataclasses.replace(self.api, namespace=namespace), self.context)

    def path(self, plural: str = "workflows", name: str = "") -> str:
        return path(objects.GROUP, plural, self.api.namespace, name)

    # --- what there is

    def find(self, name: str) -> Workflow:
        """The run of this name, or the one made last for `@latest`. Refused when there is none."""
        if name == history.LATEST:
            return self._latest()
        try:
            return objects.read(self.api.call("GET", self.path(name=name)))
        except NotFound:
            raise self._unknown("run", name, "workflows") from None

    def chosen(self, wanted: Filter) -> list[Workflow]:
        """The runs that a filter takes, what goes on first."""
        return history.select(map(objects.read, self._all("workflows", wanted.labels)), wanted)

    def words(self, run: Workflow) -> str:
        """The status of a run as people read it."""
        hidden = objects.out_of_sight(run)
        return printer.status(run) + (f" ({hidden})" if hidden else "")

    def logs(self, name: str, step: str, tail: int | None, follow: bool, say: logs.Say) -> Iterator[Line]:
        """What the steps of a run have written; see `pipelines.cluster.logs`."""
        run = self.find(name)
        if follow:
            return logs.followed(self.api, lambda: self.find(run["metadata"]["name"]), step, tail, say)
        return logs.recorded(self.api, run, step, tail, say)

    # --- what is done to it

    def order(self, name: str, what: Command) -> None:
        """Carry a command out. Refused as on one machine, or as the API refuses it."""
        if change := objects.patch(self.find(name), what, self.api.user):
            self.api.call("PATCH", self.path(name=name), change, kind=MERGE)

    def go_on(self, name: str, what: Command) -> bool:
        """Carry a `resume` out; True: there is always a controller that drives the run."""
        self.order(name, what)
        return True

    def delete(self, run: Workflow) -> None:
        """Remove a run with what it owns: pods, JobSet. Artifacts stay."""
        self.api.call("DELETE", self.path(name=run["metadata"]["name"]), {"propagationPolicy": "Background"})

    def submit(self, what: str, parameters: dict[str, str], name: str | None = None) -> Workflow:
        """Start a WorkflowTemplate, or now what a CronWorkflow starts by schedule; the Workflow as the API made it."""
        found = self._document(what)
        reference = objects.reference(found) if found["kind"] == "CronWorkflow" else what
        template = found if reference == what else self.api.call("GET", self.path("workflowtemplates", reference))
        made = objects.submitted(found, template, parameters, name, self.api.user)
        return objects.read(self.api.call("POST", self.path(), made))

    def resubmit(self, name: str, parameters: dict[str, str]) -> Workflow:
        """Start what an earlier run was started from once more. Its steps find what was finished, so it goes on where that one ended."""
        old = self.find(name)
        reference = (old["spec"].get("workflowTemplateRef") or {}).get("name")
        if not reference:
            raise Refused(f"run {name!r} was made from no WorkflowTemplate; `argo resubmit {name}` may do it")
        template = self.api.call("GET", self.path("workflowtemplates", reference))
        return objects.read(self.api.call("POST", self.path(), objects.resubmitted(old, template, parameters, self.api.user)))

    # --- by name

    def _document(self, name: str) -> Object:
        for plural in ("workflowtemplates", "cronworkflows"):
            try:
                found: Object = self.api.call("GET", self.path(plural, name))
            except NotFound:
                continue
            return found
        raise self._unknown("workflow template", name, "workflowtemplates")

    def _latest(self) -> Workflow:
        """Of those that people started, if any: schedules start others all the time."""
        found = self._all("workflows", CREATOR_LABEL) or self._all("workflows")
        if not found:
            raise Refused(f"no runs in namespace {self.api.namespace}; `fleece submit` makes one")
        return objects.read(max(found, key=lambda run: str(run["metadata"]["creationTimestamp"])))

    def _all(self, plural: str, labels: str = "") -> list[Object]:
        """Every object of a kind, page by page."""
        found: list[Object] = []
        query = {"limit": _PAGE} | ({"labelSelector": labels} if labels else {})
        while True:
            page = self.api.call("GET", self.path(plural), query=query)
            found += page["items"]
            if not (page["metadata"].get("continue")):
                return found
            query["continue"] = page["metadata"]["continue"]

    def _unknown(self, what: str, name: str, plural: str) -> Refused:
        """There is none of this name; there are others, if the caller may see them."""
        try:
            known = [one["metadata"]["name"] for one in self._all(plural)]
        except NotAllowed:
            known = []
        hint = naming.close_to(name, known) or f"; there are: {', '.join(known[-8:]) or 'none'}"
        return Refused(f"no {what} {name!r} in namespace {self.api.namespace}{hint}")


def connect(context: str, namespace: str) -> Cluster:
    """The cluster of the caller's kubeconfig. Refused when there is none."""
    return Cluster(kubernetes.connect(context, namespace), context)
