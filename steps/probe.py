"""`probe`: ask the live endpoint one question, as a client would, and see that the right model answers."""

import time
from pathlib import Path

from steps import environments, local_reconciler, serving, store
from steps import release as releases
from steps.contracts import ProbeIn, ProbeOut
from steps.faults import BadInput, Bug, Unavailable
from steps.release import Release
from steps.runtime import main, place, say, setting
from steps.serving import NotServing, Prompt

ATTEMPTS = 3
PAUSE_SECONDS = 1.0


def probe(given: ProbeIn) -> ProbeOut:
    """The prompt and the answer go into probe.json beside the result; they are in no log."""
    if given.endpoint == "none":
        say("probe", "skipped: the release is only committed here, so there is no endpoint to ask")
        return ProbeOut(state="not probed", milliseconds=0)
    release = releases.parse(store.read(given.release), given.release)
    _check_route(release, given.endpoint)
    _check_name(release, given.endpoint)
    prompt = serving.first_prompt(release.run)
    began = time.monotonic()
    answer = _asked(given.endpoint, release, prompt)
    milliseconds = round((time.monotonic() - began) * 1000)
    record = {
        "release_id": release.release_id,
        "digest": release.digest,
        "name": release.served_name,
        "endpoint": given.endpoint,
        "prompt": prompt.text,
        "answer": answer,
        "milliseconds": milliseconds,
    }
    store.replace_json(store.join(_place(given), "probe.json"), record)
    return ProbeOut(state="answers", milliseconds=milliseconds)


def _check_route(release: Release, endpoint: str) -> None:
    """On this machine clients find the model by its route: it must lead to this release, here."""
    if environments.read(release.environment).reconciler != "local":
        return
    route = local_reconciler.route(Path(setting("FLEECE_SERVING")), release.environment, release.model_id)
    if route is None or route.release_id != release.release_id:
        raise BadInput(f"the route of {release.model_id} leads to {route.release_id if route else 'nothing'}, not to {release.release_id}")
    if route.endpoint != endpoint:
        raise BadInput(f"the route of {release.model_id} leads to {route.endpoint}, not to {endpoint}; run rollout again")


def _check_name(release: Release, endpoint: str) -> None:
    names = serving.names(endpoint)
    if release.served_name not in names:
        raise NotServing(f"{endpoint} serves {', '.join(names) or 'nothing'}, not {release.served_name}; run rollout again")


def _asked(endpoint: str, release: Release, prompt: Prompt) -> str:
    """A server may be busy or just drop a connection: only a second and third silence counts."""
    for left in reversed(range(ATTEMPTS)):
        try:
            return serving.ask(endpoint, release.served_name, prompt)
        except Unavailable:
            if not left:
                raise
            time.sleep(PAUSE_SECONDS)
    raise Bug("asked no time")


def _place(given: ProbeIn) -> str:
    where = place("probe", given)
    if where is None:
        raise Bug("a probe has a run")
    return where


if __name__ == "__main__":
    main("probe", probe)
