"""The command line and environment of a container, as Kubernetes would make them."""

import base64
import os
import re
from typing import Any

_REFERENCE = re.compile(r"\$(\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")


class Missing(Exception):
    """A ConfigMap or Secret that the environment needs is not there."""


def expand(text: str, values: dict[str, str]) -> str:
    """Kubernetes' `$(NAME)`: an unknown name stays, `$$` is `$`. https://pkg.go.dev/k8s.io/kubernetes/third_party/forked/golang/expansion"""

    def one(found: re.Match[str]) -> str:
        if found[1] == "$":
            return "$"
        return values.get(found[2], found[0])

    return _REFERENCE.sub(one, text)


def data_of(found: dict[str, Any]) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret."""
    plain = {k: str(v).encode() for k, v in (found.get("data") or {}).items()}
    if found["kind"] != "Secret":
        return plain | {k: base64.b64decode(v) for k, v in (found.get("binaryData") or {}).items()}
    return {k: base64.b64decode(v) for k, v in plain.items()} | {k: str(v).encode() for k, v in (found.get("stringData") or {}).items()}


def declared(container: dict[str, Any], known: dict[str, str], objects: Any, fields: dict[str, str]) -> dict[str, str]:
    """The variables that a container declares; later ones may use earlier ones. Missing when a source is not there."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if field in source:
                keys = _keys(kind, source[field], objects)
                found |= {source.get("prefix", "") + key: value.decode("utf-8", "replace") for key, value in keys.items()}
    for variable in container.get("env") or []:
        value = _value(variable, known | found, objects, fields)
        if value is not None:
            found[variable["name"]] = value
    return found


def _keys(kind: str, reference: dict[str, Any], objects: Any) -> dict[str, bytes]:
    found = objects.get(kind, reference["name"])
    if found is None and not reference.get("optional"):
        raise Missing(f"{kind} {reference['name']!r}, which does not exist")
    return data_of(found) if found is not None else {}


def _value(variable: dict[str, Any], known: dict[str, str], objects: Any, fields: dict[str, str]) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(variable.get("value", ""), known)
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        if field in source:
            keys = _keys(kind, source[field], objects)
            if source[field]["key"] in keys:
                return keys[source[field]["key"]].decode("utf-8", "replace")
            if not source[field].get("optional"):
                raise Missing(f"key {source[field]['key']!r} of {kind} {source[field]['name']!r}, which does not exist")
            return None
    return pod_field(fields, source)


def pod_field(found: dict[str, str], source: dict[str, Any]) -> str:
    """The value of a fieldRef; what a pod does not have is empty. A resourceFieldRef is 0: nothing is limited here."""
    if "resourceFieldRef" in source:
        return "0"
    path = str((source.get("fieldRef") or {}).get("fieldPath", "")).replace('"', "'")
    return found.get(path, "")


def base(temporary: str) -> dict[str, str]:
    """What every step gets from this machine, and nothing more: no token or setting of the caller leaks into it."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    return {n: os.environ[n] for n in names if n in os.environ} | {"TMPDIR": temporary}
