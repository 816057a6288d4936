"""What an answer of the Kubernetes API means to a person: one line and an exit code. Pure.

https://kubernetes.io/docs/reference/using-api/api-concepts/ and https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#Status
"""

import json
import re

from pipelines.local.faults import Refused


class Unreachable(Refused):
    """The API, or what should serve the question, does not answer."""

    code = 69


class TryAgain(Refused):
    """Somebody else was faster, or the API has too much to do."""

    code = 75


class NotAllowed(Refused):
    """A right is missing, or an admission policy says no."""

    code = 77


class NotFound(Refused):
    """There is no object of this name."""


class Waiting(Refused):
    """A container that has not started has no log yet."""


_POLICY = re.compile(r"ValidatingAdmissionPolicy '([^']+)'.*? denied request: (.*)", re.DOTALL)
_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request: (.*)', re.DOTALL)
_RIGHT = re.compile(r'User "([^"]+)" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?')


def of(status: int, body: str, server: str) -> Refused:
    """The refusal behind an answer that is none of 2xx."""
    words = _words(body)
    if denied := _POLICY.search(words) or _WEBHOOK.search(words):
        return NotAllowed(f"{denied[1]} refuses this: {denied[2]}")
    if status == 401 or (status == 403 and 'User "system:anonymous"' in words):
        return NotAllowed(f"{server} does not know who you are; log in again, or choose another --context")
    if status == 403:
        return NotAllowed(_missing(words))
    if status == 429:
        return TryAgain(f"{server} has too much to do; try again")
    if not _status(body):
        return Unreachable(f"{server} answers {status}: {words[:200]}; is Argo Workflows installed there, and is it a Kubernetes API?")
    if status == 404:
        return _absent(words, server)
    if status == 409:
        return Refused(f"{words}; choose another name") if _reason(body) == "AlreadyExists" else TryAgain(f"{words}; try again")
    if status == 400 and "waiting to start" in words:
        return Waiting(words)
    if status >= 500:
        return Unreachable(f"{server} answers {status}: {words}")
    return Refused(words)


def _absent(words: str, server: str) -> Refused:
    """An unknown kind is an installation that is missing; an unknown name is a word of the user."""
    if "could not find the requested resource" in words:
        return Unreachable(f"{server} does not know this kind of object; is Argo Workflows installed there?")
    return NotFound(words)


def _missing(words: str) -> str:
    found = _RIGHT.search(words)
    if found is None:
        return words
    user, verb, resource, group, namespace = found.groups()
    what = f"{resource}.{group}" if group else resource
    where = f"in namespace {namespace}" if namespace else "on this cluster"
    return f"{user} may not {verb} {what} {where}; ask for a role there that holds this right, or choose another --context"


def _status(body: str) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(body: str) -> str:
    return " ".join(str(_status(body).get("message") or body or "no reason given").split())


def _reason(body: str) -> str:
    return str(_status(body).get("reason") or "")
