"""Where a model comes from: the facts of its run, its training compute, and the SLSA provenance that `verify` signs.

https://slsa.dev/spec/v1.1/provenance
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from steps import signing
from steps.faults import BadData
from steps.runfile import Plan
from steps.store import Manifest

KIND = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://fleece.dev/finetune/v1"
# A general-purpose model's training takes more than 1e23 FLOP (indicative); who changes one with over a third of its compute becomes a
# provider. The third is of this number where the original compute is unknown. Commission guidelines of 18 July 2025:
# https://digital-strategy.ec.europa.eu/en/library/guidelines-scope-obligations-providers-general-purpose-ai-models-under-ai-act
GENERAL_PURPOSE_FLOP = 1e23
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}


class Compute(BaseModel):
    """Training compute in floating-point operations, at most 6 x parameters x tokens. https://arxiv.org/abs/2001.08361"""

    model_config = ConfigDict(extra="forbid", frozen=True)
    parameters: int
    tokens: int
    flop: float
    base_flop: float
    base_known: bool
    share: float
    above_one_third: bool

    @property
    def words(self) -> str:
        of = "the base model's training" if self.base_known else f"{self.base_flop:.0e} FLOP, as the base model's own compute is unknown"
        judged = "above" if self.above_one_third else "not above"
        return (
            f"At most {self.flop:.2e} FLOP (6 x {self.parameters:,} parameters x at most {self.tokens:,} tokens), {self.share:.1e} of "
            f"{of}. That is {judged} one third, beyond which who changes a general-purpose model counts as its provider (EU AI Act)."
        )


class Facts(BaseModel):
    """What the machine knows of a model, each from the record that proves it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    plan: Plan
    dataset: dict[str, Any]
    trained: dict[str, Any]
    digest: str
    parameters: int
    compute: Compute
    created: str


def parameters(manifest: Manifest, config: dict[str, Any]) -> int:
    """Parameters of a model folder, from the size of its weights and their type. Raises BadData for a type without a known size."""
    kind = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    if kind not in _BYTES:
        raise BadData(f"config.json names the type {kind!r}; known are {', '.join(sorted(_BYTES))}")
    return sum(file.size for file in manifest.files if file.path.endswith(".safetensors")) // _BYTES[kind]


def tokens(training: dict[str, Any], trained: dict[str, Any]) -> int:
    """Tokens the training saw, at most: every row as long as `cutoff_len` allows (2,048 by LLaMA-Factory's default)."""
    cutoff = int(training.get("cutoff_len", 2048))
    if int(training.get("max_steps", -1)) > 0:
        batch = int(training.get("per_device_train_batch_size", 8)) * int(training.get("gradient_accumulation_steps", 1))
        return int(trained["steps"]) * batch * int(trained["world_size"]) * cutoff
    return int(float(training.get("num_train_epochs", 3)) * int(trained["train_rows"])) * cutoff


def compute(parameters: int, tokens: int, base_flop: float | None) -> Compute:
    """The one-third test of the EU AI Act's guidelines."""
    flop, base = 6.0 * parameters * tokens, base_flop or GENERAL_PURPOSE_FLOP
    return Compute(
        parameters=parameters, tokens=tokens, flop=flop, base_flop=base, base_known=base_flop is not None, share=flop / base,
        above_one_third=flop / base > 1 / 3,
    )  # fmt: skip


def statement(facts: Facts, run: str, images: list[str]) -> dict[str, Any]:
    """The provenance as an in-toto statement, unsigned: `verify` signs it when it has read the evidence again."""
    plan = facts.plan
    resolved = [
        _resource(plan.commit.path, {"gitCommit": plan.commit.commit, "sha256": _hex(plan.commit.sha256)}, plan.commit.repo),
        _resource(f"code:{plan.run_id}", {"sha256": _hex(plan.code)}),
        _resource(plan.runfile.base.name, {"sha256": _hex(plan.base_digest)}, plan.base),
        _resource(facts.dataset["data_id"].partition("@")[0], {"sha256": _hex(facts.dataset["data_id"])}),
        _resource("source data", {"sha256": _hex(plan.data_digest)}, plan.data),
        *[_resource(image, {"sha256": _hex(image)}) for image in images if "@sha256:" in image],
    ]
    internal = {"trained": {key: facts.trained[key] for key in sorted(facts.trained) if key != "losses"}, "dirty": plan.commit.dirty}
    external = {"runfile": plan.runfile.model_dump(mode="json", by_alias=True), "preset": plan.preset, "training": plan.training}
    return signing.statement(
        plan.runfile.model,
        facts.digest,
        KIND,
        {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": external,
                "internalParameters": internal,
                "resolvedDependencies": resolved,
            },
            "runDetails": {"builder": {"id": BUILD_TYPE}, "metadata": {"invocationId": run, "finishedOn": facts.created}},
        },
    )


def _resource(name: str, digest: dict[str, str], uri: str = "") -> dict[str, Any]:
    return {"name": name, "digest": digest} | ({"uri": uri} if uri else {})


def _hex(digest: str) -> str:
    return digest.rpartition(":")[2]
