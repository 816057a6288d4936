"""JobSets as gangs of processes: who decides, who dies with whom, and what the ranks see."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pipelines.local import jobset as jobsets
from pipelines.local import objectfile
from pipelines.local.failures import DEADLINE, Cause, Ended, cause_of, outcome_of
from pipelines.local.objects import Objects
from tests.local.gangs import job_of, jobset, pod_of

pytestmark = pytest.mark.slow

T = TypeVar("T")
Object = dict[str, Any]
POD = "ns/x-node-0-0-abcde"
FAILED = f"Container main for pod {POD} failed with exit code"
DISRUPTED = f"Pod {POD} has condition DisruptionTarget"
BACKOFF = "Job has reached the specified backoff limit"
RULE = "FailJob rule at index"
FATAL, AGAIN = "FailJobSetFailurePolicyAction", "FailurePolicy_disruption"
FIRST = "(first failed job: x-node-0)"
ROOT = Path(__file__).parents[2]


def soon(look: Callable[[], T], seconds: float = 20) -> T:
    """What the look gives as soon as it is something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def dead(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


class Gang:
    """An applied JobSet, looked at."""

    def __init__(self, objects: Objects, manifest: Object) -> None:
        self.objects, self.name = objects, manifest["metadata"]["name"]
        self.file = objects.file("JobSet", self.name)
        self.folder = objects.home / "gangs" / self.name
        objects.apply(manifest)

    @property
    def status(self) -> Object:
        found: Object = (objectfile.read(self.file) or {}).get("status", {})
        return found

    @property
    def job(self) -> Object:
        return self.objects.get("Job", f"{self.name}-node-0") or {}

    def conditions(self, what: Object | None = None) -> dict[str, tuple[str, str]]:
        status = self.status if what is None else what["status"]
        return {c["type"]: (c["reason"], c["message"]) for c in status["conditions"] if c["status"] == "True"}

    def end(self) -> Object:
        """The status when it is over; looking at it keeps the gang going, as Argo's executor does."""
        soon(lambda: (self.objects.get("JobSet", self.name) or {}).get("status", {}).get("terminalState"))
        return self.status

    def log(self, rank: int = 0, attempt: int = 0) -> str:
        file = self.folder / f"attempt-{attempt}-{rank}.log"
        return file.read_text() if file.exists() else ""

    def said(self, words: int, rank: int = 0, attempt: int = 0) -> list[int]:
        """The numbers that a rank printed, when there are enough."""
        soon(lambda: len(self.log(rank, attempt).split()) >= words)
        return [int(word) for word in self.log(rank, attempt).split()]

    def overseer(self) -> int:
        return jobsets._STARTED[self.file.resolve()].pid

    def controller(self) -> int:
        pid = self.overseer()
        return soon(lambda: [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()])[0]


Apply = Callable[[Object], Gang]


@pytest.fixture
def apply(tmp_path: Path) -> Iterator[Apply]:
    objects = Objects(tmp_path, "ns")
    gangs: list[Gang] = []

    def start(manifest: Object) -> Gang:
        gangs.append(Gang(objects, manifest))
        return gangs[-1]

    yield start
    for gang in gangs:
        jobsets.stop(gang.file, grace=0)


# --- the rules, as measured on a cluster


@pytest.mark.parametrize(
    ("ended", "reason", "message", "restart", "counted", "outcome"),
    [
        *((Ended(POD, code), "PodFailurePolicy", f"{FAILED} {code} matching {RULE} 2", False, False, FATAL) for code in (64, 65, 78)),
        *((Ended(POD, code), "PodFailurePolicy", f"{FAILED} {code} matching {RULE} 1", True, False, AGAIN) for code in (75, 76)),
        *((Ended(POD, code, True), "PodFailurePolicy", f"{DISRUPTED} matching {RULE} 0", True, False, AGAIN) for code in (75, 137)),
        *((Ended(POD, code), "BackoffLimitExceeded", BACKOFF, True, True, "FailurePolicy_other") for code in (1, 70, 71, 137, 143)),
    ],
)  # fmt: skip
def test_the_first_failed_pod_decides(ended: Ended, reason: str, message: str, restart: bool, counted: bool, outcome: str) -> None:
    manifest = jobset("x")
    cause = cause_of(job_of(manifest), ended)
    assert cause == Cause(reason, message)
    found = outcome_of(manifest, cause, "x-node-0", "node")
    assert (found.restart, found.counted, found.reason) == (restart, counted, outcome)


def test_a_deadline_is_a_counted_restart() -> None:
    assert outcome_of(jobset("x"), DEADLINE, "x-node-0", "node").counted


@pytest.mark.parametrize(
    ("policy", "used", "reason", "message"),
    [
        (None, 0, "FailedJobs", f"jobset failed due to one or more job failures {FIRST}"),
        ({"maxRestarts": 0}, 0, "ReachedMaxRestarts", f"jobset failed due to reaching max number of restarts {FIRST}"),
        ({"maxRestarts": 2}, 2, "ReachedMaxRestarts", f"jobset failed due to reaching max number of restarts {FIRST}"),
        ({"maxRestarts": 2}, 1, "RestartJobSetFailurePolicyAction", f"applying RestartJobSet failure policy action {FIRST}"),
        (
            {"maxRestarts": 2, "rules": [{"name": "elsewhere", "action": "FailJobSet", "targetReplicatedJobs": ["driver"]}]},
            0, "RestartJobSetFailurePolicyAction", f"applying RestartJobSet failure policy action {FIRST}",
        ),
    ],
)  # fmt: skip
def test_without_a_matching_rule_restarts_are_counted(policy: Object | None, used: int, reason: str, message: str) -> None:
    spec = {} if policy is None else {"failurePolicy": policy}
    found = outcome_of({"spec": spec, "status": {"restartsCountTowardsMax": used}}, Cause("BackoffLimitExceeded", "m"), "x-node-0", "node")
    assert (found.reason, found.message) == (reason, message)


def test_other_codes_can_be_named_by_what_they_are_not() -> None:
    job = job_of(jobset("x"))
    job["podFailurePolicy"]["rules"] = [{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [1, 2]}}]
    assert cause_of(job, Ended(POD, 3)).reason == "PodFailurePolicy"
    assert cause_of(job, Ended(POD, 2)).reason == "BackoffLimitExceeded"


# --- the same rules, with processes


@pytest.mark.parametrize(
    ("program", "state", "restarts", "counted", "reason"),
    [
        ("", "Completed", 0, None, "AllJobsCompleted"),
        ("sys.exit(65 if rank else 0)", "Failed", 0, None, "FailJobSetFailurePolicyAction"),
        ("sys.exit(70 if rank else 0)", "Failed", 1, 1, "ReachedMaxRestarts"),
        ("sys.exit(75 if attempt < 2 else 0)", "Completed", 2, None, "AllJobsCompleted"),
        ("os.kill(os.getpid(), signal.SIGKILL) if rank and not attempt else None", "Completed", 1, 1, "AllJobsCompleted"),
    ],
)
def test_exit_codes_decide_over_the_gang(apply: Apply, program: str, state: str, restarts: int, counted: int | None, reason: str) -> None:
    gang = apply(jobset("ft-a", program))
    status = gang.end()
    assert (status["terminalState"], status["restarts"], status.get("restartsCountTowardsMax")) == (state, restarts, counted)
    assert gang.conditions()[state][0] == reason


def test_a_survivor_that_reports_a_lost_peer_does_not_hide_the_cause(apply: Apply) -> None:
    survive = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(76))\nprint('ready', flush=True)\ntime.sleep(60)"
    gang = apply(jobset("ft-a", f"if rank:\n time.sleep(.5); sys.exit(65)\n{survive}"))
    assert gang.end()["terminalState"] == "Failed"
    assert gang.status["conditions"][-1]["message"] == "applying FailJobSet failure policy action (first failed job: ft-a-node-0)"
    reason, message = gang.conditions(gang.job)["Failed"]
    assert (reason, message.partition(" failed with ")[2]) == ("PodFailurePolicy", "exit code 65 matching FailJob rule at index 2")
    assert message.startswith("Container main for pod ns/ft-a-node-0-1-")
    assert gang.conditions(gang.job)["FailureTarget"] == (reason, message)


def test_a_survivor_that_ignores_sigterm_is_killed_after_its_grace(apply: Apply) -> None:
    gang = apply(jobset("ft-a", "if rank: time.sleep(.3); sys.exit(78)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)"))
    assert gang.end()["terminalState"] == "Failed"


def test_a_restart_is_seen_as_a_condition_with_the_rules_name(apply: Apply) -> None:
    gang = apply(jobset("ft-a", "sys.exit(75) if not attempt else time.sleep(60)"))
    restarting = soon(lambda: [c for c in gang.status.get("conditions", []) if c["type"] == "RestartingJobSet" and c["status"] == "False"])[
        0
    ]
    assert restarting["reason"] == "FailurePolicy_disruption"
    assert gang.job["metadata"]["labels"]["jobset.sigs.k8s.io/restart-attempt"] == "1"


def test_a_job_past_its_deadline_is_ended(apply: Apply) -> None:
    manifest = jobset("ft-a", "time.sleep(0 if attempt else 60)")
    job_of(manifest)["activeDeadlineSeconds"] = 1
    status = apply(manifest).end()
    assert (status["terminalState"], status["restartsCountTowardsMax"]) == ("Completed", 1)


def test_a_program_that_cannot_be_started_fails_like_a_crash(apply: Apply) -> None:
    gang = apply(jobset("ft-a", command=["/nowhere/python"]))
    assert gang.end()["terminalState"] == "Failed"
    assert "failed to start /nowhere/python" in gang.log()


def test_a_missing_secret_ends_the_gang_instead_of_hanging_it(apply: Apply) -> None:
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]
    gang = apply(jobset("ft-a", env=env))
    assert gang.end()["terminalState"] == "Failed"
    assert gang.conditions()["Failed"] == ("CreateContainerConfigError", 'secret "none" not found')


# --- what a rank sees


def seen(gang: Gang, rank: int = 0) -> Object:
    assert gang.end()["terminalState"] == "Completed", gang.log(rank)
    found: Object = json.loads(gang.log(rank))
    return found


SHOW = "import json; print(json.dumps({'argv': sys.argv[1:], 'cwd': os.getcwd(), **os.environ}))"


def test_a_rank_sees_its_place_in_the_gang(apply: Apply) -> None:
    names = {"POD": "metadata.name", "NS": "metadata.namespace", "UID_OF_POD": "metadata.uid", "IP": "status.podIP"}
    env: list[Object] = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}} for name, field in names.items()]
    env += [{"name": "BOTH", "value": "$(NS)/$(POD) $$(NS) $(NONE)"}]
    gang = apply(jobset("ft-a", SHOW, env=env, args=["--pod=$(POD)"]))
    first, second = seen(gang, 0), seen(gang, 1)
    assert (first["JOB_COMPLETION_INDEX"], second["JOB_COMPLETION_INDEX"]) == ("0", "1")
    assert first["POD"].startswith("ft-a-node-0-0-")
    assert first["BOTH"] == f"ns/{first['POD']} $(NS) $(NONE)"
    assert first["argv"] == [f"--pod={first['POD']}"]
    assert first["UID_OF_POD"] != second["UID_OF_POD"]
    assert first["IP"] == "127.0.0.1"
    assert first["TMPDIR"] != second["TMPDIR"]


def test_pod_addresses_and_ports_lie_on_this_machine_and_are_the_same_for_all_ranks(apply: Apply) -> None:
    dns = "ft-a-node-0-0.ft-a"
    env = [
        {"name": "MASTER_ADDR", "value": dns},
        {"name": "MASTER_PORT", "value": "29500"},
        {"name": "ENDPOINT", "value": f"tcp://{dns}.ns.svc.cluster.local:29500/x"},
        {"name": "STEPS", "value": "2950"},
        {"name": "OTHER", "value": f"{dns}.example.org"},
    ]
    gang = apply(jobset("ft-a", SHOW, env=env, ports=[{"containerPort": 29500}], args=[f"--peer={dns}:29500"]))
    first, second = seen(gang, 0), seen(gang, 1)
    port = first["MASTER_PORT"]
    assert port == second["MASTER_PORT"] != "29500"
    assert first["MASTER_ADDR"] == "127.0.0.1"
    assert first["ENDPOINT"] == f"tcp://127.0.0.1:{port}/x"
    assert first["argv"] == [f"--peer=127.0.0.1:{port}"]
    assert (first["STEPS"], first["OTHER"]) == ("2950", f"{dns}.example.org")


def test_volumes_are_folders_of_the_gang(apply: Apply, tmp_path: Path) -> None:
    objects = Objects(tmp_path, "ns")
    objects.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "run"}, "data": {"run.json": "{}", "COLOUR": "red"}})
    mounts = [("scratch", "/scratch"), ("store", "/store"), ("run", "/run/ft"), ("shm", "/dev/shm")]
    program = f"open(os.environ['OUT'] + '/new', 'w').close(); open(sys.argv[2][6:]).read()\n{SHOW}"
    manifest = jobset(
        "ft-a", program, args=["/scratch/a", "--run=/run/ft/run.json", "/scratchy"],
        env=[{"name": "OUT", "value": "/scratch"}, {"name": "STORE", "value": "/store/x"}, {"name": "SHM", "value": "/dev/shm"}],
        envFrom=[{"configMapRef": {"name": "run"}, "prefix": "RUN_"}],
        volumeMounts=[{"name": name, "mountPath": path} for name, path in mounts],
    )  # fmt: skip
    pod_of(manifest)["volumes"] = [
        {"name": "scratch", "emptyDir": {}},
        {"name": "store", "persistentVolumeClaim": {"claimName": "models"}},
        {"name": "run", "configMap": {"name": "run"}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
    gang = apply(manifest)
    first, second = seen(gang, 0), seen(gang, 1)
    own = gang.folder / "0" / "volumes"
    assert first["argv"] == [f"{own}/scratch/a", f"--run={own}/run/run.json", "/scratchy"]
    assert first["OUT"] != second["OUT"]
    assert first["STORE"] == second["STORE"] == f"{tmp_path}/volumes/ns/models/x"
    assert (own / "scratch/new").exists()
    assert (tmp_path / "volumes/ns/models").is_dir()
    assert (first["SHM"], first["RUN_COLOUR"]) == ("/dev/shm", "red")


def test_paths_of_this_machine_are_not_taken_for_paths_in_the_pod(apply: Apply, tmp_path: Path) -> None:
    objects = Objects(tmp_path, "ns")
    objects.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fleece"}, "data": {"FLEECE_POLICIES": "/tmp/none"}})
    manifest = jobset(
        "ft-a", SHOW, ranks=1, args=["--run=file:///tmp/store/x", str(tmp_path), "/tmp/new"],
        env=[{"name": "HOME", "value": "/tmp"}], envFrom=[{"configMapRef": {"name": "fleece"}}],
        volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}, {"name": "over", "mountPath": str(tmp_path.parent)}],
    )  # fmt: skip
    pod_of(manifest)["volumes"] = [{"name": "tmp", "emptyDir": {}}, {"name": "over", "emptyDir": {}}]
    found = seen(apply(manifest))
    assert found["HOME"] == found["TMPDIR"] != "/tmp"
    assert len(found["TMPDIR"]) < 60  # sockets are made in it
    assert found["FLEECE_POLICIES"] == "/tmp/none"
    assert found["argv"] == ["--run=file:///tmp/store/x", str(tmp_path), f"{found['TMPDIR']}/new"]


@pytest.mark.parametrize("image", ["registry:5000/acme/train:1@sha256:ab", "registry:5000/acme/train", "registry:5000/acme/*"])
def test_an_image_stands_for_an_environment_of_this_machine(apply: Apply, tmp_path: Path, image: str) -> None:
    table = {image: {"bin": "/envs/train/bin", "warm": "/warm/bin", "env": {"HF_HUB_OFFLINE": "1"}}, "registry:5000/*": {"bin": "/other"}}
    (tmp_path / "images.json").write_text(json.dumps(table))
    found = seen(apply(jobset("ft-a", SHOW, image="registry:5000/acme/train:1@sha256:ab")))
    assert found["PATH"].startswith("/warm/bin:/envs/train/bin:")
    assert found["HF_HUB_OFFLINE"] == "1"


def test_settings_of_the_caller_do_not_leak_into_a_rank(apply: Apply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    assert "SECRET_OF_THE_SHELL" not in seen(apply(jobset("ft-a", SHOW)))


def test_logs_are_named_by_attempt_and_rank_and_the_object_says_where(apply: Apply) -> None:
    gang = apply(jobset("ft-a", "print(f'rank {rank} attempt {attempt}'); sys.exit(0 if attempt else 75)"))
    gang.end()
    assert (objectfile.read(gang.file) or {})["metadata"]["annotations"]["fleece.dev/logs"] == str(gang.folder)
    assert gang.log(1, 1) == "rank 1 attempt 1\n"
    assert gang.log(0, 0) == "rank 0 attempt 0\n"


# --- who dies with whom

# Every rank has a child in its group and one in a session of its own; it prints all three process numbers.
FAMILY = (
    "sleep = [sys.executable, '-S', '-c', 'import time; time.sleep(60)']\n"
    "pids = [os.getpid(), subprocess.Popen(sleep).pid, subprocess.Popen(sleep, start_new_session=True).pid]\n"
    "print(*pids, flush=True)\n"
)


def family(gang: Gang, attempt: int = 0) -> list[int]:
    return gang.said(3, 0, attempt) + gang.said(3, 1, attempt)


def test_a_killed_rank_takes_its_children_and_the_attempt_with_it(apply: Apply) -> None:
    gang = apply(jobset("ft-a", f"{FAMILY}time.sleep(0 if attempt else 60)"))
    pids = family(gang)
    os.kill(pids[3], signal.SIGKILL)
    assert gang.end() | {"restartsCountTowardsMax": 1, "terminalState": "Completed"} == gang.status
    assert dead(pids + family(gang, 1))


def test_an_ended_rank_leaves_nothing_running(apply: Apply) -> None:
    gang = apply(jobset("ft-a", FAMILY))
    gang.end()
    assert dead(family(gang))


@pytest.mark.parametrize("victim", [Gang.controller, Gang.overseer])
def test_a_killed_controller_starts_again_with_an_attempt_that_is_not_counted(apply: Apply, victim: Callable[[Gang], int]) -> None:
    gang = apply(jobset("ft-a", f"{FAMILY}time.sleep(0 if attempt else 60)"))
    pids = family(gang)
    os.kill(victim(gang), signal.SIGKILL)
    status = gang.end()
    assert (status["terminalState"], status["restarts"], status.get("restartsCountTowardsMax")) == ("Completed", 1, None)
    soon(lambda: dead(pids))


def run_elsewhere(home: Path, manifest: Object) -> "subprocess.Popen[bytes]":
    """A runner in a process of its own, that can be killed."""
    program = (
        "import json, sys, time\nfrom pathlib import Path\nfrom pipelines.local.objects import Objects\n"
        "Objects(Path(sys.argv[1]), 'ns').apply(json.loads(sys.argv[2]))\ntime.sleep(60)"
    )
    return subprocess.Popen([sys.executable, "-c", program, str(home), json.dumps(manifest)], cwd=ROOT)


def test_a_killed_runner_takes_everything_with_it_and_the_gang_can_be_resumed(tmp_path: Path) -> None:
    manifest = jobset("ft-a", f"{FAMILY}time.sleep(0 if attempt else 60)")
    objects = Objects(tmp_path, "ns")
    with run_elsewhere(tmp_path, manifest) as runner:
        soon(objects.file("JobSet", "ft-a").exists)
        gang = Gang.__new__(Gang)
        gang.objects, gang.name, gang.file, gang.folder = objects, "ft-a", objects.file("JobSet", "ft-a"), tmp_path / "gangs" / "ft-a"
        pids = family(gang)
        runner.kill()
    soon(lambda: dead(pids))
    assert "terminalState" not in gang.status
    jobsets.resume(gang.file)
    status = gang.end()
    assert (status["terminalState"], status["restarts"], status.get("restartsCountTowardsMax")) == ("Completed", 1, None)
    jobsets.stop(gang.file)


def test_a_cause_that_was_frozen_before_the_crash_is_still_the_cause(apply: Apply) -> None:
    linger = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(60)"
    manifest = jobset("ft-a", f"if rank:\n time.sleep(.5); sys.exit(65)\n{linger}")
    pod_of(manifest)["terminationGracePeriodSeconds"] = 60
    gang = apply(manifest)
    soon(lambda: "FailureTarget" in str(gang.job.get("status")))
    os.kill(gang.controller(), signal.SIGKILL)
    assert gang.end()["restarts"] == 0
    assert gang.conditions()["Failed"][0] == "FailJobSetFailurePolicyAction"


def test_deleting_a_jobset_ends_its_ranks_with_their_grace(apply: Apply, tmp_path: Path) -> None:
    save = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(.2), open(sys.argv[1] + str(rank), 'w').close(), sys.exit(75)))"
    gang = apply(jobset("ft-a", f"{save}\n{FAMILY}time.sleep(60)", args=[f"{tmp_path}/saved-"]))
    pids = family(gang)
    gang.objects.delete("JobSet", "ft-a")
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]
    assert dead(pids)
    assert gang.objects.get("JobSet", "ft-a") is None
    assert gang.objects.get("Job", "ft-a-node-0") is None
    assert gang.objects.delete("JobSet", "ft-a") is None


def test_a_rank_that_ignores_the_deletion_is_killed(apply: Apply) -> None:
    gang = apply(jobset("ft-a", f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FAMILY}time.sleep(60)"))
    pids = family(gang)
    gang.objects.delete("JobSet", "ft-a", wait=False)
    soon(lambda: gang.objects.get("JobSet", "ft-a") is None)
    assert dead(pids)


def test_applying_a_running_jobset_again_starts_nothing(apply: Apply) -> None:
    manifest = jobset("ft-a", f"{FAMILY}time.sleep(60)")
    gang = apply(manifest)
    family(gang)
    before = objectfile.read(gang.file)
    gang.objects.apply(manifest)
    assert objectfile.read(gang.file) == before
    assert len(list(gang.folder.glob("attempt-*.log"))) == 2


def test_an_ended_jobset_is_left_alone(apply: Apply) -> None:
    gang = apply(jobset("ft-a"))
    gang.end()
    before = objectfile.read(gang.file)
    jobsets.resume(gang.file)
    assert objectfile.read(gang.file) == before
    with contextlib.suppress(KeyError):
        assert jobsets._STARTED[gang.file.resolve()].wait(5) == 0
