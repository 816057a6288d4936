"""What the API server's schema asks of single fields: words of a list, sizes, patterns, one of several.

From the published schemas of Argo 4.1.2; tests/lint/test_schema.py holds the words against them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.local.calls import LOCATIONS
from pipelines.local.naming import close_to

UNKNOWN_WORD = Rule(
    "unknown-word",
    Severity.ERROR,
    "The field takes one of a few words; Argo or the API server refuses any other, for fields of a pod when the node is reached.",
    "Use one of the words that are listed.",
)
OUT_OF_RANGE = Rule(
    "out-of-range",
    Severity.ERROR,
    "The API server's schema has a least or a largest value, length or number of items here; it refuses the object.",
    "Stay within the bounds.",
)
SEVERAL_LOCATIONS = Rule(
    "several-locations",
    Severity.ERROR,
    "An artifact lies in one place; the API server refuses an object that names more.",
    "Keep one of them.",
)
RULES = (UNKNOWN_WORD, OUT_OF_RANGE, SEVERAL_LOCATIONS)

_GC = ("", "OnWorkflowCompletion", "OnWorkflowDeletion", "Never")
WORDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("ArtifactGC", "strategy"): _GC,
    ("WorkflowLevelArtifactGC", "strategy"): _GC,
    ("S3Artifact", "addressingStyle"): ("", "path", "virtual-hosted"),
    ("Gauge", "operation"): ("Set", "Add", "Sub"),
    ("ResourceTemplate", "mergeStrategy"): ("strategic", "merge", "json"),
}
"""Those of Argo's own; what its validator says itself (retryPolicy, podGC, concurrencyPolicy, resource.action) is not repeated here."""

_PULL = ("Always", "IfNotPresent", "Never", "")
_MESSAGES = ("File", "FallbackToLogsOnError", "")
POD_WORDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    **{(kind, "imagePullPolicy"): _PULL for kind in ("Container", "ContainerNode", "UserContainer", "ScriptTemplate")},
    **{(kind, "terminationMessagePolicy"): _MESSAGES for kind in ("Container", "ContainerNode", "UserContainer", "ScriptTemplate")},
    ("WorkflowSpec", "dnsPolicy"): ("", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    ("Toleration", "operator"): ("", "Exists", "Equal"),
    ("Toleration", "effect"): ("", "NoSchedule", "PreferNoSchedule", "NoExecute"),
    ("ContainerPort", "protocol"): ("", "TCP", "UDP", "SCTP"),
}
"""Those of Kubernetes' core API, which are seen only when a pod is made."""

LEAST: Mapping[tuple[str, str], int] = {
    **{(kind, "parallelism"): 1 for kind in ("WorkflowSpec", "Template")},
    ("Artifact", "mode"): 0,
}
MOST: Mapping[tuple[str, str], int] = {
    ("Artifact", "mode"): 511,
    ("WorkflowSpec", "templates"): 200,
    ("DAGTemplate", "tasks"): 200,
    ("Inputs", "parameters"): 500,
    ("Metrics", "prometheus"): 100,
    ("Gauge", "value"): 256,
}
"""Of numbers, of the length of texts and lists."""


def check(name: str, found: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """What is wrong with the fields of one object; `name`: of its type."""
    for key, value in found.items():
        words = WORDS.get((name, key)) or POD_WORDS.get((name, key))
        if words and value not in words and not ("{{" in value and (name, key) in POD_WORDS):
            listed = ", ".join(word for word in words if word)
            yield Finding(UNKNOWN_WORD, (*path, key), f"`{key}` is {value!r}, expected one of {listed}{close_to(value, words)}")
        least, most = LEAST.get((name, key)), MOST.get((name, key))
        size = len(value) if isinstance(value, str | list) else value
        if (least is not None and size < least) or (most is not None and size > most):
            bounds = [f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None)
            yield Finding(OUT_OF_RANGE, (*path, key), f"`{key}` is {size}, expected {' and '.join(bounds)}")
    located = [kind for kind in LOCATIONS if kind in found] if name in ("Artifact", "ArtifactLocation", "ArtifactPaths") else []
    if len(located) > 1:
        yield Finding(SEVERAL_LOCATIONS, (*path, located[1]), f"the artifact names {' and '.join(located)}")
