"""Rules on a document as a whole: its kind, its version, its place among the others."""

from collections.abc import Iterable, Iterator
from typing import Any

from pipelines.lint.findings import Finding, Rule, Severity
from pipelines.lint.models import KINDS
from pipelines.lint.subject import Key, Subject
from pipelines.local.naming import close_to

ConfigMaps = dict[tuple[str, str], dict[str, Any]]
"""By namespace and name."""
VERSION = "argoproj.io/v1alpha1"

UNKNOWN_KIND = Rule(
    "unknown-kind",
    Severity.ERROR,
    "Argo's lint ignores a document whose kind it does not know, so nothing in it is checked; the API server refuses it.",
    "Correct the kind.",
)
API_VERSION = Rule(
    "api-version",
    Severity.ERROR,
    "Argo's lint and submit never look at it; kubectl and GitOps tools find no such kind on the cluster.",
    f"Write apiVersion: {VERSION}.",
)
TWICE = Rule(
    "template-twice",
    Severity.ERROR,
    "Two documents of one kind, namespace and name: Argo's lint refuses the files, and on a cluster the later one replaces the earlier.",
    "Rename one of them.",
)
RULES = (UNKNOWN_KIND, API_VERSION, TWICE)


def title(document: Any) -> str:
    """What a document that is not linted is called in the report."""
    kind = document.get("kind") if isinstance(document, dict) else None
    return str(kind) if isinstance(kind, str) and kind else "no Kubernetes object"


def config_maps(found: Iterable[Any]) -> ConfigMaps:
    """The ConfigMaps among documents."""
    maps: ConfigMaps = {}
    for one in found:
        metadata = one.get("metadata") if isinstance(one, dict) and one.get("kind") == "ConfigMap" else None
        if isinstance(metadata, dict):
            labels, data = metadata.get("labels"), one.get("data")
            sound = {"metadata": {"labels": labels if isinstance(labels, dict) else {}}, "data": data if isinstance(data, dict) else {}}
            maps[str(metadata.get("namespace", "")), str(metadata.get("name"))] = sound
    return maps


def check(document: Any) -> Iterator[Finding]:
    """Runs on every document, whatever it is."""
    if not isinstance(document, dict):
        return
    kind, version = document.get("kind"), document.get("apiVersion")
    mine = str(version or "").startswith(("argoproj.io/v1alpha1", "argoproj.io/v1"))
    if kind in KINDS:
        if version != VERSION:
            yield Finding(API_VERSION, ("apiVersion",), f"apiVersion is {version!r}, expected {VERSION!r}")
    elif not kind and mine:
        yield Finding(UNKNOWN_KIND, (), "the document has no kind")
    elif str(kind).lower() in [known.lower() for known in KINDS] or (mine and close_to(str(kind), KINDS)):
        yield Finding(UNKNOWN_KIND, ("kind",), f"unknown kind {kind!r}{close_to(str(kind), KINDS)}")


def shelve(subject: Subject, library: dict[Key, Subject]) -> Iterator[Finding]:
    """Puts a template into the library of the call."""
    name, namespace = subject.metadata.get("name"), subject.metadata.get("namespace", "")
    key = (subject.kind, "" if subject.kind.startswith("Cluster") else str(namespace), str(name))
    if key in library and name:
        yield Finding(TWICE, ("metadata", "name"), f"duplicate {subject.kind} found: {str(name)!r}")
    library.setdefault(key, subject)
