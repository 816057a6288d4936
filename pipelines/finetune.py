"""`finetune`: from a run file in git to a release request, and where policy allows to the probed endpoint."""

from pipelines import settings
from pipelines.blocks import LOST, pipeline, resource, use
from pipelines.parameters import arguments, differs, equals, given
from pipelines.steps import conclude, document, evaluate, gate, merge, plan, prepare, register, request, validate
from pipelines.strict_hera import m
from pipelines.training import cleanup, delete, state, train

_RELEASE = f"""\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: release-{{{{workflow.uid}}}}
  namespace: {settings.RELEASE_NAMESPACE}
spec:
  workflowTemplateRef:
    name: release
  arguments:
    parameters:
    - name: request
      value: "{{{{inputs.parameters.request}}}}"
"""

# One success condition for all end phases: outputs are lost with a failureCondition, and `conclude` decides.
release = resource(
    "release",
    takes=("request",),
    gives={"phase": m.ValueFrom(json_path="{.status.phase}", default="none")},
    action="apply",
    flags=["--server-side", "--force-conflicts"],
    manifest=_RELEASE,
    success_condition="status.phase in (Succeeded,Failed,Error)",
    service_account_name=settings.LAUNCHER,
    retry_strategy=m.RetryStrategy(limit=m.IntOrString(root="3"), retry_policy="Always", expression=LOST),
)

with pipeline(
    "finetune",
    parameters=arguments("plan", "config", "config_repo", "config_ref", "preset", "promote", "unchanged"),
    on_exit="cleanup",
    about="Fine-tune an LLM and let it out only if it beats what is served. Everything but these parameters lies in the run file.",
) as template:
    planned = plan(
        config_repo=given("config_repo"),
        config_ref=given("config_ref"),
        config=given("config"),
        preset=given("preset"),
        promote=given("promote"),
        unchanged=given("unchanged"),
        tenant="{{workflow.namespace}}",
        labels="{{workflow.labels.json}}",
        workflow="{{workflow.name}}",
        uid="{{workflow.uid}}",
    )
    run = planned.run
    validated = validate(run=run, depends=planned.name, when=equals(planned.go, "yes"))
    prepared = prepare(run=run, dataset=validated.dataset, depends=f"{validated.name}.Succeeded")
    items = prepared.prepared

    baseline = evaluate(
        "evaluate-baseline", run=run, prepared=items, model=planned.base, role="baseline", depends=f"{prepared.name}.Succeeded"
    )
    champion = evaluate(
        "evaluate-champion",
        run=run,
        prepared=items,
        model=planned.champion,
        role="champion",
        depends=f"{prepared.name}.Succeeded",
        when=differs(planned.champion, "none"),
    )
    trained = train(
        run=run,
        run_id=planned.run_id,
        prepared=items,
        base=planned.base,
        preset=given("preset"),
        depends=f"{prepared.name}.Succeeded",
    )
    merged = merge(run=run, base=planned.base, trained=trained.trained, depends=f"{trained.name}.Succeeded")
    candidate = evaluate(
        "evaluate-candidate", run=run, prepared=items, model=merged.model, role="candidate", depends=f"{merged.name}.Succeeded"
    )
    gated = gate(
        run=run,
        model=merged.model,
        digest=merged.digest,
        candidate=candidate.evaluation,
        baseline=baseline.evaluation,
        champion=champion.evaluation,
        depends=f"{candidate.name}.Succeeded && {baseline.name}.Succeeded && ({champion.name}.Succeeded || {champion.name}.Skipped)",
    )
    documented = document(
        run=run,
        dataset=validated.dataset,
        trained=trained.trained,
        model=merged.model,
        digest=merged.digest,
        decision=gated.decision,
        depends=f"{gated.name}.Succeeded",
    )
    registered = register(
        run=run,
        model=merged.model,
        digest=merged.digest,
        verdict=gated.verdict,
        decision=gated.decision,
        card=documented.card,
        depends=f"{documented.name}.Succeeded",
    )
    requested = request(
        run=run,
        model=merged.model,
        digest=merged.digest,
        version=registered.version,
        verdict=gated.verdict,
        decision=gated.decision,
        card=documented.card,
        promote=given("promote"),
        labels="{{workflow.labels.json}}",
        workflow="{{workflow.name}}",
        uid="{{workflow.uid}}",
        depends=f"{registered.name}.Succeeded",
    )
    released = release(request=requested.request, depends=f"{requested.name}.Succeeded", when=equals(requested.route, "auto"))
    conclude(
        run=run,
        route=requested.route,
        phase=released.phase,
        depends=f"{requested.name}.Succeeded && ({released.name}.Succeeded || {released.name}.Skipped)",
    )
    use(cleanup, state, delete)
