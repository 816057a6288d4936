"""The steps of the pipelines as blocks, in pipeline order: which image, how large, under which account."""

from pipelines import settings
from pipelines.blocks import Called, nested, step
from pipelines.parameters import passed

plan = step("plan", git=True)
validate = step("validate", size="medium")
prepare = step("prepare")
merge = step("merge", image="train", size="large")
evaluate = step("evaluate", image="evaluate", size="large")
gate = step("gate")
document = step("document")
register = step("register")
request = step("request")
conclude = step("conclude")

reap = step("reap", account=settings.REAPER)

select = step("select", account=settings.RELEASER)
approve = step("approve", account=settings.RECORDER, signs=True)
verify = step("verify", account=settings.RECORDER, signs=True, size="medium")
promote = step("promote", account=settings.RELEASER)
deploy = step("deploy", account=settings.RELEASER, git=True)
rollout = step("rollout", account=settings.WATCHER, git=True)
probe = step("probe", account=settings.RELEASER)
rollback = step("rollback", account=settings.RELEASER, git=True)


@nested(
    "let-out",
    takes=("run", "attestation", "model_id", "environment"),
    locks=f"promote-{passed('model_id')}",  # releases of one model go one after the other, from the alias to the probe
)
def let_out() -> dict[str, str]:
    run = passed("run")
    promoted = promote(run=run, attestation=passed("attestation"))
    deployed = deploy(
        run=run,
        attestation=passed("attestation"),
        environment=passed("environment"),
        uid="{{workflow.uid}}",
        depends=f"{promoted.name}.Succeeded",
    )
    go_live(run, deployed, depends=f"{deployed.name}.Succeeded")
    return {}


def go_live(run: str, deployed: Called, *, depends: str) -> Called:
    """What follows every commit of a release: wait until it is live, and ask it one question."""
    live = rollout(run=run, release=deployed.release, commit=deployed.commit, depends=depends)
    return probe(run=run, release=deployed.release, endpoint=live.endpoint, depends=f"{live.name}.Succeeded")
