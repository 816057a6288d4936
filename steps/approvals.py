"""Approvals: what a person decided about a release request, signed, short-lived, bound to the request's bytes and the model's digest."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from steps import policy, release_request, signing, store
from steps.contracts import Digest, Uri
from steps.faults import Fault, NotAllowed
from steps.identity import Person
from steps.policy import Policy
from steps.release_request import Read

KIND = "https://fleece.dev/attestations/approval/v1"


class Approval(BaseModel):
    """`<run>/approvals/<uid>.json`, inside its signature."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    request: Uri
    request_sha256: Digest
    run: Uri
    model_id: str
    version: int
    digest: Digest
    decision: Literal["reject", "approve"]
    approver: Person
    submitter: Person | None
    reason: str
    uid: str
    policy: str
    at: AwareDatetime
    expires: AwareDatetime


def sign(approval: Approval) -> bytes:
    return signing.sign(signing.statement(approval.model_id, approval.digest, KIND, approval.model_dump(mode="json")))


def signed(uri: str) -> Approval:
    """The approval at a URI. Raises NotAllowed unless it was signed here and speaks of the digest that its signature names."""
    said = signing.opened(store.read(uri), KIND, uri)
    approval: Approval = release_request.parse(Approval, store.to_json(said["predicate"]), uri)
    if said["subject"][0]["digest"] != {"sha256": approval.digest.removeprefix("sha256:")}:
        raise NotAllowed(f"{uri} approves another model than it is signed for")
    return approval


def granted(read: Read, where: str, rules: Policy, now: datetime) -> dict[str, Approval]:
    """URI and content of each approval that counts for this request: one a person, their latest.

    A record that is not signed, expired, or about something else does not count. Raises NotAllowed when somebody's latest word is no.
    """
    folder = store.join(read.request.run, "approvals")
    latest: dict[str, tuple[str, Approval]] = {}
    for name in store.backend(folder).names(folder):
        uri = store.join(folder, name)
        approval = _valid(uri, read, where, rules, now)
        if approval and (approval.approver.sub not in latest or latest[approval.approver.sub][1].at < approval.at):
            latest[approval.approver.sub] = (uri, approval)
    for uri, approval in latest.values():
        if approval.decision == "reject":
            raise NotAllowed(f"{approval.approver.sub} rejected this release ({uri}): {approval.reason}")
    return dict(latest.values())


def objection(approval: Approval, read: Read, where: str, rules: Policy, now: datetime) -> str:
    """Why an approval does not count for a request; empty when it does."""
    about = (approval.request, approval.request_sha256, approval.run, approval.version, approval.digest)
    if about != (where, read.sha256, read.request.run, read.request.version, read.request.digest):
        return "it decides about another request"
    if now >= approval.expires or approval.expires - approval.at > rules.validity:
        return f"it was valid until {approval.expires:%Y-%m-%d %H:%M %Z}; approve again"
    return policy.objection(rules, read.request.case(), approval.approver)


def _valid(uri: str, read: Read, where: str, rules: Policy, now: datetime) -> Approval | None:
    try:
        approval = signed(uri)
    except Fault:
        return None
    return None if objection(approval, read, where, rules, now) else approval
