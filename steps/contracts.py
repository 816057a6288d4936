"""What every step takes and gives, in pipeline order: the data flow on one page.

A field is a flag of `python -m steps.<verb>`, an input or output parameter of the template, and a line of its documentation.
Small values travel as parameters; everything else lies in the store, and the parameter is its URI.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST_VALUE = 65536
_FORBIDDEN = re.compile(r"\{\{|\}\}|\$\(|[\x00-\x1f\x7f]")


def inert(value: str) -> str:
    """Refuse text that Argo (tags, also inside values) or Kubernetes (`$(VAR)`) would expand, or that breaks their JSON."""
    found = _FORBIDDEN.search(value)
    if found:
        raise ValueError(f"contains {found.group()!r}, which Argo or Kubernetes would act on; take it out")
    if len(value.encode()) > LONGEST_VALUE:
        raise ValueError(f"is {len(value.encode())} bytes long; a value has at most {LONGEST_VALUE}. Put it in the run file")
    return value


def _inside(value: str) -> str:
    if ".." in value.split("://", 1)[-1].split("/"):
        raise ValueError("has a '..' segment; give the folder itself")
    return value


Text = Annotated[str, AfterValidator(inert)]
_ADDRESS = r"(file|gs)://[^?#'\\\x22]+"  # no quote, no backslash: a URI stands inside YAML and JSON text
Uri = Annotated[str, AfterValidator(inert), Field(pattern=f"^{_ADDRESS}$"), AfterValidator(_inside)]
OptionalUri = Annotated[str, AfterValidator(inert), Field(pattern=f"^(none|{_ADDRESS})$"), AfterValidator(_inside)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$")]
YesNo = Literal["yes", "no"]
Preset = Literal["2x1-cpu", "2x1-l4", "2x2-l4", "3x1-l4", "1x8-h100"]
Verdict = Literal["promote", "hold", "undecided"]


class Contract(BaseModel):
    """Strict and frozen: an unknown field is an error, on the command line as at compile time.

    Of the forty contracts a step builds the validators of its own two: all of them took a quarter of its start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class In(Contract):
    """What a step takes. With `remembers`, the same inputs give the recorded result; without, the step looks at the world again."""

    remembers: ClassVar[bool] = True


class Out(Contract):
    """What a step gives. `reused` and `result` are filled in by the runtime."""

    reused: YesNo = Field("no", description="yes when a recorded result was returned and no work was done")
    result: OptionalUri = Field("none", description="URI of the step's result.json, written last")


def passing(description: str, default: Any = ...) -> Any:
    """A field that says who asked, when or after what, not what is to be done: it has no part in the digest of a step's inputs."""
    return Field(default, description=description, json_schema_extra={"passing": True})


def skippable(description: str, absent: str) -> Any:
    """An output whose step may be skipped; `absent` is what its readers then get (Argo's `valueFrom.default`)."""
    return Field(description=description, json_schema_extra={"absent": absent})


_RUN = Field(description="URI of the run's folder in the store")
_REQUEST = Field(description="URI of the release request, request.json")
_LABELS = passing("the Workflow's labels as JSON; the creator label says who asked", "")
_WORKFLOW = passing("name of the Workflow", "by-hand")
_UID = passing("uid of the Workflow", "by-hand")


# --- finetune: from a run file to a release request ---------------------------------------------------------------------------


class PlanIn(In):
    remembers = False
    config_repo: Text = Field("", description="git repository with the run file; empty: the one of the settings")
    config_ref: Text = Field("", description="branch, tag or commit; empty: the default branch, or a local folder as it is")
    config: Text = Field("configs/demo/run.yaml", description="path of the run file in the repository")
    preset: Preset = Field("2x1-cpu", description="machines to train on: nodes x GPUs of each, and the kind")
    promote: Literal["auto", "ask", "never"] = Field(
        "auto", description="how far the run may go by itself; it can only lower what policy grants"
    )
    unchanged: Literal["reuse", "stop"] = Field(
        "reuse", description="when data, config and base are those of an earlier run: reuse its results, or stop at once"
    )
    tenant: Name = Field("default", description="the namespace; the run file must name the same tenant")
    labels: Text = _LABELS
    workflow: Text = _WORKFLOW
    uid: Text = _UID


class PlanOut(Out):
    run: Uri = Field(description="URI of the run's folder; its name is the run id")
    run_id: Name = Field(description="digest of the resolved run file, data, base and code: 16 hexadecimal digits")
    model_id: Text = Field(description="<tenant>.<use>.v<major>")
    base: Uri = Field(description="URI of the base model's committed folder")
    champion: OptionalUri = Field(description="URI of the model in production, or none")
    go: YesNo = Field(description="no when there is nothing to do")
    reason: Text = Field(description="why the run goes on or stops")


class ValidateIn(In):
    run: Uri = _RUN


class ValidateOut(Out):
    dataset: Uri = Field(description="URI of the committed dataset: canonical rows, features, report, card")
    data_id: Text = Field(description="<name>@sha256:<digest of the sorted row ids>")
    rows: int = Field(description="rows accepted", ge=0)
    warnings: int = Field(description="findings that do not block", ge=0)


class PrepareIn(In):
    run: Uri = _RUN
    dataset: Uri = Field(description="URI of the committed dataset")


class PrepareOut(Out):
    prepared: Uri = Field(description="URI of the folder with the splits, dataset_info.json, train.yaml and task.json")
    train_rows: int = Field(description="rows to train on", ge=0)
    val_rows: int = Field(description="rows to watch while training", ge=0)
    test_rows: int = Field(description="rows held out for the gate", ge=0)


class RenderIn(In):
    run: Uri = _RUN
    prepared: Uri = Field(description="URI of the prepared folder")
    base: Uri = Field(description="URI of the base model")
    preset: Preset = Field(description="machines to train on")
    jobset: Name = Field(description="name of the JobSet, at most 48 characters")
    workflow: Text = _WORKFLOW


class RenderOut(Out):
    needed: YesNo = Field(description="no when this run id is already trained")
    manifest: Text = Field(description="the JobSet as one line of JSON")
    job: Text = Field(description="its child Job as one line of JSON, for the server-side dry run")


class TrainIn(In):
    """The JobSet's entrypoint, one process a node; NNODES, NODE_RANK, NPROC_PER_NODE, MASTER_ADDR, MASTER_PORT come by environment."""

    remembers = False
    run: Uri = _RUN
    prepared: Uri = Field(description="URI of the prepared folder")
    base: Uri = Field(description="URI of the base model")
    scratch: Text = Field("/scratch", description="local folder for checkpoints and caches")


class FollowIn(In):
    remembers = False
    run: Uri = _RUN
    jobset: Name = Field(description="name of the JobSet")


class FollowOut(Out):
    lines: int = Field(description="progress lines shown", ge=0)


class CollectIn(In):
    run: Uri = _RUN
    prepared: Uri = Field(description="URI of the prepared folder")
    state: Text = passing("terminal state of the JobSet: Completed, Failed, or absent when none was needed", "absent")
    reason: Text = passing("reason of that state", "absent")
    restarts: Text = passing("restarts of the gang", "0")
    counted: Text = passing("restarts that used up the budget", "0")
    code: Text = passing("the exit code that decided, if one did", "absent")


class CollectOut(Out):
    trained: Uri = Field(description="URI of the trained weights: an adapter or a whole model")
    steps: int = Field(description="optimizer steps done", ge=0)
    loss: float = Field(description="mean training loss over the last tenth of the run")
    seconds: float = Field(description="wall time of the training itself, all attempts", ge=0)


class MergeIn(In):
    run: Uri = _RUN
    base: Uri = Field(description="URI of the base model")
    trained: Uri = Field(description="URI of the trained weights")


class MergeOut(Out):
    model: Uri = Field(description="URI of the whole model's committed folder")
    digest: Digest = Field(description="model digest: manifest of weights, tokenizer, config and chat template")


class EvaluateIn(In):
    run: Uri = _RUN
    prepared: Uri = Field(description="URI of the prepared folder: task and items")
    model: Uri = Field(description="URI of the model to measure")
    role: Literal["candidate", "baseline", "champion"] = Field(description="what the model is in the comparison")


class EvaluateOut(Out):
    evaluation: OptionalUri = skippable("URI of the evaluation: scores and per-item records", "none")
    score: float = Field(description="the first task's first metric", json_schema_extra={"absent": "0"})


class GateIn(In):
    run: Uri = _RUN
    model: Uri = Field(description="URI of the candidate")
    digest: Digest = Field(description="digest of the candidate, as trained")
    candidate: Uri = Field(description="URI of the candidate's evaluation")
    baseline: Uri = Field(description="URI of the base model's evaluation")
    champion: OptionalUri = Field("none", description="URI of the champion's evaluation, or none")


class GateOut(Out):
    verdict: Verdict = Field(description="promote, hold or undecided")
    reason: Text = Field(description="the verdict in words")
    decision: Uri = Field(description="URI of the decision: gate.json and the report")


class DocumentIn(In):
    run: Uri = _RUN
    dataset: Uri = Field(description="URI of the dataset")
    trained: Uri = Field(description="URI of the trained weights")
    model: Uri = Field(description="URI of the candidate")
    digest: Digest = Field(description="digest of the candidate")
    decision: Uri = Field(description="URI of the gate's decision")


class DocumentOut(Out):
    card: Uri = Field(description="URI of the folder with README.md, model_card.json, mlbom.cdx.json and provenance.json")


class RegisterIn(In):
    run: Uri = _RUN
    model: Uri = Field(description="URI of the candidate")
    digest: Digest = Field(description="digest of the candidate")
    verdict: Verdict = Field(description="the gate's verdict")
    decision: Uri = Field(description="URI of the gate's decision")
    card: Uri = Field(description="URI of the model card's folder")


class RegisterOut(Out):
    version: int = Field(description="version in the registry", ge=1)
    status: Literal["VALIDATED", "REJECTED"] = Field(description="VALIDATED when the gate said promote")


class RequestIn(In):
    remembers = False
    run: Uri = _RUN
    model: Uri = Field(description="URI of the candidate")
    digest: Digest = Field(description="digest of the candidate")
    version: int = Field(description="version in the registry", ge=1)
    verdict: Verdict = Field(description="the gate's verdict")
    decision: Uri = Field(description="URI of the gate's decision")
    card: Uri = Field(description="URI of the model card's folder")
    promote: Literal["auto", "ask", "never"] = Field(description="how far the submitter lets the run go by itself")
    labels: Text = _LABELS
    workflow: Text = _WORKFLOW
    uid: Text = _UID


class RequestOut(Out):
    request: Uri = Field(description="URI of the release request, request.json")
    route: Literal["auto", "ask", "none"] = Field(description="released by itself, after a person's approval, or not at all")
    reason: Text = Field(description="why this route")


class ConcludeIn(In):
    """finetune's last step: a failed release fails the run, and the run says what became of it."""

    remembers = False
    run: Uri = _RUN
    route: Literal["auto", "ask", "none"] = Field(description="route of the release request")
    phase: Text = Field("none", description="end phase of the release Workflow, or none")


class ConcludeOut(Out):
    outcome: Literal["released", "waiting for approval", "not released"] = Field(description="what became of the run")


# --- release: verify, promote, deploy, rollout, probe --------------------------------------------------------------------------


class ApproveIn(In):
    request: Uri = _REQUEST
    digest: Digest = Field(description="digest of the model that is decided on, as the request shows it")
    decision: Literal["reject", "approve"] = Field("reject", description="what the approver decides")
    reason: Text = Field(description="why, in at least 10 characters", min_length=10)
    labels: Text = Field("", description="the Workflow's labels as JSON; the creator label is the approver")
    uid: Text = Field("by-hand", description="uid of the approving Workflow")


class ApproveOut(Out):
    approval: Uri = Field(description="URI of the signed record")


class VerifyIn(In):
    remembers = False
    request: Uri = _REQUEST
    approval: OptionalUri = Field("none", description="URI of the signed approval, where policy asks for one")


class VerifyOut(Out):
    run: Uri = _RUN
    attestation: Uri = Field(description="URI of the signed statement that promote and deploy verify")
    model_id: Text = Field(description="registered model; releases of one model go one after the other")
    environment: Name = Field(description="environment to deploy to")


class PromoteIn(In):
    remembers = False
    run: Uri = _RUN
    attestation: Uri = Field(description="URI of the signed statement")


class PromoteOut(Out):
    model_id: Text = Field(description="registered model")
    version: int = Field(description="the version that is Production now", ge=1)
    previous: int = Field(description="the version before it, 0 when there was none", ge=0)


class DeployIn(In):
    remembers = False
    run: Uri = _RUN
    attestation: Uri = Field(description="URI of the signed statement")
    environment: Name = Field(description="environment to deploy to")
    uid: Text = Field("by-hand", description="uid of the Workflow: a release id is unique to each attempt")


class DeployOut(Out):
    release: Uri = Field(description="URI of release.json as committed")
    release_id: Text = Field(description="id of this release, on the pod template of what runs")
    commit: Text = Field(description="the git commit")


class RolloutIn(In):
    remembers = False
    run: Uri = _RUN
    release: Uri = Field(description="URI of release.json as committed")
    commit: Text = Field(description="the git commit")


class RolloutOut(Out):
    endpoint: Text = Field(description="URL of the model's OpenAI API, or none where only a commit is made")
    state: Literal["live", "committed"] = Field(description="live, or only committed (environment with reconciler `none`)")


class ProbeIn(In):
    remembers = False
    run: Uri = _RUN
    release: Uri = Field(description="URI of release.json as committed")
    endpoint: Text = Field(description="URL of the model's OpenAI API, or none")


class ProbeOut(Out):
    state: Literal["answers", "not probed"] = Field(description="whether the live endpoint answered with the right model")
    milliseconds: int = Field(description="time to the answer; 0 when not probed", ge=0)


class RollbackIn(In):
    remembers = False
    model_id: Text = Field(description="registered model")
    environment: Name = Field(description="environment to roll back")
    reason: Text = Field(description="why, in at least 10 characters", min_length=10)
    labels: Text = _LABELS
    uid: Text = Field("by-hand", description="uid of the Workflow")


class RollbackOut(Out):
    run: Uri = _RUN
    release: Uri = Field(description="URI of release.json as committed again")
    version: int = Field(description="the version that is Production again", ge=1)
    commit: Text = Field(description="the git commit")


class ReapIn(In):
    remembers = False
    namespace: Name = Field(description="namespace whose JobSets and Workflows are looked at")


class ReapOut(Out):
    deleted: int = Field(description="JobSets that had outlived their Workflow", ge=0)


class SelectIn(In):
    remembers = False
    model_id: Text = Field(description="registered model")
    version: int = Field(description="version; 0: the one in production", ge=0, default=0)


class SelectOut(Out):
    run: Uri = _RUN
    request: Uri = _REQUEST
    attestation: OptionalUri = Field(description="URI of the signed statement of its promotion, or none")


STEPS: dict[str, tuple[type[In], type[Out]]] = {
    "plan": (PlanIn, PlanOut),
    "validate": (ValidateIn, ValidateOut),
    "prepare": (PrepareIn, PrepareOut),
    "render": (RenderIn, RenderOut),
    "train": (TrainIn, Out),
    "follow": (FollowIn, FollowOut),
    "collect": (CollectIn, CollectOut),
    "merge": (MergeIn, MergeOut),
    "evaluate": (EvaluateIn, EvaluateOut),
    "gate": (GateIn, GateOut),
    "document": (DocumentIn, DocumentOut),
    "register": (RegisterIn, RegisterOut),
    "request": (RequestIn, RequestOut),
    "conclude": (ConcludeIn, ConcludeOut),
    "approve": (ApproveIn, ApproveOut),
    "verify": (VerifyIn, VerifyOut),
    "promote": (PromoteIn, PromoteOut),
    "deploy": (DeployIn, DeployOut),
    "rollout": (RolloutIn, RolloutOut),
    "probe": (ProbeIn, ProbeOut),
    "rollback": (RollbackIn, RollbackOut),
    "select": (SelectIn, SelectOut),
    "reap": (ReapIn, ReapOut),
}
