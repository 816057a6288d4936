"""What the pod of every step has: no privilege, no token where user code runs, and what the installation gives as files.

Tried on a real controller (4.1.2) in a namespace with Pod Security `restricted`, which looks at Argo's own containers as well.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from typing import Any

from pipelines import settings
from pipelines.strict_hera import ConfigMapVolume, EmptyDirVolume, SecretVolume, m

POD_SECURITY = m.PodSecurityContext(
    run_as_non_root=True, run_as_user=8737, run_as_group=8737, fs_group=8737, seccomp_profile=m.SeccompProfile(type="RuntimeDefault")
)
CONTAINER_SECURITY = m.SecurityContext(
    allow_privilege_escalation=False, capabilities=m.Capabilities(drop=["ALL"]), read_only_root_filesystem=True
)

_CONTAINER = """\
- name: {name}
  securityContext:
    allowPrivilegeEscalation: false
    capabilities: {{drop: [ALL]}}
"""
_MOUNT = """\
  volumeMounts:
  - {name: executor-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
"""
_VOLUME = """\
volumes:
- name: executor-token
  projected:
    sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3600}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
"""


def executor(*, token: bool) -> str:
    """podSpecPatch of Argo's own containers. `token`: they mount one of this very pod, since its account gives none to `main`.

    Code in `main` can then call nothing and forge no other step's result. `init` needs the token too, or it ends with "no configuration".
    """
    init, wait = (_CONTAINER.format(name=name) + (_MOUNT if token else "") for name in ("init", "wait"))
    return f"{_VOLUME if token else ''}initContainers:\n{init}containers:\n{wait}"


def volumes(*, signs: bool, git: bool) -> list[Any]:
    """A /tmp to write to, the installation's policies and environments; with `signs` its key, with `git` credentials for a repository."""
    found: list[Any] = [EmptyDirVolume(name="tmp", mount_path="/tmp")]  # noqa: S108 - the pod's own
    for name, path in (settings.POLICIES, settings.ENVIRONMENTS):
        found.append(ConfigMapVolume(name=name, mount_path=path, read_only=True))
    if signs:
        found.append(SecretVolume(name="signing", mount_path=settings.SIGNING[1], secret_name=settings.SIGNING[0], read_only=True))
    if git:
        found.append(SecretVolume(name="git", mount_path=settings.GIT[1], secret_name=settings.GIT[0], read_only=True, optional=True))
    return found
