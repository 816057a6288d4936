"""The release request: what is to be let out, and the digests of everything the decision rests on. `request` writes it, `verify` reads
the evidence again. It lies where the tenant writes, so it is a claim: whoever acts on it checks it first.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from steps import store
from steps.contracts import Digest, Name, Uri, Verdict
from steps.decision import Decision
from steps.faults import BadData, NotAllowed
from steps.identity import Person
from steps.policy import Case
from steps.runfile import RiskClass
from steps.runtime import setting


class ReleaseRequest(BaseModel):
    """`request.json`. `submitter` is None when a schedule started the run; `evidence` maps URIs to the sha256 of their bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    apiVersion: Literal["fleece/v1"] = "fleece/v1"
    kind: Literal["ReleaseRequest"] = "ReleaseRequest"
    run: Uri
    tenant: Name
    model_id: str
    version: int
    model: Uri
    digest: Digest
    verdict: Verdict
    decision: Uri
    card: Uri
    evidence: dict[str, Digest]
    risk_class: RiskClass
    environment: Name
    promote: Literal["auto", "ask", "never"]
    submitter: Person | None
    scheduled: bool
    dirty: bool
    workflow: str
    uid: str
    created: AwareDatetime

    def case(self) -> Case:
        """The part that policy decides on."""
        return Case(
            tenant=self.tenant, risk_class=self.risk_class, verdict=self.verdict, promote=self.promote, submitter=self.submitter,
            dirty=self.dirty,
        )  # fmt: skip


class Read(NamedTuple):
    """A request and the digest of its bytes, which approvals are bound to."""

    request: ReleaseRequest
    sha256: str


def read(uri: str) -> Read:
    """Raises BadData when it is no request, NotAllowed when it is not of this tenant's store or not where its run keeps it."""
    data = store.read(uri)
    request: ReleaseRequest = parse(ReleaseRequest, data, uri)
    root = setting("FLEECE_STORE").rstrip("/")
    if not request.run.startswith(f"{root}/runs/") or not uri.startswith(f"{request.run}/request/"):
        raise NotAllowed(f"{uri} asks to release {request.run}, whose requests lie elsewhere; give the request as `request` wrote it")
    return Read(request, sha256(data))


def evidence(run: str, model: str, decision: str, card: str) -> dict[str, str]:
    """URI and digest of all that a release rests on. A committed folder is fixed by its manifest."""
    gate = store.join(decision, "gate.json")
    decided: Decision = parse(Decision, store.read(gate), gate)
    measured = [one.uri for one in (decided.candidate, decided.anchor, decided.champion) if one]
    folders = [store.join(uri, store.MANIFEST) for uri in (*measured, model, card)]
    return digests([store.join(run, "plan.json"), gate, *folders])


def digests(uris: Iterable[str]) -> dict[str, str]:
    return {uri: sha256(store.read(uri)) for uri in uris}


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def parse(kind: Any, data: bytes, where: str) -> Any:
    """A record of a pydantic model. Raises BadData naming every wrong key."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors())
        raise BadData(f"{where} is no {kind.__name__}: {problems}. Only a step writes it") from None
