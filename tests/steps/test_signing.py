"""A signature proves the bytes and the key, and nothing passes for one that is none."""

import base64
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from steps import signing, store
from steps.faults import BadInput, NotAllowed

KIND = "https://example.org/kind/v1"
SAID = signing.statement("thing", f"sha256:{'1' * 64}", KIND, {"ok": True})


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return use(tmp_path / "keys", monkeypatch)


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    signing.keypair(folder)
    monkeypatch.setenv("FLEECE_SIGNING_KEY", str(folder / "key.pem"))
    monkeypatch.setenv("FLEECE_VERIFY_KEY", str(folder / "key.pub.pem"))
    return folder


def test_what_was_signed_is_opened(keys: Path) -> None:
    assert signing.opened(signing.sign(SAID), KIND, "here") == SAID


def test_a_key_is_made_once_and_is_its_owners_alone(keys: Path) -> None:
    before = (keys / "key.pem").read_bytes()
    signing.keypair(keys)
    assert (keys / "key.pem").read_bytes() == before
    assert (keys / "key.pem").stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in keys.iterdir()) == ["key.pem", "key.pub.pem"]


def test_keys_made_at_once_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: signing.keypair(tmp_path / "new"), range(4)))
    use(tmp_path / "new", monkeypatch)
    assert signing.opened(signing.sign(SAID), KIND, "here") == SAID


def changed(envelope: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(envelope) | fields).encode()


def payload(said: Any) -> str:
    return base64.b64encode(json.dumps(said).encode()).decode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sealed: b"",
        lambda sealed: b"[]",
        lambda sealed: b"\xff",
        lambda sealed: changed(sealed, payload=payload(SAID | {"predicate": {"ok": False}})),
        lambda sealed: changed(sealed, payload="***"),
        lambda sealed: changed(sealed, payload=None),
        lambda sealed: changed(sealed, signatures=[]),
        lambda sealed: changed(sealed, signatures=[{"sig": base64.b64encode(bytes(70)).decode()}]),
        lambda sealed: changed(sealed, payloadType="text/plain"),
    ],
)
def test_anything_else_is_not_opened(keys: Path, spoil: Any) -> None:
    with pytest.raises(NotAllowed, match="here"):
        signing.opened(spoil(signing.sign(SAID)), KIND, "here")


def test_another_kind_of_statement_is_not_opened(keys: Path) -> None:
    with pytest.raises(NotAllowed, match="says something else"):
        signing.opened(signing.sign(SAID), "https://example.org/other", "here")


def test_another_installations_signature_is_not_opened(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = signing.sign(SAID)
    use(tmp_path / "other", monkeypatch)
    with pytest.raises(NotAllowed, match="not signed by this installation"):
        signing.opened(sealed, KIND, "here")


@pytest.mark.parametrize("content", [b"", b"no key", None])
def test_a_key_that_is_none_is_named_and_not_shown(keys: Path, content: bytes | None) -> None:
    (keys / "key.pem").unlink()
    if content is not None:
        (keys / "key.pem").write_bytes(content)
    with pytest.raises(BadInput, match=r"key\.pem.*FLEECE_SIGNING_KEY"):
        signing.sign(SAID)


def test_a_key_of_another_curve_is_refused(keys: Path) -> None:
    subprocess.run(["openssl", "ecparam", "-genkey", "-name", "secp384r1", "-noout", "-out", str(keys / "key.pem")], check=True)
    with pytest.raises(BadInput, match="no P-256 key"):
        signing.sign(SAID)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    (place / "sub").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "sub/x", "sub-x", "manifest.json"):
        (place / name).write_text(name)
    return place


def listed(folder: Path) -> list[store.File]:
    manifest = store._describe(folder / "manifest.json", folder)
    return [*store.scan(folder), manifest]


def test_a_model_signature_holds_for_exactly_its_files(keys: Path, folder: Path) -> None:
    bundle = signing.sign_model("a.b.v1", listed(folder))
    signing.verify_model(bundle, listed(folder), "model.sig")
    (folder / "more").write_text("x")
    with pytest.raises(NotAllowed, match="signature of other files"):
        signing.verify_model(bundle, listed(folder), "model.sig")


@pytest.mark.parametrize("bundle", [b"", b"[]", b"{}", b'{"dsseEnvelope": 1}'])
def test_what_is_no_model_signature_is_refused(keys: Path, folder: Path, bundle: bytes) -> None:
    with pytest.raises(NotAllowed, match=r"model\.sig is no"):
        signing.verify_model(bundle, listed(folder), "model.sig")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("model_signing") is None, reason="the OpenSSF tool is not installed")
def test_the_openssf_tool_accepts_the_signature(keys: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.sig").write_bytes(signing.sign_model("a.b.v1", listed(folder)))
    verify = ["model_signing", "verify", "key", str(folder), "--signature", str(tmp_path / "model.sig")]
    verify += ["--public_key", str(keys / "key.pub.pem")]
    assert subprocess.run(verify, env=os.environ, check=False).returncode == 0
    (folder / "config.json").write_text("changed")
    assert subprocess.run(verify, env=os.environ, check=False).returncode != 0
