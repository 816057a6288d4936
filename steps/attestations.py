"""The attestation: `verify`'s signed word that a model may be let out. `promote`, `deploy` and the model's server believe it alone."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from steps import release_request, signing, store
from steps.contracts import Digest, Name, Uri
from steps.faults import NotAllowed
from steps.runfile import RiskClass

KIND = "https://fleece.dev/attestations/release/v1"


class Approved(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    approver: str
    record: Uri


class Head(BaseModel):
    """The end of the audit chain when the attestation was made: a later cut of the chain shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sequence: int
    sha256: str


class Attestation(BaseModel):
    """`<run>/attestations/<digest12>.json`, inside its signature. `manifest` is the sha256 of the model folder's manifest.json,
    `champion` the digest that the gate compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    run: Uri
    request: Uri
    tenant: Name
    model_id: str
    version: int
    model: Uri
    digest: Digest
    manifest: Digest
    signature: Uri
    provenance: Uri
    decision: Uri
    champion: Digest | Literal["none"]
    card: Uri
    risk_class: RiskClass
    environment: Name
    approvals: list[Approved]
    policy: str
    audit: Head
    issued_at: AwareDatetime


def place(run: str, digest: str, suffix: str = "json") -> str:
    """Where a run keeps what is signed about a model: the attestation (`json`), the bundle (`model.sig`), the provenance."""
    return store.join(run, "attestations", f"{digest.removeprefix('sha256:')[:12]}.{suffix}")


def sign(attestation: Attestation) -> bytes:
    said: dict[str, Any] = attestation.model_dump(mode="json")
    return signing.sign(signing.statement(f"{attestation.model_id}:{attestation.version}", attestation.digest, KIND, said))


def verified(uri: str) -> Attestation:
    """Raises NotAllowed unless it was signed by this installation for this very digest, and the model folder is still the one it names."""
    said = signing.opened(store.read(uri), KIND, uri)
    attestation: Attestation = release_request.parse(Attestation, store.to_json(said["predicate"]), uri)
    if said["subject"][0]["digest"] != {"sha256": attestation.digest.removeprefix("sha256:")}:
        raise NotAllowed(f"{uri} speaks of another model than it is signed for")
    manifest = release_request.sha256(store.read(store.join(attestation.model, store.MANIFEST)))
    if manifest != attestation.manifest:
        raise NotAllowed(f"{attestation.model} is not the folder that was verified: its manifest changed; run the release again")
    return attestation
