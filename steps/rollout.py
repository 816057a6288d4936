"""`rollout`: wait until what was committed is what serves; a release that does not serve is taken back out of git."""

from datetime import UTC, datetime
from pathlib import Path

from steps import environments, gitops, local_reconciler, store
from steps import release as releases
from steps.contracts import RolloutIn, RolloutOut
from steps.environments import Environment
from steps.faults import BadInput, Fault, TryAgain, Unavailable
from steps.local_reconciler import Route
from steps.release import Release
from steps.runtime import main, say, scratch, setting


def rollout(given: RolloutIn) -> RolloutOut:
    """Make the environment serve the release. One whose reconciler is `none` is left to whoever applies the commit."""
    release = releases.parse(store.read(given.release), given.release)
    environment = environments.read(release.environment)
    if environment.reconciler == "none":
        say("rollout", f"skipped: {environment.name} has reconciler none, so the commit {given.commit[:12]} is all that is done here")
        return RolloutOut(endpoint="none", state="committed")
    copy = gitops.clone(setting("FLEECE_GITOPS"), environment.branch, scratch())
    route = _live(copy, environment, release, given.commit)
    if route.release_id != release.release_id:
        raise BadInput(f"release {release.release_id} was superseded: git asks for {route.release_id}, which is live. Nothing to do")
    return RolloutOut(endpoint=route.endpoint, state="live")


def _live(copy: gitops.Clone, environment: Environment, release: Release, commit: str) -> Route:
    try:
        return _reconcile(copy, environment, release)
    except (Unavailable, TryAgain):
        raise  # nothing is known about the release; the same call may succeed
    except Fault as fault:
        raise type(fault)(f"{fault}; {_taken_back(copy, environment, release, commit)}") from None


def _reconcile(copy: gitops.Clone, environment: Environment, release: Release) -> Route:
    serving = Path(setting("FLEECE_SERVING"))
    return local_reconciler.reconcile(serving, copy, environment, release.tenant, release.model_id, datetime.now(UTC))


def _taken_back(copy: gitops.Clone, environment: Environment, release: Release, commit: str) -> str:
    """Revert the commit and make sure that what git says then is served. Gives what was done, for the error's line."""
    folder = releases.folder(environment.name, release.tenant, release.model_id)
    why = f"Release {release.release_id} of {release.model_id}:{release.version} did not become live."
    reverted = gitops.revert(copy, folder, commit, why, datetime.now(UTC))
    if reverted.commit is None:
        return reverted.reason
    try:
        route = _reconcile(copy, environment, release)
    except Fault as fault:
        return f"{reverted.reason}, which is not live either: {fault}"
    return f"{reverted.reason}, and {route.model_id}:{route.version} serves"


if __name__ == "__main__":
    main("rollout", rollout)
