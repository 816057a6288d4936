"""The WorkflowTemplates and ClusterWorkflowTemplates that a run may refer to, and what it reaches in them.

Argo keeps every referenced template in `status.storedTemplates`, under `scope/resource/template`; so does the runner, and so a run goes on
as it began when a file changes. https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/templateresolution/context.go
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import documents
from pipelines.local.faults import Refused
from pipelines.local.fields import Place
from pipelines.local.naming import close_to

Template = dict[str, Any]
Reference = dict[str, Any]
"""`name`, `template` and `clusterScope` of a templateRef; a workflowTemplateRef has no `template`."""

CALLED = ("template", "templateRef", "inline")
"""The fields by which a step, task or hook says what it runs."""


@dataclass(frozen=True)
class Found:
    """A document and where it stands."""

    document: dict[str, Any]
    place: Place

    @property
    def name(self) -> str:
        return str((self.document.get("metadata") or {}).get("name"))


@dataclass(frozen=True)
class Reached:
    """A template outside of the run's own spec: its index in the document that holds it."""

    found: Found
    index: int

    @property
    def template(self) -> Template:
        template: Template = self.found.document["spec"]["templates"][self.index]
        return template

    @property
    def key(self) -> str:
        cluster = self.found.document["kind"] == kind(True)
        return f"{scope({'name': self.found.name, 'clusterScope': cluster})}/{self.template.get('name')}"


class Library:
    """Templates by kind and name: first those beside the run's own document, then those of the other places in their order.

    A place is a file or a folder; it is read when the places before it do not hold what is asked for.
    """

    def __init__(self, own: Iterable[Found], places: Iterable[Path] = ()) -> None:
        """Refused when a file holds two of one kind and name."""
        self._shelves = [_by_name(own)]
        self._places = list(places)

    def find(self, name: str, cluster: bool = False) -> Found:
        """The document of a workflowTemplateRef; Refused when it is nowhere."""
        found = self._get(name, cluster)
        if found is not None:
            return found
        raise Refused(f"{kind(cluster).lower()}s.argoproj.io {name!r} not found{close_to(name, self.names(cluster))}")

    def template(self, reference: Reference) -> Reached:
        """The template of a templateRef; Refused when it, or what should hold it, is nowhere (argo-data-flow 142, 143)."""
        name, wanted, cluster = reference["name"], reference["template"], bool(reference.get("clusterScope"))
        found = self._get(name, cluster)
        if found is None:
            raise Refused(f"template reference {name}.{wanted} not found{close_to(name, self.names(cluster))}")
        reached = {r.template.get("name"): r for r in inside(found)}
        if wanted not in reached:
            raise Refused(f"template reference {name}.{wanted} not found{close_to(wanted, reached)}")
        return reached[wanted]

    def spec(self, reference: Reference) -> dict[str, Any] | None:
        """The spec of the document that a templateRef or workflowTemplateRef names; None when it is nowhere."""
        found = self._get(reference["name"], bool(reference.get("clusterScope")))
        return None if found is None else found.document.get("spec") or {}

    def names(self, cluster: bool = False) -> list[str]:
        """Every name of a kind, for hints."""
        return [found.name for found in self.all() if found.document["kind"] == kind(cluster)]

    def all(self) -> list[Found]:
        """Everything, the nearest first."""
        while self._read_next():
            pass
        found: dict[tuple[str, str], Found] = {}
        for shelf in reversed(self._shelves):
            found |= shelf
        return list(found.values())

    def _get(self, name: str, cluster: bool) -> Found | None:
        while True:
            for shelf in self._shelves:
                if (kind(cluster), name) in shelf:
                    return shelf[kind(cluster), name]
            if not self._read_next():
                return None

    def _read_next(self) -> bool:
        if not self._places:
            return False
        self._shelves.append(_by_name(read(self._places.pop(0))))
        return True


def kind(cluster: bool) -> str:
    return "ClusterWorkflowTemplate" if cluster else "WorkflowTemplate"


def scope(reference: Reference) -> str:
    """Where the names in a referenced template are looked up, as nodes show it; `local/…` is the run itself."""
    return f"{'cluster' if reference.get('clusterScope') else 'namespaced'}/{reference['name']}"


def key(call: Mapping[str, Any], base: str) -> str:
    """Under what a run keeps the template of a call or node: its own by name, others under the scope named there, or else `base`."""
    reference = call.get("templateRef")
    if reference:
        return f"{scope(reference)}/{reference['template']}"
    name = str(call.get("template") or call.get("templateName") or "")
    return name if base.startswith("local/") else f"{base}/{name}"


def missing(call: Mapping[str, Any], known: Iterable[str]) -> str:
    """Why a call has no template, in Argo's words."""
    reference = call.get("templateRef")
    if not reference:
        return f"template {call.get('template')} not found"
    if any(other.startswith(f"{scope(reference)}/") for other in known):
        return f"template {reference['template']} not found in workflow template {reference['name']}"
    return f"workflow template {reference['name']} not found"


def read(place: Path) -> list[Found]:
    """The documents of a file, or of the YAML files right in a folder; none when there is no such thing.

    Refused for a file that is none of Kubernetes'; in a folder such a file is passed over.
    """
    if not place.is_dir():
        return _documents(place) if place.is_file() else []
    found = []
    for file in sorted(place.glob("*.y*ml")):
        with contextlib.suppress(Refused):
            found += _documents(file)
    return found


def _documents(file: Path) -> list[Found]:
    read = documents.read(file)
    text = file.read_text()
    return [Found(document, Place(str(file), text, index)) for index, document in enumerate(read)]


def _by_name(found: Iterable[Found]) -> dict[tuple[str, str], Found]:
    """The templates among documents; Refused for two of one name."""
    shelf: dict[tuple[str, str], Found] = {}
    for one in found:
        what = one.document["kind"]
        if what not in (kind(False), kind(True)):
            continue
        if (what, one.name) in shelf:
            message = f'duplicate {what} found: "{one.name}" also stands in {shelf[what, one.name].place.file}'
            raise one.place.refuse(("metadata", "name"), message)
        shelf[what, one.name] = one
    return shelf


def inside(found: Found) -> list[Reached]:
    """The templates of a document."""
    listed = (found.document.get("spec") or {}).get("templates") or []
    return [Reached(found, index) for index, template in enumerate(listed) if isinstance(template, dict)]


# --- what refers to what -------------------------------------------------------------------------------------------------------


def calls(template: Template) -> Iterator[dict[str, Any]]:
    """Every step and task, those of inline templates too, and their hooks."""
    members = [step for group in template.get("steps") or [] for step in group] + ((template.get("dag") or {}).get("tasks") or [])
    for member in members:
        yield member
        yield from hooks(member)
        yield from calls(member.get("inline") or {})


def hooks(owner: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The hooks of a workflow, step or task; `onExit` is one."""
    if owner.get("onExit"):
        yield {"template": owner["onExit"]}
    yield from (hook for hook in (owner.get("hooks") or {}).values() if hook)


def reached(spec: dict[str, Any], library: Library) -> list[Reached]:
    """What a spec refers to outside of itself, at any distance, each once. Refused for what is nowhere.

    A reference with a tag in it may be to anything that the rest of it does not exclude.
    """
    queue = [*hooks(spec), *(call for template in spec.get("templates") or [] for call in calls(template))]
    found: dict[str, Reached] = {}
    todo = [r for call in queue for r in _of(call, library, None)]
    while todo:
        one = todo.pop(0)
        if one.key not in found:
            found[one.key] = one
            todo += [r for call in calls(one.template) for r in _of(call, library, one.found)]
    return list(found.values())


def _of(call: dict[str, Any], library: Library, home: Found | None) -> list[Reached]:
    """What a call may run; a bare name is looked up in the document in which it stands, `home`, or is none of ours."""
    reference = call.get("templateRef")
    if reference:
        return _candidates(reference, library)
    name = call.get("template", "")
    if home is None or not name or "inline" in call:
        return []
    return [r for r in inside(home) if r.template.get("name") == name or "{{" in name]


def _candidates(reference: Reference, library: Library) -> list[Reached]:
    name, wanted, cluster = reference["name"], reference["template"], bool(reference.get("clusterScope"))
    if "{{" in name:
        holders = [found for found in library.all() if found.document["kind"] == kind(cluster)]
    elif "{{" in wanted:
        holders = [library.find(name, cluster)]
    else:
        return [library.template(reference)]
    return [r for found in holders for r in inside(found) if "{{" in wanted or r.template.get("name") == wanted]
