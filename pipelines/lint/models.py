"""The fields of Argo's objects and their types.

Read from Hera's models (Argo 4.0) and a table of what Argo 4.1 added; tests/lint/test_schema.py holds both against the published schemas.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

KINDS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")


@dataclass(frozen=True)
class Type:
    """What a value must be: `text`, `whole`, `number`, `truth`, `either`, `quantity`, `any`, `list`, `map` or `object`."""

    kind: str
    inner: Any = None
    """Of a list or map: the Type of what is in it. Of an object: a function to its Fields."""
    name: str = ""

    def fields(self) -> "Fields":
        found: Fields = self.inner()
        return found


@dataclass(frozen=True)
class Fields:
    types: Mapping[str, Type]
    required: frozenset[str]


_TEXT, _WHOLE, _TRUTH = Type("text"), Type("whole"), Type("truth")


def _object(name: str, required: str = "", /, **fields: Type) -> Type:
    return Type("object", lambda: Fields(fields, frozenset(required.split())), name)


_RULE = _object(
    "ContainerRestartRule",
    "action",
    action=_TEXT,
    exitCodes=_object("ContainerRestartRuleOnExitCodes", "operator", operator=_TEXT, values=Type("list", _WHOLE)),
)
_CLAIM = _object("PodResourceClaim", "name", name=_TEXT, resourceClaimName=_TEXT, resourceClaimTemplateName=_TEXT)
_CERTIFICATE = _object(
    "PodCertificateProjection",
    "keyType signerName",
    **dict.fromkeys(("certificateChainPath", "credentialBundlePath", "keyPath", "keyType", "signerName"), _TEXT),
    maxExpirationSeconds=_WHOLE,
    userAnnotations=Type("map", _TEXT),
)
_FILE_KEY = _object("FileKeySelector", "key path volumeName", key=_TEXT, path=_TEXT, volumeName=_TEXT, optional=_TRUTH)


@cache
def _added() -> Mapping[str, Mapping[str, Type]]:
    """What the schemas of Argo 4.1 have and Hera's models lack."""
    models = _models()
    resources, metadata = _of_model(models.ResourceRequirements), _of_model(models.ObjectMeta)
    container = _of_model(models.Container)
    sidecar = _object("ExecutorPluginSidecar", "container", automountServiceAccountToken=_TRUTH, container=container)
    plugin = _object("ExecutorPlugin", "metadata spec", metadata=metadata, spec=_object("ExecutorPluginSpec", "sidecar", sidecar=sidecar))
    pods = {"podResources": resources, "resourceClaims": Type("list", _CLAIM)}
    rules = {"restartPolicyRules": Type("list", _RULE)}
    return {
        "WorkflowSpec": pods | {"executorPlugins": Type("list", plugin)},
        "Template": pods | {"pendingTimeout": _TEXT},
        "HTTPArtifact": {"saveStreamViaFile": _TRUTH},
        "S3Artifact": {"addressingStyle": _TEXT},
        "EnvVarSource": {"fileKeyRef": _FILE_KEY},
        "VolumeProjection": {"podCertificate": _CERTIFICATE},
        **dict.fromkeys(("Container", "ContainerNode", "UserContainer", "ScriptTemplate"), rules),
    }


@cache
def _models() -> Any:
    """Hera's models, a second of import."""
    import hera.workflows.models

    return hera.workflows.models


@cache
def of_kind(kind: str) -> Type:
    """The type of a whole object: one of KINDS."""
    return _of_model(getattr(_models(), kind))


def container() -> Type:
    """A container of a pod."""
    return _of_model(_models().Container)


def _of_model(model: Any) -> Type:
    return Type("object", lambda: _fields(model), model.__name__)


@cache
def _fields(model: Any) -> Fields:
    own = {f.alias or n: _of(f.annotation) for n, f in model.model_fields.items()}
    required = {f.alias or n for n, f in model.model_fields.items() if f.is_required()}
    return Fields({**own, **_added().get(model.__name__, {})}, frozenset(required))


def _of(annotation: Any) -> Type:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return _of(next(one for one in inner if one is not types.NoneType))
    if origin is typing.Annotated:
        return _of(inner[0])
    if origin is list:
        return Type("list", _of(inner[0]))
    if origin is dict:
        return Type("map", _of(inner[1]))
    simple = {str: "text", int: "whole", float: "number", bool: "truth", Any: "any"}
    if annotation in simple:
        return Type(simple[annotation])
    special = {"IntOrString": "either", "Quantity": "quantity", "Time": "text", "Amount": "number", "Item": "any", "Plugin": "any"}
    if annotation.__name__ in special:
        return Type(special[annotation.__name__], name=annotation.__name__)
    if annotation.__name__ == "ParallelSteps":
        return Type("list", _of_model(_models().WorkflowStep))
    return _of_model(annotation)


_PORT = Type("either", name="IntOrString")
LOOSE: Mapping[tuple[str, str], Type] = {
    **dict.fromkeys([("Parameter", "value"), ("Parameter", "default"), ("ValueFrom", "default")], Type("value")),
    ("Parameter", "enum"): Type("list", Type("value")),
    **dict.fromkeys([("HTTPGetAction", "port"), ("TCPSocketAction", "port")], _PORT),  # Hera says int; Kubernetes takes a port's name
}
"""Fields that take more than Hera's models say: Argo's AnyString makes text of numbers and booleans."""
