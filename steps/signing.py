"""Signatures: DSSE envelopes around in-toto statements, ECDSA P-256, and the OpenSSF model-signing bundle of a model folder.

https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
https://in-toto.io/Statement/v1
https://github.com/sigstore/model-transparency (a bundle from here is accepted by `model_signing verify key`)
"""

import base64
import binascii
import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.faults import BadInput, NotAllowed
from steps.runtime import setting
from steps.store import File, to_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

Statement = dict[str, Any]
IN_TOTO = "application/vnd.in-toto+json"
MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def keypair(folder: Path) -> None:
    """Make `key.pem` (private, 0600) and `key.pub.pem` for a local installation; a key that is there stays.

    Of several processes at once one key wins, and the public part is always the winner's.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    part = _private_file(folder / f".key.{uuid.uuid4().hex}.part", made)
    with contextlib.suppress(FileExistsError):
        os.link(part, folder / "key.pem")
    part.unlink()
    public = _private_key(folder / "key.pem").public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _private_file(part, pem).replace(folder / "key.pub.pem")


def statement(name: str, digest: str, kind: str, predicate: dict[str, Any]) -> Statement:
    """An in-toto statement of `kind` about what has this name and `sha256:` digest."""
    subject = {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
    return {"_type": "https://in-toto.io/Statement/v1", "subject": [subject], "predicateType": kind, "predicate": predicate}


def sign(said: Statement) -> bytes:
    """The statement in a DSSE envelope, signed with the key of FLEECE_SIGNING_KEY."""
    return to_json(_envelope(said))


def opened(envelope: bytes, kind: str, where: str) -> Statement:
    """The statement in an envelope, when FLEECE_VERIFY_KEY verifies it and it is of `kind`. Raises NotAllowed otherwise."""
    try:
        return _opened(json.loads(envelope), kind, where)
    except ValueError:
        raise NotAllowed(f"{where} is no signed statement; only `approve` and `verify` write one") from None


def sign_model(name: str, files: Iterable[File]) -> bytes:
    """The model-signing bundle over all files of a model folder."""
    said = _model_statement(name, files)
    hint = hashlib.sha256(_public_pem(_private_key(_path("FLEECE_SIGNING_KEY")).public_key())).hexdigest()
    material = {"publicKey": {"hint": hint}, "tlogEntries": []}
    return to_json({"mediaType": _BUNDLE, "verificationMaterial": material, "dsseEnvelope": _envelope(said)})


def verify_model(bundle: bytes, files: Iterable[File], where: str) -> None:
    """Raises NotAllowed unless the bundle is signed by our key and names exactly these files."""
    try:
        said = _opened(json.loads(bundle)["dsseEnvelope"], MODEL_SIGNATURE, where)
    except (ValueError, KeyError, TypeError):
        raise NotAllowed(f"{where} is no model signature; only `verify` writes one") from None
    if said != _model_statement(said["subject"][0]["name"], files):
        raise NotAllowed(f"{where} is the signature of other files: the model was changed after it was signed")


def _model_statement(name: str, files: Iterable[File]) -> Statement:
    ordered = sorted(files, key=lambda file: Path(file.path))
    root = hashlib.sha256(b"".join(bytes.fromhex(file.sha256) for file in ordered)).hexdigest()
    how = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []}
    resources = [{"name": file.path, "algorithm": "sha256", "digest": file.sha256} for file in ordered]
    return statement(name, root, MODEL_SIGNATURE, {"serialization": how, "resources": resources})


def _envelope(said: Statement) -> dict[str, Any]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    payload = to_json(said)
    signature = _private_key(_path("FLEECE_SIGNING_KEY")).sign(_pae(payload), ec.ECDSA(hashes.SHA256()))
    return {"payload": _b64(payload), "payloadType": IN_TOTO, "signatures": [{"sig": _b64(signature), "keyid": ""}]}


def _opened(envelope: Any, kind: str, where: str) -> Statement:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        typed = envelope["payloadType"] == IN_TOTO
    except (KeyError, IndexError, TypeError, binascii.Error):
        raise NotAllowed(f"{where} is no DSSE envelope; only `approve` and `verify` write one") from None
    try:
        _public_key(_path("FLEECE_VERIFY_KEY")).verify(signature, _pae(payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise NotAllowed(f"{where} was not signed by this installation, or was changed afterwards") from None
    said: Statement = json.loads(payload)
    if not typed or said.get("predicateType") != kind:
        raise NotAllowed(f"{where} is signed, but says something else ({said.get('predicateType')}), not {kind}")
    return said


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed names its own type and lengths."""
    return b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)


def _path(name: str) -> Path:
    return Path(setting(name))


def _private_key(path: Path) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        raise BadInput(f"{path.name}: no private key in PEM could be read; FLEECE_SIGNING_KEY names an unencrypted P-256 key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadInput(f"{path.name} is no P-256 key; make one with `openssl ecparam -genkey -name prime256v1`")
    return key


def _public_key(path: Path) -> "EllipticCurvePublicKey":
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        raise BadInput(f"{path.name}: no public key in PEM could be read; FLEECE_VERIFY_KEY names a P-256 key") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadInput(f"{path.name} is no public P-256 key; make it from the signing key with `openssl ec -pubout`")
    return key


def _public_pem(key: "EllipticCurvePublicKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private_file(path: Path, data: bytes) -> Path:
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(data)
    return path


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
