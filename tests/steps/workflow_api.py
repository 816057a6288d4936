"""The one path of the Kubernetes API that `approve` and `verify` read, served over TLS as in a pod: Workflows by name."""

import ipaddress
import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "the-token-of-the-pod"
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a cluster of a test")])


class WorkflowApi:
    """Workflows of namespaces, as a server whose address, certificate and token lie where a pod finds them."""

    def __init__(self, home: Path, settings: pytest.MonkeyPatch) -> None:
        from kubernetes.config import incluster_config

        self.workflows: dict[tuple[str, str], dict[str, Any]] = {}
        self.status = 0  # another answer than a Workflow, for everything
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = _certified(home).wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        (home / "token").write_text(TOKEN)
        settings.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(home / "token"))
        settings.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(home / "ca.crt"))
        settings.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        settings.setenv("KUBERNETES_SERVICE_PORT", str(self._server.server_port))

    def submitted(self, namespace: str, name: str, uid: str, labels: dict[str, str], request: str) -> None:
        """A Workflow as the controller keeps it when its `request` step has ended."""
        outputs = {"parameters": [{"name": "reused", "value": "no"}, {"name": "request", "value": request}]}
        node = {"templateName": "request", "phase": "Succeeded", "outputs": outputs}
        about = {"name": name, "namespace": namespace, "uid": uid, "labels": labels}
        self.workflows[namespace, name] = {"metadata": about, "status": {"nodes": {f"{name}-1": node}}}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, token: str) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        if self.status or token != f"bearer {TOKEN}":
            return self.status or 401, {}
        known = parts[:4] == ["apis", "argoproj.io", "v1alpha1", "namespaces"] and parts[5:6] == ["workflows"]
        found = self.workflows.get((parts[4], parts[6])) if known and len(parts) == 7 else None
        return (200, found) if found else (404, {"kind": "Status", "code": 404})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = api.answer(self.path, self.headers.get("authorization", ""))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler


def _certified(home: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that is its own authority: `ca.crt` for the client, with the key for the server."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        x509.CertificateBuilder(_NAME, _NAME, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(name, critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    (home / "ca.crt").write_bytes(public)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (home / "server.pem").write_bytes(public + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / "server.pem")
    return context
