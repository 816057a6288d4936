"""`train`: a JobSet, created and waited for by resource steps. The same conditions and retry rules ran on a real cluster.

Why it is cut this way (docs/decisions/0003-training-is-a-jobset.md):
- `preflight` sends the child Job to the API server in a dry run: a JobSet with a bad pod template is accepted and then hangs for ever.
- `create` applies server-side with one fixed name: a lost executor attaches to the JobSet that is there, it never makes a second.
- `wait` has one success condition for both ends and no failureCondition: with one, outputs are lost and no retry policy is right.
- `verdict` reads the Job: only its condition has the exit code that decided.
"""

from pipelines import settings
from pipelines.blocks import LOST, Block, nested, resource, step
from pipelines.parameters import equals, passed
from pipelines.strict_hera import Step, Steps, Templatable, m

JOBSET = "ft-{{workflow.uid}}"

_ENDED = '[.status.conditions[]|select((.type=="Completed" or .type=="Failed") and .status=="True")|.reason]|first'
_FAILURE = '([.status.conditions[]?|select(.type=="Failed" or .type=="FailureTarget")|.message]|first // "")'


def _reference(api: str, kind: str, name: str) -> str:
    return f"apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n"


def _retry(limit: str, expression: str = LOST) -> m.RetryStrategy:
    backoff = m.Backoff(duration="10", factor=m.IntOrString(root="2"), cap="120")
    return m.RetryStrategy(limit=m.IntOrString(root=limit), retry_policy="Always", expression=expression, backoff=backoff)


render = step("render")
follow = step("follow", account=settings.OBSERVER)
collect = step("collect")

preflight = resource(
    "preflight",
    takes=("job",),
    action="create",
    flags=["--dry-run=server"],
    manifest=passed("job"),
    service_account_name=settings.LAUNCHER,
    retry_strategy=_retry("3"),
)
create = resource(
    "create",
    takes=("manifest",),
    gives={"jobset": m.ValueFrom(json_path="{.metadata.name}")},
    action="apply",
    flags=["--server-side", "--force-conflicts"],
    set_owner_reference=True,
    manifest=passed("manifest"),
    service_account_name=settings.LAUNCHER,
    retry_strategy=_retry("3"),
)
wait = resource(
    "wait",
    takes=("jobset",),
    gives={
        "state": m.ValueFrom(json_path="{.status.terminalState}", default="absent"),
        "reason": m.ValueFrom(jq_filter=_ENDED, default="absent"),
        "restarts": m.ValueFrom(jq_filter=".status.restarts // 0", default="0"),
        "counted": m.ValueFrom(jq_filter=".status.restartsCountTowardsMax // 0", default="0"),
    },
    action="get",
    manifest=_reference("jobset.x-k8s.io/v1alpha2", "JobSet", passed("jobset")),
    success_condition="status.terminalState in (Completed,Failed)",
    service_account_name=settings.LAUNCHER,
    active_deadline_seconds=settings.TRAINING_DEADLINE_SECONDS,
    retry_strategy=_retry("10", 'not (lastRetry.message contains "not found") && not (lastRetry.message contains "deadline")'),
)
verdict = resource(
    "verdict",
    takes=("jobset",),
    gives={"code": m.ValueFrom(jq_filter=f'{_FAILURE}|(capture("exit code (?<c>[0-9]+)").c // "")', default="absent")},
    action="get",
    flags=["--ignore-not-found"],
    manifest=_reference("batch/v1", "Job", f"{passed('jobset')}-node-0"),
    service_account_name=settings.LAUNCHER,
    retry_strategy=_retry("3"),
)


@nested(
    "train",
    takes=("run", "run_id", "prepared", "base", "preset"),
    gives=("trained", "loss", "steps"),
    locks=f"train-{passed('run_id')}",  # the same run is trained once; whoever waited gets the result
    limited="gangs",  # half a gang holds its GPUs for nothing, so a tenant has whole ones or waits
)
def train() -> dict[str, str]:
    run, prepared = passed("run"), passed("prepared")
    rendered = render(run=run, prepared=prepared, base=passed("base"), preset=passed("preset"), jobset=JOBSET, workflow="{{workflow.name}}")
    checked = preflight(job=rendered.job, depends=rendered.name, when=equals(rendered.needed, "yes"))
    created = create(manifest=rendered.manifest, depends=f"{checked.name}.Succeeded")
    waited = wait(jobset=created.jobset, depends=f"{created.name}.Succeeded")
    followed = follow(run=run, jobset=JOBSET, depends=f"{created.name}.Succeeded")
    judged = verdict(jobset=created.jobset, depends=f"{waited.name}.Succeeded")
    over = " || ".join(f"{followed.name}.{result}" for result in ("Succeeded", "Failed", "Errored", "Omitted"))
    collected = collect(
        run=run,
        prepared=prepared,
        state=waited.state,
        reason=waited.reason,
        restarts=waited.restarts,
        counted=waited.counted,
        code=judged.code,
        depends=f"({judged.name}.Succeeded || {checked.name}.Skipped) && ({over})",
    )
    return {"trained": collected.trained, "loss": collected.loss, "steps": collected.steps}


state = resource(
    "jobset-state",
    gives={"state": m.ValueFrom(json_path="{.status.terminalState}", default="absent")},
    action="get",
    flags=["--ignore-not-found"],
    manifest=_reference("jobset.x-k8s.io/v1alpha2", "JobSet", JOBSET),
    service_account_name=settings.LAUNCHER,
    retry_strategy=_retry("3"),
)
delete = resource(
    "jobset-delete",
    action="delete",
    flags=["--wait=false"],
    manifest=_reference("jobset.x-k8s.io/v1alpha2", "JobSet", JOBSET),
    service_account_name=settings.CLEANER,
    retry_strategy=_retry("3"),
)


def _cleanup() -> Templatable:
    with Steps(name="cleanup") as steps:
        Step(name="state", template=state.name)
        Step(name="delete", template=delete.name, when=equals("{{steps.state.outputs.parameters.state}}", ""))
    return steps


# The exit handler: a JobSet without a terminal state is deleted, one that has ended is kept, since it is the evidence.
cleanup = Block("cleanup", {}, (), _cleanup)
