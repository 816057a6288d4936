"""The run file: everything one fine-tuning run is made of, in git (`fleece/v1`), and what `plan` makes of it (`plan.json`)."""

import difflib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steps import store
from steps.contracts import Digest, Name, Preset, Text, Uri
from steps.faults import BadInput

RiskClass = Literal["MINIMAL", "LIMITED", "GENERAL_PURPOSE", "HIGH_RISK", "PROHIBITED", "UNCLASSIFIED"]
# A path in the config repository, an object of the tenant's store (store://uploads/x.jsonl), or a whole URI.
Source = Annotated[Text, Field(pattern=r"^((store|file|gs)://)?[^/\s:][^\s:]*$|^(file|gs)://\S+$")]
RepoPath = Annotated[Text, Field(pattern=r"^[^/\s][^\s]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Base(_Strict):
    source: Source = Field(description="folder of the base model: store://…, gs://…, file://…")
    name: Text = Field(description="its public name, as the model card shows it")
    revision: Text = Field(description="its revision, a commit hash where it comes from a hub")
    license: Text = Field(description="its licence, an SPDX id")
    training_flop: float | None = Field(None, gt=0, description="compute that went into it, if known (EU AI Act, one-third test)")


class Split(_Strict):
    """Rows go to a split by the hash of their group, so added rows never move an old one."""

    group: Text = Field("", description="column whose equal values stay together; empty: the prompt")
    test: float = Field(0.1, gt=0, lt=0.5, description="share held out for the gate")
    validation: float = Field(0.05, ge=0, lt=0.5, description="share watched while training")
    salt: Text = Field("fleece", description="change it to draw new splits")


class Dataset(_Strict):
    name: Name
    source: Source = Field(description="JSON Lines or JSON file, or text for pretraining")
    format: Literal["alpaca", "sharegpt", "openai", "preference", "kto", "pretraining"] = "alpaca"
    columns: dict[str, str] = Field({}, description="LLaMA-Factory's column names, where they differ from its defaults")
    license: Text = Field(description="licence of the data, an SPDX id or `proprietary`")
    card: RepoPath = Field(description="dataset card (YAML) in the repository")
    split: Split = Split()


class Training(_Strict):
    config: RepoPath = Field(description="a plain LLaMA-Factory YAML in the repository")
    seed: int = Field(42, ge=0)


class Evaluation(_Strict):
    max_new_tokens: int = Field(32, ge=1, le=4096, description="longest answer on the team's own test items")
    limit: int | None = Field(None, ge=1, description="most test items to use; the gate's policy may forbid it")


class Risk(_Strict):
    risk_class: RiskClass = Field(alias="class")
    rationale: Text = Field(min_length=30, description="why this class")


class Deployment(_Strict):
    environment: Name = "local"
    prompt: Text = Field("", description="the probe's prompt; empty: the first test item")


class RunFile(_Strict):
    apiVersion: Literal["fleece/v1"]
    tenant: Name
    model: Annotated[Text, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+\.v[0-9]+$")] = Field(description="<tenant>.<use>.v<major>")
    owner: Text = Field(min_length=3, description="who answers for the model: a monitored address")
    base: Base
    dataset: Dataset
    training: Training
    evaluation: Evaluation = Evaluation()
    gate: RepoPath = Field(description="gate policy (YAML) in the repository")
    risk: Risk
    card: RepoPath = Field(description="the human part of the model card (YAML) in the repository")
    deployment: Deployment = Deployment()


class Commit(_Strict):
    """Where the run file came from."""

    repo: Text
    commit: Text = Field(description="git commit; `none` outside a repository")
    dirty: bool = Field(description="true when the folder had changes that are in no commit")
    path: Text
    sha256: Digest = Field(description="digest of the run file and the files it names")


class Plan(_Strict):
    """`<run>/plan.json`: the resolved run, which every later step reads. Written once, by the first submission."""

    run_id: Name
    runfile: RunFile
    commit: Commit
    training: dict[str, Any] = Field(description="the LLaMA-Factory YAML, as written")
    gate: dict[str, Any] = Field(description="the gate policy, as written")
    data_card: dict[str, Any]
    model_card: dict[str, Any]
    data: Uri = Field(description="the source data, copied into the store under its digest")
    data_digest: Digest = Field(description="sha256 of the source file's bytes")
    base: Uri = Field(description="the base model's committed folder")
    base_digest: Digest = Field(description="model digest of the base")
    code: Digest = Field(description="digest of the step modules that do the work")
    preset: Preset


def parse_runfile(content: Any, where: str) -> RunFile:
    """Raises BadInput naming every wrong key."""
    try:
        return RunFile.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {_explain(problem)}" for problem in error.errors())
        raise BadInput(f"{where} is no run file: {problems}. See configs/demo/run.yaml") from None


def _explain(problem: Any) -> str:
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] != "extra_forbidden":
        return str(problem["msg"])
    sections = (RunFile, Base, Split, Dataset, Training, Evaluation, Risk, Deployment)
    keys = {field.alias or name for section in sections for name, field in section.model_fields.items()}
    near = difflib.get_close_matches(str(problem["loc"][-1]), sorted(keys), 1)
    return "is no key of a run file" + (f"; did you mean {near[0]}?" if near else "; take it out")


def read_plan(run: str) -> Plan:
    """Raises BadInput when `plan` has not run."""
    try:
        return Plan.model_validate(store.read_json(store.join(run, "plan.json")))
    except store.Missing:
        raise BadInput(f"{run} is no run: it has no plan.json. Run `plan` first, and give the run it names") from None
