"""`approve`: a person's decision about a release request, recorded under their own identity and signed."""

import re
from datetime import UTC, datetime

from steps import approvals, audit, identity, policy, release_request, store, submitters
from steps.approvals import Approval
from steps.contracts import ApproveIn, ApproveOut
from steps.faults import BadInput, NotAllowed
from steps.identity import Person
from steps.policy import Policy
from steps.release_request import Read
from steps.runtime import main

_UID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


def approve(given: ApproveIn) -> ApproveOut:
    """Raises NotAllowed for a person who may not decide. A reject is recorded like an approval, and nothing is released after it."""
    if not _UID.match(given.uid):
        raise BadInput(f"uid {given.uid[:80]!r} is no name of an object; it has letters, digits and . _ - only")
    read, rules, approver = release_request.read(given.request), policy.read_policy(), identity.of(given.labels)
    if given.digest != read.request.digest:
        raise BadInput(f"the request is about {read.request.digest}, not {given.digest}; look at the request and give the digest it shows")
    try:
        submitters.check(given.request, read.request)
        _check_person(read, rules, approver)
    except NotAllowed as fault:
        audit.append(audit.event("access.denied", given.request, approver, {"outcome": "denied", "reason": str(fault)}))
        raise
    uri = store.join(read.request.run, "approvals", f"{given.uid}.json")
    _record(uri, _draft(given, read, rules, approver))
    return ApproveOut(approval=uri)


def _check_person(read: Read, rules: Policy, approver: Person | None) -> None:
    if approver is None:
        raise NotAllowed("the Workflow has no creator label, so nobody approves; submit `approve` yourself, under your own identity")
    if reason := policy.objection(rules, read.request.case(), approver):
        raise NotAllowed(reason)


def _draft(given: ApproveIn, read: Read, rules: Policy, approver: Person | None) -> Approval:
    now = datetime.now(UTC).replace(microsecond=0)
    asked = read.request
    return Approval(
        request=given.request, request_sha256=read.sha256, run=asked.run, model_id=asked.model_id, version=asked.version,
        digest=asked.digest, decision=given.decision, approver=approver, submitter=asked.submitter, reason=given.reason, uid=given.uid,
        policy=rules.risk.version, at=now, expires=now + rules.validity,
    )  # fmt: skip


def _record(uri: str, approval: Approval) -> None:
    """Write the record; a repeated step finds its own. Raises NotAllowed when another decision is recorded under the same uid."""
    if store.backend(uri).create(uri, approvals.sign(approval)):
        kind = "approval.granted" if approval.decision == "approve" else "approval.denied"
        audit.append(audit.event(kind, approval.request, approval.approver, {"record": uri, "digest": approval.digest}))
    elif not _same(approvals.signed(uri), approval):
        raise NotAllowed(f"{uri} records another decision; a decision is never changed. Submit `approve` again")


def _same(one: Approval, other: Approval) -> bool:
    when = {"at", "expires"}
    return one.model_dump(exclude=when) == other.model_dump(exclude=when)


if __name__ == "__main__":
    main("approve", approve)
