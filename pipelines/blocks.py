"""The few shapes every WorkflowTemplate is built from: a step, a resource, a nested DAG, a pipeline.

A `Block` is *called with the fields it takes*: an unknown or missing field, a wrong literal or an output that does not exist is an
error at compile time. Hera itself lets all of them pass.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pipelines import pods, settings
from pipelines.parameters import kebab, of_field, output
from pipelines.strict_hera import DAG, Container, Parameter, Resource, Task, Templatable, WorkflowTemplate, m
from steps.contracts import STEPS

Size = Literal["small", "medium", "large"]

# Only what may pass when tried again: the pod vanished, a service is down, pre-empted or a race lost (exit codes: steps/faults.py).
# A pod that is deleted or drained ends by SIGTERM, 143, where the controller sees its end before it vanishes (tried, 4.1.2).
RETRY = m.RetryStrategy(
    limit=m.IntOrString(root="3"),
    retry_policy="Always",
    expression="asInt(lastRetry.exitCode) in [-1, 69, 75, 143]",
    backoff=m.Backoff(duration="5", factor=m.IntOrString(root="2"), cap="60"),
)

# The same for a resource step: `pod deleted` is an error, and one whose end was seen in time failed with these words. Any other failure is
# the API's answer, and stays one.
LOST = 'lastRetry.status == "Error" || lastRetry.message matches "context canceled|[(]exit code (2|143)[)]"'

_used: ContextVar[dict[str, "Block"]] = ContextVar("used")


class WiringError(TypeError):
    """A block was called with what it does not take, or asked for what it does not give."""


@dataclass(frozen=True)
class Called:
    """A task of a DAG. Its outputs are attributes: `planned.run` is the tag that Argo replaces."""

    task: Task
    gives: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.task.name)

    def __getattr__(self, output: str) -> str:
        if output not in self.gives:
            raise WiringError(f"{self.name} gives no {output}; it gives {', '.join(self.gives)}")
        return f"{{{{tasks.{self.name}.outputs.parameters.{kebab(output)}}}}}"


@dataclass(frozen=True)
class Block:
    """A template and how to call it. `takes` maps each field to whether it must be given, and to a check of a literal value."""

    name: str
    takes: Mapping[str, FieldInfo | None]
    gives: tuple[str, ...]
    build: Callable[[], Templatable]

    def __call__(self, task: str = "", *, depends: str = "", when: str = "", **fields: str) -> Called:
        self._check(fields)
        self._use()
        return Called(
            Task(
                name=task or self.name,
                template=self.name,
                arguments=[Parameter(name=kebab(name), value=value) for name, value in fields.items()],
                depends=depends or None,
                when=when or None,
            ),
            self.gives,
        )

    def _use(self) -> None:
        known = _used.get().setdefault(self.name, self)
        if known is not self:
            raise WiringError(f"two blocks are called {self.name}; give one of them another name")

    def _check(self, fields: Mapping[str, str]) -> None:
        unknown = [name for name in fields if name not in self.takes]
        missing = [name for name, field in self.takes.items() if _required(field) and name not in fields]
        if unknown or missing:
            faults = [f"takes no {name}" for name in unknown] + [f"misses {name}" for name in missing]
            raise WiringError(f"{self.name} {' and '.join(faults)}; it takes {', '.join(self.takes)}")
        for name, value in fields.items():
            if (field := self.takes[name]) is not None and "{{" not in value:
                _check_literal(self.name, name, field, value)


def step(
    verb: str,
    *,
    image: str = "core",
    size: Size = "small",
    account: str = settings.STEPS_ACCOUNT,
    signs: bool = False,
    git: bool = False,
) -> Block:
    """The container template of a step module: flags, inputs, enums, defaults and outputs come from its contract.

    `signs` mounts the signing key, `git` the credentials for a repository.
    """
    takes, gives = STEPS[verb]

    def build() -> Templatable:
        cpu, memory = settings.SIZES[size]
        return Container(
            name=verb,
            image=settings.IMAGES[image],
            image_pull_policy="IfNotPresent",
            command=["python", "-m", f"steps.{verb}"],
            args=[f"--{kebab(name)}={{{{inputs.parameters.{kebab(name)}}}}}" for name in takes.model_fields]
            + [f"--out-{kebab(name)}={{{{outputs.parameters.{kebab(name)}.path}}}}" for name in gives.model_fields],
            inputs=[of_field(name, field) for name, field in takes.model_fields.items()],
            outputs=[output(name, field) for name, field in gives.model_fields.items()],
            env=[m.EnvVar(name="FLEECE_SIGNING_KEY", value=f"{settings.SIGNING[1]}/key.pem")] if signs else None,
            env_from=[m.EnvFromSource(config_map_ref=m.ConfigMapEnvSource(name=settings.SETTINGS))],
            resources=m.ResourceRequirements(
                requests={"cpu": m.Quantity(root=cpu), "memory": m.Quantity(root=memory)}, limits={"memory": m.Quantity(root=memory)}
            ),
            security_context=pods.CONTAINER_SECURITY,
            service_account_name=account,
            active_deadline_seconds=settings.STEP_DEADLINE_SECONDS,
            retry_strategy=RETRY,
            volumes=pods.volumes(signs=signs, git=git),
            pod_spec_patch=pods.executor(token=account not in settings.CALLERS),
        )

    return Block(verb, dict(takes.model_fields), tuple(gives.model_fields), build)


def resource(name: str, *, takes: tuple[str, ...] = (), gives: Mapping[str, m.ValueFrom] | None = None, **options: Any) -> Block:
    """A resource template: one call to the Kubernetes API, and its outputs read from the object."""
    outputs = dict(gives or {})

    def build() -> Templatable:
        return Resource(
            name=name,
            inputs=[Parameter(name=kebab(field)) for field in takes] or None,
            outputs=[Parameter(name=kebab(field), value_from=source) for field, source in outputs.items()] or None,
            **options,
        )

    return Block(name, dict.fromkeys(takes), tuple(outputs), build)


def nested(
    name: str, *, takes: tuple[str, ...], gives: tuple[str, ...] = (), locks: str = "", limited: str = ""
) -> Callable[[Callable[[], Mapping[str, str]]], Block]:
    """A DAG that is called like a step. The decorated function draws it and returns its outputs.

    `locks` names a mutex around it, `limited` the key of a semaphore of the tenant (ConfigMap `fleece-limits`).
    """

    def decorate(draw: Callable[[], Mapping[str, str]]) -> Block:
        def build() -> Templatable:
            with DAG(
                name=name, inputs=[Parameter(name=kebab(field)) for field in takes], synchronization=_synchronization(locks, limited)
            ) as dag:
                outputs = draw()
            if set(outputs) != set(gives):
                raise WiringError(f"{name} gives {', '.join(outputs)}; it is declared to give {', '.join(gives)}")
            dag.outputs = [
                Parameter(name=kebab(field), value_from=m.ValueFrom(parameter=source)) for field, source in outputs.items()
            ] or None
            return dag

        return Block(name, dict.fromkeys(takes), gives, build)

    return decorate


@contextmanager
def pipeline(
    name: str, *, parameters: list[Parameter], account: str = settings.STEPS_ACCOUNT, on_exit: str | None = None, about: str
) -> Iterator[WorkflowTemplate]:
    """A self-contained WorkflowTemplate whose entrypoint is the DAG drawn inside; every block that was called is compiled in."""
    token = _used.set({})
    try:
        with WorkflowTemplate(
            name=name,
            entrypoint="main",
            on_exit=on_exit,
            arguments=parameters,
            annotations={"workflows.argoproj.io/description": about},
            labels={"app.kubernetes.io/part-of": "fleece"},
            workflow_metadata=m.WorkflowMetadata(labels={"app.kubernetes.io/part-of": "fleece"}),
            service_account_name=account,
            security_context=pods.POD_SECURITY,
            pod_gc=m.PodGC(strategy="OnPodSuccess", delete_delay_duration="600s"),
            ttl_strategy=m.TTLStrategy(seconds_after_completion=settings.KEEP_SECONDS),
        ) as template:
            with DAG(name="main"):
                yield template
            _compile_used_blocks()
    finally:
        _used.reset(token)


def use(*blocks: Block) -> None:
    """Compile in a block that no task calls: an exit handler."""
    for block in blocks:
        block._use()


def _compile_used_blocks() -> None:
    """Build the template of every block that was called, and of those that these call; building adds it to the workflow."""
    built: set[str] = set()
    while waiting := [block for name, block in _used.get().items() if name not in built]:
        for block in waiting:
            built.add(block.name)
            block.build()


def _synchronization(mutex: str, semaphore: str) -> m.Synchronization | None:
    if not mutex and not semaphore:
        return None
    limit = m.ConfigMapKeySelector(name=settings.LIMITS, key=semaphore)
    return m.Synchronization(
        mutexes=[m.Mutex(name=mutex)] if mutex else None,
        semaphores=[m.SemaphoreRef(config_map_key_ref=limit)] if semaphore else None,
    )


def _required(field: FieldInfo | None) -> bool:
    return field is None or field.is_required()


def _check_literal(block: str, name: str, field: FieldInfo, value: str) -> None:
    try:
        TypeAdapter(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation).validate_python(value)
    except ValidationError as error:
        raise WiringError(f"{block}: {name}={value!r}: {error.errors()[0]['msg']}") from None
