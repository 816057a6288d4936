"""The machines a run can train on, by preset name: `<nodes>x<processes of each>-<kind>`."""

from typing import get_args

from pydantic import BaseModel, ConfigDict

from steps.contracts import Preset


class Machines(BaseModel):
    """One gang: `nodes` pods of `processes` trainers each. CPU in cores; memory, scratch and shared memory as Kubernetes quantities.

    `cpu_asked`: what the scheduler must find free, where that is less than `cpu`, what a pod may take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    nodes: int
    processes: int
    cpu: str
    cpu_asked: str = ""
    memory: str
    scratch: str
    shared_memory: str
    accelerator: str = ""
    spot: bool = False
    node_selector: dict[str, str] = {}

    @property
    def world_size(self) -> int:
        return self.nodes * self.processes


_SPOT_L4 = {"cloud.google.com/gke-accelerator": "nvidia-l4", "cloud.google.com/gke-spot": "true"}


def _l4(nodes: int, gpus: int, cpu: str, memory: str, shared_memory: str) -> Machines:
    return Machines(
        nodes=nodes,
        processes=gpus,
        cpu=cpu,
        memory=memory,
        scratch="60Gi",
        shared_memory=shared_memory,
        accelerator="nvidia-l4",
        spot=True,
        # the accelerator alone would also admit a one-GPU pod to a node with two
        node_selector=_SPOT_L4 | {"cloud.google.com/gke-accelerator-count": str(gpus)},
    )


# What a node of the machine type has left for a pod: g2-standard-8 about 7.9 cores and 27 GiB, g2-standard-24 23.8 and 86 GiB.
MACHINES: dict[Preset, Machines] = {
    # Two cores in all hold the gang, the step that follows it and the controllers; no pod of a gang may wait for another one's end.
    "2x1-cpu": Machines(nodes=2, processes=1, cpu="1", cpu_asked="250m", memory="3Gi", scratch="4Gi", shared_memory="256Mi"),
    "2x1-l4": _l4(2, 1, "6", "22Gi", "4Gi"),
    "2x2-l4": _l4(2, 2, "20", "76Gi", "16Gi"),
    "3x1-l4": _l4(3, 1, "6", "22Gi", "4Gi"),
    "1x8-h100": Machines(
        nodes=1,
        processes=8,
        cpu="180",
        memory="1500Gi",
        scratch="500Gi",
        shared_memory="64Gi",
        accelerator="nvidia-h100-80gb",
        node_selector={"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
    ),
}
if set(MACHINES) != set(get_args(Preset)):
    raise RuntimeError("steps.contracts.Preset and steps.presets.MACHINES name different presets")
