"""What a workflow gets from its surroundings before anything of it has run."""

from typing import TYPE_CHECKING

from pipelines.local import arguments, metadata, scope
from pipelines.local.caller import EVALUATION, NodeError

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


def set_parameters(engine: "Engine") -> None:
    """Workflow parameters from ConfigMaps, once (argo-data-flow 016, 017). Raises ArgumentError for one that cannot be had."""
    for parameter in (engine.spec.get("arguments") or {}).get("parameters") or []:
        source = (parameter.get("valueFrom") or {}).get("configMapKeyRef")
        if source is None or "value" in parameter:
            continue
        try:
            parameter["value"] = arguments.from_config_map(source, engine.maps)
        except arguments.NoValue as error:
            if "default" not in parameter["valueFrom"]:
                what = f"global parameter {parameter['name']} from configmap with name {source['name']} and key {source['key']}"
                raise arguments.ArgumentError(f"failed to set global parameters: failed to set {what}: {error}") from None
            parameter["value"] = parameter["valueFrom"]["default"]
        engine.globals |= scope.of_workflow(engine.object, engine.spec)


def set_metadata(engine: "Engine") -> None:
    """The workflow's own labels and annotations; from then on tags may name them. Raises NodeError when a tag of theirs has no value."""
    if engine.nodes.all or not engine.spec.get("workflowMetadata"):
        return
    try:
        for kind, found in metadata.asked_for(engine.spec, engine.globals).items():
            if found:
                engine.object["metadata"][kind] = (engine.object["metadata"].get(kind) or {}) | found
    except (metadata.MetadataError, *EVALUATION) as error:
        raise NodeError(str(error)) from None
    engine.globals |= scope.of_workflow(engine.object, engine.spec)
    engine.dirty = True
