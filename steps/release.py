"""The release: what an environment is to serve, as one typed record. Its bytes are the same in the store and in git."""

import hashlib
import re
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from steps import release_request, store
from steps.contracts import Digest, Name, Text, Uri
from steps.faults import BadInput, NotAllowed

# <digest12>-<8 hexadecimal digits>: also an annotation's value and a file name.
ReleaseId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}-[0-9a-f]{8}$")]
_MODEL_ID = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+\.v[0-9]+")
ModelId = Annotated[str, Field(pattern=f"^{_MODEL_ID.pattern}$")]


class Serving(BaseModel):
    """How the model is served."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    image: Text = Field("", description="image of vLLM's OpenAI server, by digest; empty where this machine serves")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="auto: the type of the weights")
    max_model_len: int = Field(0, ge=0, description="longest prompt and answer together, in tokens; 0: the model's own limit")
    replicas: int = Field(1, ge=1, le=64, description="servers of the model; one machine runs one")
    gpus: int = Field(0, ge=0, le=16, description="GPUs of each server")
    template: Text = Field("", description="LLaMA-Factory's chat template the model was trained with; empty: the tokenizer's")


class Release(BaseModel):
    """`releases/<environment>/<tenant>/<model>/release.json`. Everything in it is pinned: a version, a place, a digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    apiVersion: Literal["fleece/v1"] = "fleece/v1"
    kind: Literal["Release"] = "Release"
    release_id: ReleaseId = Field(description="unique to the attempt: a second attempt after a revert has another")
    environment: Name
    reconciler: Literal["local", "none"] = Field(description="who makes the environment serve what git says")
    tenant: Name
    model_id: ModelId
    version: int = Field(ge=1, description="version in the registry")
    model: Uri = Field(description="the model's committed folder")
    digest: Digest = Field(description="model digest, checked against the bytes before they are loaded")
    attestation: Uri = Field(description="the signed statement that lets this model out")
    run: Uri = Field(description="the run that made the model")
    serving: Serving
    created: AwareDatetime

    @property
    def served_name(self) -> str:
        """The name the server lists in `/v1/models`: it says which bytes answer."""
        return f"{self.model_id}@{self.digest.removeprefix('sha256:')[:12]}"


def folder(environment: str, tenant: str, model_id: str) -> str:
    """The release's folder in the releases repository."""
    return f"releases/{environment}/{tenant}/{model_id}"


def new_id(digest: str, uid: str, last_change: str) -> str:
    """The id of the next attempt. The same Workflow on the same state of git gives the same id, so a repeated step does too;

    after a revert the folder has another last commit, and the id is new: a cluster ignores a release it was given before.
    """
    attempt = hashlib.sha256(f"{uid}\n{last_change}".encode()).hexdigest()
    return f"{digest.removeprefix('sha256:')[:12]}-{attempt[:8]}"


def same_content(one: Release, other: Release) -> bool:
    """Whether two releases ask for the same thing, whoever asked and when."""
    passing = {"release_id", "created"}
    return one.model_dump(exclude=passing) == other.model_dump(exclude=passing)


def to_bytes(release: Release) -> bytes:
    return store.to_json(release.model_dump(mode="json"))


def parse(content: bytes, where: str) -> Release:
    """Raises BadData naming every wrong key."""
    release: Release = release_request.parse(Release, content, where)
    return release


def uri(release: Release) -> str:
    """Where the store keeps the release, beside the run that made its model."""
    return store.join(release.run, "releases", release.release_id, "release.json")


def owned(model_id: str, tenant: str) -> None:
    """Raises BadInput for what is no model id, NotAllowed for another tenant's."""
    if not _MODEL_ID.fullmatch(model_id):
        raise BadInput(f"{model_id[:80]!r} is no model id; it is <tenant>.<use>.v<major>, as team-x.triage.v1")
    if model_id.partition(".")[0] != tenant:
        raise NotAllowed(f"{model_id} belongs to tenant {model_id.partition('.')[0]}, not {tenant}; ask there")
