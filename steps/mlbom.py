"""The machine-learning bill of materials: CycloneDX 1.6 as plain JSON. What is in the model, what it was made with, and what it can do.

https://cyclonedx.org/docs/1.6/json/
"""

import uuid
from typing import Any

from steps.model_card import ModelCard

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://fleece.dev/mlbom")


def build(card: ModelCard) -> dict[str, Any]:
    """The BOM of a card. Pure: the serial number follows from the model's digest."""
    about = card.identification
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, about.digest)}",
        "version": 1,
        "metadata": {"timestamp": about.created, "component": _model(card)},
        "components": [_dataset(card), *_libraries(card)],
        "dependencies": [{"ref": _ref(card), "dependsOn": ["dataset", *sorted(f"pkg:{name}" for name in card.method.versions)]}],
    }


def _model(card: ModelCard) -> dict[str, Any]:
    about = card.identification
    return {
        "type": "machine-learning-model",
        "bom-ref": _ref(card),
        "name": about.model_id,
        "version": about.digest.removeprefix("sha256:")[:12],
        "hashes": [_hash(about.digest)],
        "licenses": [_license(about.license)],
        "pedigree": {"ancestors": [_base(card)]},
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "text-generation",
                "datasets": [{"ref": "dataset"}],
                "inputs": [{"format": "text"}],
                "outputs": [{"format": "text"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": _metrics(card)},
            "considerations": {
                "useCases": card.purpose.purpose,
                "technicalLimitations": card.limitations.limitations,
                "ethicalConsiderations": [{"name": text} for text in card.limitations.misuse],
            },
        },
    }


def _base(card: ModelCard) -> dict[str, Any]:
    about = card.identification
    return {
        "type": "machine-learning-model",
        "name": about.base_model,
        "version": about.base_revision,
        "hashes": [_hash(about.base_digest)],
        "licenses": [_license(about.license)],
    }


def _dataset(card: ModelCard) -> dict[str, Any]:
    data = card.data
    name, _, digest = data.data_id.partition("@")
    contents: dict[str, Any] = {"type": "dataset", "bom-ref": "dataset-contents", "name": name, "classification": data.license}
    return {
        "type": "data",
        "bom-ref": "dataset",
        "name": name,
        "version": digest.removeprefix("sha256:")[:12],
        "hashes": [_hash(digest)],
        "licenses": [_license(data.license)],
        "data": [contents],
    }


def _libraries(card: ModelCard) -> list[dict[str, Any]]:
    return [
        {"type": "library", "bom-ref": f"pkg:{name}", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in sorted(card.method.versions.items())
    ]


def _metrics(card: ModelCard) -> list[dict[str, Any]]:
    found = card.results.scores["candidate"]
    return [
        {"type": f"{task}/{metric}", "value": f"{score.value:.6g}"} | _interval(score.value, score.stderr)
        for task, metrics in found.items()
        for metric, score in metrics.items()
    ]


def _interval(value: float, stderr: float | None) -> dict[str, Any]:
    if stderr is None:
        return {}
    low, high = value - 1.96 * stderr, value + 1.96 * stderr
    return {"confidenceInterval": {"lowerBound": f"{low:.6g}", "upperBound": f"{high:.6g}"}}


def _ref(card: ModelCard) -> str:
    return f"model:{card.identification.digest}"


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.rpartition(":")[2]}


def _license(name: str) -> dict[str, Any]:
    """By name, not by SPDX id: the schema refuses an id it does not list, and `proprietary` is none."""
    return {"license": {"name": name}}
