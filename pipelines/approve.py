"""`approve`: a person's decision under their own identity; approved, the same steps as `release` follow."""

from pipelines import settings
from pipelines.blocks import pipeline
from pipelines.parameters import arguments, equals, given
from pipelines.steps import approve, let_out, verify

with pipeline(
    "approve",
    parameters=arguments("approve", "request", "digest", "decision", "reason"),
    account=settings.RELEASER,
    about="Decide on a release request. You are the approver: the record carries your identity, and the digest you saw.",
) as template:
    approved = approve(
        request=given("request"),
        digest=given("digest"),
        decision=given("decision"),
        reason=given("reason"),
        labels="{{workflow.labels.json}}",
        uid="{{workflow.uid}}",
    )
    verified = verify(
        request=given("request"), approval=approved.approval, depends=approved.name, when=equals(given("decision"), "approve")
    )
    let_out(
        run=verified.run,
        attestation=verified.attestation,
        model_id=verified.model_id,
        environment=verified.environment,
        depends=f"{verified.name}.Succeeded",
    )
