"""Environments: where releases go, who makes them live there, and how models are served. One YAML file each."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from steps import strict_yaml
from steps.contracts import Name, Text
from steps.faults import BadInput
from steps.release import Serving

FOLDER = Path(__file__).resolve().parent.parent / "configs" / "environments"
Branch = Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$")]


class Environment(BaseModel):
    """`configs/environments/<name>.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    apiVersion: Literal["fleece/v1"]
    name: Name
    reconciler: Literal["local", "none"] = Field(
        description="local: this machine starts the model server; none: the commit is all, another tool applies it"
    )
    branch: Branch = Field("main", description="branch of the releases repository")
    serving: Serving = Serving()
    server: tuple[Text, ...] = Field(
        (),
        description="command of another OpenAI-compatible server for `local`; {folder}, {port} and {name} in an argument are "
        "the model's folder, the port to listen on at 127.0.0.1, and the name to list in /v1/models",
    )
    start_seconds: int = Field(600, ge=1, le=86400, description="longest a server may take from start to its first answer")
    drain_seconds: int = Field(30, ge=0, le=3600, description="longest an old server may take to finish its answers")

    @field_validator("reconciler", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if value == "argocd":
            raise ValueError(
                "this version does not wait for Argo CD; write `none`: the manifests are committed for it, and rollout and "
                "probe are skipped"
            )
        return value

    @model_validator(mode="after")
    def _complete(self) -> "Environment":
        if self.reconciler == "local" and (self.serving.image or self.serving.replicas != 1):
            raise ValueError("this machine starts one server and no image: take out serving.image and serving.replicas")
        if self.reconciler != "local" and (self.server or not self.serving.image):
            raise ValueError("serving.image is needed for the rendered manifests, and server is for the reconciler local only")
        return self


def read(name: str, home: Path | None = None) -> Environment:
    """The environment in a folder, else of the installation. Raises BadInput when there is none, or its file is wrong."""
    home = home or Path(os.environ.get("FLEECE_ENVIRONMENTS") or FOLDER)
    path = home / f"{name}.yaml"
    try:
        return _parse(strict_yaml.load(path.read_bytes(), path.name), path)
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in home.glob("*.yaml"))) or "none"
        raise BadInput(f"there is no environment {name!r}; known: {known}. Add {name}.yaml to the environments") from None


def _parse(content: Any, path: Path) -> Environment:
    try:
        environment = Environment.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
        )
        raise BadInput(f"{path.name} is no environment: {problems}") from None
    if environment.name != path.stem:
        raise BadInput(f"{path.name} names the environment {environment.name!r}; the file and the name are the same word")
    return environment
