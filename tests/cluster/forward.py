"""A port of a pod as a port of this machine, through the API server: tests need a KUBECONFIG and no route into the cluster."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from kubernetes import client
from kubernetes.stream import portforward

_BLOCK = 65536


@contextmanager
def forwarded(api: client.ApiClient, namespace: str, pod: str, port: int) -> Iterator[int]:
    """Listen on a free port of 127.0.0.1; each connection to it is one to the pod's port. Gives the local port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, api, namespace, pod, port), daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, api: client.ApiClient, namespace: str, pod: str, port: int) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(near, api, namespace, pod, port), daemon=True).start()


def _connect(near: socket.socket, api: client.ApiClient, namespace: str, pod: str, port: int) -> None:
    with near, suppress(OSError, client.ApiException):
        own = client.CoreV1Api(client.ApiClient(api.configuration))  # a stream changes its client while it is opened
        tunnel = portforward(own.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
        with closing(tunnel.socket(port)) as far:
            _bridge(near, far)


def _bridge(near: Any, far: Any) -> None:
    peer = {near: far, far: near}
    while True:
        for ready in select.select([near, far], [], [])[0]:
            if not (block := ready.recv(_BLOCK)):
                return
            peer[ready].sendall(block)
