"""The local reconciler: makes this machine serve what git says, as Argo CD and Argo Rollouts do on a cluster.

State of one model in one environment, below FLEECE_SERVING/<environment>/<model>/:
  route.json                where clients find the model: replaced atomically, only once the new server has answered
  servers/<release>.json    a server process: pid, start time, port; <release>.log is what it wrote
  servers/<release>/        the files its digest covers, linked, and its configuration
A server runs in a session of its own and outlives the step that started it.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from steps import attestations, gitops, modeldir, serving, store
from steps import release as releases
from steps.contracts import Digest, Name, Text
from steps.environments import Environment
from steps.faults import BadData, BadInput, Fault, NotAllowed, Unavailable
from steps.release import Release, ReleaseId
from steps.server_process import Server, free_port, last_lines, process_of, records, spawn, stop
from steps.serving import NotServing


class Route(BaseModel):
    """Where clients find the model, and what serves it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    environment: Name
    model_id: Text
    version: int
    digest: Digest
    release_id: ReleaseId
    name: Text
    endpoint: Text
    commit: Text
    since: AwareDatetime


def reconcile(root: Path, copy: gitops.Clone, environment: Environment, tenant: str, model_id: str, now: datetime) -> Route:
    """Serve what git says now. The release that serves already is left alone.

    A new server is started beside the old one and must answer one prompt; then the route moves and the old one is drained. Raises
    NotAllowed when signature or bytes are not the release's, NotServing when the new server does not do; the old one then serves on.
    """
    with _home(root, environment.name, model_id) as home:
        gitops.refresh(copy)
        release, commit = _wanted(copy, environment.name, tenant, model_id)
        routed = route(root, environment.name, model_id)
        if not (routed and routed.release_id == release.release_id and _serves(home, routed)):
            still = routed.release_id if routed and routed.release_id != release.release_id else ""
            _stop_others(home, still, environment.drain_seconds)
            server = _started(home, release, environment)
            routed = _route(release, server, commit, now)
            store.replace_json(f"file://{home}/route.json", routed.model_dump(mode="json"))
        _stop_others(home, routed.release_id, environment.drain_seconds)
        return routed


def route(root: Path, environment: str, model_id: str) -> Route | None:
    """Where a model is served on this machine, or None."""
    path = root / environment / model_id / "route.json"
    return Route.model_validate_json(path.read_bytes()) if path.is_file() else None


def stop_all(root: Path, drain_seconds: float = 30) -> list[str]:
    """Stop every server below FLEECE_SERVING and take the routes away. Gives the names that were served."""
    names = []
    for path in sorted(root.glob("*/*/servers")):
        with _home(root, path.parent.parent.name, path.parent.name) as home:
            (home / "route.json").unlink(missing_ok=True)
            names += [server.name for server in records(home / "servers") if process_of(server)]
            _stop_others(home, "", drain_seconds)
    return names


@contextmanager
def _home(root: Path, environment: str, model_id: str) -> Iterator[Path]:
    """A model's state, held alone: two releases of one model go one after the other."""
    home = root.absolute() / environment / model_id
    (home / "servers").mkdir(parents=True, exist_ok=True)
    with store.locked(home / "state"):
        yield home


def _wanted(copy: gitops.Clone, environment: str, tenant: str, model_id: str) -> tuple[Release, str]:
    """The release that git holds, and the commit that brought it."""
    folder = releases.folder(environment, tenant, model_id)
    path = copy.folder / folder / "release.json"
    if not path.is_file():
        raise BadInput(f"git holds no release of {model_id} for {environment} on {copy.branch}; run `deploy` first")
    release = releases.parse(path.read_bytes(), f"{folder}/release.json")
    if releases.folder(release.environment, release.tenant, release.model_id) != folder:
        raise BadData(f"{folder}/release.json names {release.model_id} in {release.environment}; it was put into a wrong folder")
    return release, gitops.last_change(copy, folder)


def _serves(home: Path, routed: Route) -> bool:
    server = next((one for one in records(home / "servers") if one.release_id == routed.release_id), None)
    return server is not None and process_of(server) is not None and _lists(server)


def _started(home: Path, release: Release, environment: Environment) -> Server:
    """A server of the release that has answered. One that does not is stopped again; what it wrote stays."""
    servers = home / "servers"
    place = servers / release.release_id
    model = _verified(release, home, place)
    prompt = serving.first_prompt(release.run)
    port = free_port()
    server = spawn(servers, release, serving.command(release, environment, model, place, port), port)
    try:
        _wait(server, environment.start_seconds)
        serving.ask(server.endpoint, server.name, prompt)
    except Fault as fault:
        stop(server, 0)
        (servers / f"{server.release_id}.json").unlink()
        said = last_lines(servers / f"{server.release_id}.log")
        raise NotServing(f"release {release.release_id} does not serve: {fault}; its server's last lines: {said}") from None
    return server


def _verified(release: Release, home: Path, place: Path) -> Path:
    """A folder with exactly the files the digest covers, after signature, statement and bytes were compared."""
    statement = attestations.verified(release.attestation)
    said = (statement.tenant, statement.model_id, statement.version, statement.model, statement.digest)
    if said != (release.tenant, release.model_id, release.version, release.model, release.digest):
        what = f"{statement.model_id}:{statement.version} ({statement.model})"
        raise NotAllowed(f"{release.attestation} lets out {what}, not what release {release.release_id} names; not loaded")
    fetched = store.fetch(release.model, home.parent.parent / "models", verify=False)
    found = modeldir.digest(fetched)
    if found != release.digest:
        raise NotAllowed(f"the files of {release.model} are {found}, not {release.digest} as signed; not loaded")
    shutil.rmtree(place, ignore_errors=True)
    model = place / "model"
    for file in modeldir.parts(fetched):
        target = model / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(fetched / file.path)
    return model


def _wait(server: Server, seconds: float) -> None:
    """Until the server lists the release's own name: another program's answer on that port is not ours."""
    deadline = time.monotonic() + seconds
    while not _lists(server):
        if process_of(server) is None:
            raise NotServing("it ended before it answered")
        if time.monotonic() > deadline:
            raise NotServing(f"it gave no answer within {seconds:.0f} s; start_seconds of the environment says how long to wait")
        time.sleep(0.1)


def _lists(server: Server) -> bool:
    try:
        return server.name in serving.names(server.endpoint)
    except (Unavailable, NotServing):
        return False


def _stop_others(home: Path, release_id: str, drain_seconds: float) -> None:
    """Stop every server but one. Under the lock all the others are orphans: replaced, or left behind by a killed step."""
    servers = home / "servers"
    for server in records(servers):
        if server.release_id != release_id:
            stop(server, drain_seconds)
            shutil.rmtree(servers / server.release_id, ignore_errors=True)
            (servers / f"{server.release_id}.log").unlink(missing_ok=True)
            (servers / f"{server.release_id}.json").unlink()


def _route(release: Release, server: Server, commit: str, now: datetime) -> Route:
    return Route(
        environment=release.environment,
        model_id=release.model_id,
        version=release.version,
        digest=release.digest,
        release_id=release.release_id,
        name=server.name,
        endpoint=server.endpoint,
        commit=commit,
        since=now,
    )
