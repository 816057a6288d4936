"""What `fleece install` takes: everything is checked before a cluster is asked, and a fault is one line with exit code 64."""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipelines.cli import main
from pipelines.cluster import installation
from pipelines.local.faults import Refused

SETTINGS = {
    "FLEECE_STORE": "gs://bucket/team-a",
    "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
    "FLEECE_CONFIG_REPO": "https://git.example.org/runs.git",
    "FLEECE_GITOPS": "git@git.example.org:releases.git",
}


def pem(curve: ec.EllipticCurve) -> str:
    key = ec.generate_private_key(curve)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def write(file: Path, content: object) -> Path:
    file.write_text(yaml.safe_dump(content))
    return file


def test_settings_become_the_environment_of_every_step(file: Path) -> None:
    found = installation.settings("team-a", "registry.example.org/ml", write(file, SETTINGS))
    assert SETTINGS.items() <= found.items()
    assert found["FLEECE_TENANT"] == "team-a"
    assert found["FLEECE_TRAIN_IMAGE"] == "registry.example.org/ml/train:0.1.0"
    assert found["FLEECE_VERIFY_KEY"] == "/etc/fleece/policies/key.pub.pem"
    assert all(isinstance(value, str) for value in found.values())


def test_the_training_image_may_be_pinned(file: Path) -> None:
    pinned = "registry.example.org/ml/train@sha256:0"
    assert installation.settings("t", "fleece", write(file, {**SETTINGS, "FLEECE_TRAIN_IMAGE": pinned}))["FLEECE_TRAIN_IMAGE"] == pinned


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"FLEECE_STORE": None}, "misses FLEECE_STORE (gs://bucket/folder, the tenant's own)"),
        ({"FLEECE_STORE": "file:///data"}, "FLEECE_STORE is 'file:///data'; expected is gs://bucket/folder"),
        ({"FLEECE_STORE": "gs://bucket/../other"}, "FLEECE_STORE is"),
        ({"FLEECE_STORE": "gs://bucket/a\nb"}, "FLEECE_STORE is"),
        ({"MLFLOW_TRACKING_URI": "https://me:secret@mlflow.example.org"}, "without a password"),
        ({"FLEECE_GITOPS": "https://me:secret@git.example.org/x.git"}, "without a password"),
        ({"FLEECE_CONFIG_REPO": "file:///repo"}, "FLEECE_CONFIG_REPO is"),
        ({"FLEECE_TENANT": "other"}, "FLEECE_TENANT is set by the installation itself"),
        ({"FLEECE_POLICIES": "/tmp"}, "FLEECE_POLICIES is set by the installation itself"),
        ({"LD_PRELOAD": "/tmp/x.so"}, "unknown setting LD_PRELOAD"),
        ({"FLEECE_STROE": "gs://bucket/x"}, "unknown setting FLEECE_STROE"),
        ({"NO_PROXY": 1}, "NO_PROXY is no text; put it in quotes"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(file: Path, change: dict[str, object], fault: str) -> None:
    content = {key: value for key, value in {**SETTINGS, **change}.items() if value is not None}
    with pytest.raises(Refused) as refused:
        installation.settings("t", "fleece", write(file, content))
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "Team", "team_a", "1team", "team.a", "-a", "a-", "x" * 56, "team-release", "a\n"])
def test_a_tenant_that_cannot_name_two_namespaces_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="cannot name its namespaces"):
        installation.tenant(name)


def test_the_longest_tenant_is_taken() -> None:
    assert installation.tenant("x" * 55) == "x" * 55


def test_policies_are_the_three_files_and_are_read_first(tmp_path: Path) -> None:
    folder = shutil.copytree(installation.CONFIGS / "policies", tmp_path / "policies")
    assert set(installation.policies(folder)) == {"risk.yaml", "approvers.yaml", "data.yaml"}
    (folder / "risk.yaml").write_text("classes: []\n")
    with pytest.raises(Refused, match=r"risk\.yaml is no policy"):
        installation.policies(folder)
    (folder / "risk.yaml").unlink()
    with pytest.raises(Refused, match=r"risk\.yaml does not exist"):
        installation.policies(folder)


def test_an_environment_of_one_machine_does_not_go_to_a_cluster(tmp_path: Path) -> None:
    assert set(installation.targets(installation.CONFIGS / "environments")) == {"commit-only.yaml"}
    shutil.copy(installation.CONFIGS / "environments" / "local.yaml", tmp_path)
    with pytest.raises(Refused, match="holds no environment for a cluster"):
        installation.targets(tmp_path)


def test_a_key_keeps_its_public_part_and_two_new_ones_differ() -> None:
    first, second = installation.keypair(None), installation.keypair(None)
    assert first.private != second.private
    assert installation.keypair(first.private) == first
    assert "PRIVATE" in first.private
    assert "PUBLIC" in first.public


@pytest.mark.parametrize("text", ["", "no key", pem(ec.SECP384R1())])
def test_what_is_no_p256_key_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="the signing key"):
        installation.keypair(text)


def test_a_given_p256_key_is_taken() -> None:
    text = pem(ec.SECP256R1())
    assert installation.keypair(text).private == text


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("", "give --tenant and --settings, or --cluster-only"),
        ("--tenant t", "give --tenant and --settings, or --cluster-only"),
        ("--cluster-only --tenant-only", "leave nothing to do"),
        ("--tenant T --settings {file}", "cannot name its namespaces"),
        ("--tenant t --settings {file} --gangs 0", "0 is not in the range"),
        ("--tenant t --settings {file} --policies /nowhere", "does not exist"),
        pytest.param("--tenant t --settings {file}", "no cluster", marks=pytest.mark.slow),  # imports the Kubernetes client: 1 s
    ],
)
def test_a_call_that_cannot_work_is_one_line_and_64(file: Path, words: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    write(file, SETTINGS)
    done = CliRunner().invoke(main, ["install", *words.format(file=file).split()])
    assert done.exit_code == 64
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("fleece: ")
    assert fault in last
