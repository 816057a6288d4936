"""`request`: the end of a run's own half. What is to be let out, with the digests of its evidence, and whether it goes out by itself."""

from datetime import UTC, datetime

from steps import audit, identity, policy, release_request, store
from steps.contracts import RequestIn, RequestOut
from steps.faults import Bug
from steps.release_request import ReleaseRequest
from steps.runfile import read_plan
from steps.runtime import main, place


def request(given: RequestIn) -> RequestOut:
    """Write the request; a repeated step finds the first one and decides the same."""
    where = place("request", given)
    if where is None:
        raise Bug("a request without a run")
    uri = store.join(where, "request.json")
    if store.create_json(uri, _draft(given, datetime.now(UTC)).model_dump(mode="json")):
        audit.append(audit.event("release.requested", uri, identity.of(given.labels), {"digest": given.digest, "version": given.version}))
    asked = release_request.read(uri).request
    route, reason = policy.route(policy.read_policy(), asked.case())
    return RequestOut(request=uri, route=route, reason=reason)


def _draft(given: RequestIn, now: datetime) -> ReleaseRequest:
    plan = read_plan(given.run)
    submitter = identity.of(given.labels)
    return ReleaseRequest(
        run=given.run, tenant=plan.runfile.tenant, model_id=plan.runfile.model, version=given.version, model=given.model,
        digest=given.digest, verdict=given.verdict, decision=given.decision, card=given.card,
        evidence=release_request.evidence(given.run, given.model, given.decision, given.card),
        risk_class=plan.runfile.risk.risk_class, environment=plan.runfile.deployment.environment, promote=given.promote,
        submitter=submitter, scheduled=submitter is None, dirty=plan.commit.dirty, workflow=given.workflow, uid=given.uid,
        created=now.replace(microsecond=0),
    )  # fmt: skip


if __name__ == "__main__":
    main("request", request)
