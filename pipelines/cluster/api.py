"""The Kubernetes API as the caller's kubeconfig gives it: a path, a verb, JSON in, JSON out; every fault is one line (`faults`).

`kubernetes` does what is hard: kubeconfig, contexts, tokens, client certificates, exec plugins. Importing it costs most of a second, so
only this module does, and only when a command connects. No discovery: the few paths are known.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from pipelines.cluster import faults
from pipelines.local.faults import Refused

Object = dict[str, Any]
Answer = TypeVar("Answer")

_CONNECT_SECONDS, _READ_SECONDS = 5, 60
_PATIENCE_SECONDS, _PAUSE_SECONDS = 300.0, 1.0
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


@dataclass
class Api:
    """A server, a caller, and the namespace that is meant when none is named."""

    client: Any = field(repr=False)
    namespace: str = "default"

    @property
    def server(self) -> str:
        return str(self.client.configuration.host)

    @cached_property
    def user(self) -> str:
        """The caller's name as the API server knows it. https://kubernetes.io/docs/reference/access-authn-authz/authentication/#self-subject-review"""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        return str(answer["status"]["userInfo"]["username"])

    def call(self, verb: str, path: str, body: Object | None = None, query: Mapping[str, Any] | None = None, kind: str = "") -> Any:
        """The answer. `kind`: the content type of a PATCH: MERGE, or APPLY, which is server-side apply."""
        with self._told():
            return json.loads(self.stream(verb, path, body, query, kind).data)

    def lines(self, path: str, query: Mapping[str, Any]) -> Iterator[str]:
        """The lines of an answer that is text, as they come."""
        with self._told():
            for line in self.stream("GET", path, query=query):
                yield line.decode("utf-8", "replace")

    def stream(self, verb: str, path: str, body: Object | None = None, query: Mapping[str, Any] | None = None, kind: str = "") -> Any:
        """The answer as it comes: a urllib3 response, not yet read."""
        asked = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": "application/json, */*", "Content-Type": kind or "application/json"}
        how = {"auth_settings": ["BearerToken"], "_return_http_data_only": True, "_preload_content": False}
        with self._told():
            return self.client.call_api(
                asked, verb, header_params=headers, body=body, _request_timeout=(_CONNECT_SECONDS, _READ_SECONDS), **how
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Every fault in one line."""
        import urllib3
        from kubernetes.client import ApiException

        try:
            yield
        except ApiException as error:
            raise faults.of(error.status, error.body or "", self.server) from None
        except urllib3.exceptions.HTTPError as error:
            raise faults.Unreachable(
                f"{self.server} does not answer ({_cause(error)}); is the cluster up, and --context the right one?"
            ) from None
        except ValueError:
            raise faults.Unreachable(f"{self.server} answers with something that is no JSON; is it a Kubernetes API?") from None


def path(group: str, plural: str, namespace: str = "", name: str = "") -> str:
    """`/apis/argoproj.io/v1alpha1/namespaces/team-a/workflows/finetune-x7k2p`; the group `v1` is the core's."""
    root = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}{within}/{plural}" + (f"/{quote(name, safe='')}" if name else "")


def connect(context: str = "", namespace: str = "") -> Api:
    """The cluster of $KUBECONFIG or ~/.kube/config and of this context, else the one whose pod this is. Refused when there is neither."""
    from kubernetes import client, config

    configuration = client.Configuration()
    configuration.retries = 0  # urllib3 would try three times, with a line on stderr each
    file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if any(Path(one).is_file() for one in file.split(os.pathsep)):
        default = _load(file, context, configuration)
    elif context or "KUBERNETES_SERVICE_HOST" not in os.environ:
        raise Refused(f"no cluster: there is no {file}. Set KUBECONFIG to the file that your cluster gave you")
    else:
        config.load_incluster_config(configuration)
        default = _POD_NAMESPACE.read_text().strip()
    return Api(client.ApiClient(configuration), namespace or default)


def _load(file: str, context: str, configuration: Any) -> str:
    """Read the kubeconfig into a configuration; the namespace of its context."""
    from kubernetes import config

    try:
        with _complaints() as complaints:
            known, current = config.list_kube_config_contexts(file)
            namespace = _context(known, current, context)
            config.load_kube_config(file, context or None, configuration)
    except Refused:
        raise
    except Exception as error:  # a broken file makes the library raise anything
        raise Refused(f"{file}: {' '.join(str(error).split())}") from None
    if complaints:
        raise faults.NotAllowed(f"{file}: no credentials: {complaints[0]}; log in again")
    if not configuration.host.startswith(("http://", "https://")):
        raise Refused(f"{file}: the cluster's server is {configuration.host!r}; it is an https:// URL")
    return namespace


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What the library only logs, such as an exec plugin that fails: it would go on without credentials."""
    found: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: found.append(" ".join(record.getMessage().split()))  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield found
    finally:
        logging.getLogger().removeHandler(handler)


def patiently(ask: Callable[[], Answer]) -> Answer:
    """The answer, asked for again while the API is away or has too much to do; what it is about goes on without us."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (faults.Unreachable, faults.TryAgain):
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)


def _context(known: list[Object], current: Object | None, wanted: str) -> str:
    """The namespace of the context that is meant. Refused when it is not there."""
    names = {str(one["name"]): one for one in known}
    if wanted and wanted not in names:
        raise Refused(f"no context {wanted!r} in the kubeconfig; there are: {', '.join(names) or 'none'}")
    chosen = names[wanted] if wanted else current or {}
    return str((chosen.get("context") or {}).get("namespace") or "default")


def _cause(error: Exception) -> str:
    """`Connection refused`, out of what urllib3 wraps around it."""
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2].strip("()'\" ") or type(reason).__name__
