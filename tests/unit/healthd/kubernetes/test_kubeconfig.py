"""The way to a cluster, as a kubeconfig or a pod gives it: in each form that kubectl takes."""

import asyncio
import base64
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd.kubernetes import kubeconfig
from healthd.kubernetes.failures import CredentialsError
from healthd.kubernetes.kubeconfig import find
from tests.servers.tls import Authority
from tests.servers.waiting import until

V1 = "client.authentication.k8s.io/v1"


def write(folder: Path, user: Mapping[str, Any] | None = None, name: str = "config", **cluster: Any) -> Path:
    config = {
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    file = folder / name
    YAML(typ="safe").dump(config, file)
    return file


def plugin(folder: Path, script: str, **named: Any) -> dict[str, Any]:
    file = folder / "plug.sh"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return {"exec": {"command": "./plug.sh", "apiVersion": V1, "interactiveMode": "Never", **named}}


def printing(status: str) -> str:
    return f"""echo '{{"apiVersion": "{V1}", "kind": "ExecCredential", "status": {status}}}'"""


@pytest.mark.parametrize("written", ["secret", "secret\n", " secret\r\n"])
def test_a_token_file_may_end_in_a_newline(tmp_path: Path, written: str) -> None:
    """And is relative to the kubeconfig; ahead of a token in the same user, since it is what changes."""
    (tmp_path / "token").write_text(written)
    found = find(write(tmp_path, {"tokenFile": "token", "token": "older"}), None, {})
    assert (found.server, found.authorization) == ("https://127.0.0.1:6443", "Bearer secret")


def test_a_password_and_whom_one_stands_for(tmp_path: Path) -> None:
    """Basic authentication, and the headers of an impersonation."""
    user = {
        "username": "ann",
        "password": "b:c",
        "as": "deployer",
        "as-groups": ["a", "b"],
        "as-user-extra": {"x": ["1"]},
    }
    found = find(write(tmp_path, user), None, {})
    assert found.authorization == f"Basic {base64.b64encode(b'ann:b:c').decode()}"
    assert found.headers == (
        ("Impersonate-User", "deployer"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-x", "1"),
    )


@pytest.mark.parametrize("form", ["data", "files"])
def test_certificates_are_used_without_a_file_that_stays(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often: what lies under /tmp may be cleaned away between two rollbacks."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    authority = Authority(tmp_path)
    pair = authority.good()
    trust, certificate, key = authority.trust.read_bytes(), b"".join(pair.chain), pair.key
    contents = {"certificate-authority": trust, "client-certificate": certificate, "client-key": key}
    if form == "data":
        given = {f"{name}-data": base64.b64encode(content).decode() for name, content in contents.items()}
    else:
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        given = {name: name for name in contents}
    cluster = {name: given.pop(name) for name in list(given) if name.startswith("certificate-authority")}
    file = write(tmp_path, given, **cluster)
    for _ in range(2):
        context = find(file, None, {}).tls()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert len(context.get_ca_certs()) == 1
        assert not list(temporary.iterdir())


def test_a_server_may_go_unverified_or_by_another_name(tmp_path: Path) -> None:
    """As the cluster says."""
    named: dict[str, Any] = {
        "insecure-skip-tls-verify": True,
        "tls-server-name": "kubernetes",
        "proxy-url": "http://proxy:3128",
    }
    found = find(write(tmp_path, **named), None, {})
    assert (found.server_name, found.proxy) == ("kubernetes", "http://proxy:3128")
    assert found.tls().verify_mode is ssl.CERT_NONE


def test_several_files_are_one(tmp_path: Path) -> None:
    """As kubectl merges $KUBECONFIG: the first of a name counts, and paths are relative to the file that has them."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "token").write_text("secret")
    contexts = [{"name": "tests", "context": {"cluster": "c", "user": "far"}}]
    first = tmp_path / "first"
    YAML(typ="safe").dump({"current-context": "tests", "contexts": contexts}, first)
    second = write(other, {"tokenFile": "token"})
    second.write_text(second.read_text().replace("name: u", "name: far"))
    found = find(None, None, {"KUBECONFIG": f"{first}:{tmp_path / 'missing'}:{second}"})
    assert found.authorization == "Bearer secret"


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ({"tokenFile": "gone"}, r"tokenFile .*/gone cannot be read: No such file"),
        ({"token": "two words"}, "the token is empty, or holds what no token can"),
        ({"token": "\n"}, "the token is empty"),
        ({"client-key-data": "%"}, "client-key-data is not base64"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider gcp any more: use exec with gke-gcloud-auth-plugin"),
        ({"auth-provider": {"name": "oidc"}}, "oidc has no id-token: use exec with kubectl-oidc_login"),
        ({"exec": {"command": "nowhere-to-be-found", "apiVersion": V1, "installHint": "install\n it"}},
         "exec plugin nowhere-to-be-found is not there or not executable: install it"),
        ({"exec": {"command": "sh", "apiVersion": "client.authentication.k8s.io/v1alpha1"}}, "v1alpha1, not"),
        ({"exec": {"command": "sh", "apiVersion": V1, "interactiveMode": "Always"}}, "a person at a terminal"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told(tmp_path: Path, user: dict[str, Any], problem: str) -> None:
    """Before it is needed, with the user and the file that it is in."""
    with pytest.raises(CredentialsError, match=problem) as told:
        find(write(tmp_path, user), None, dict(os.environ))
    assert "user u of " in str(told.value)


def test_what_is_wrong_with_the_file_is_told(tmp_path: Path) -> None:
    """Its place, and what there is instead."""
    file = write(tmp_path)
    with pytest.raises(CredentialsError, match=r"no context 'prod' in it \(contexts: tests\)"):
        find(file, "prod", {})
    file.write_text("a: [1\nb: 2\n")
    with pytest.raises(CredentialsError, match=r"config:\d+: it is not YAML"):
        find(file, None, {})
    file.write_text("just text")
    with pytest.raises(CredentialsError, match="it is no kubeconfig"):
        find(file, None, {})
    file.write_text("clusters: []")
    with pytest.raises(CredentialsError, match="no current-context, name one by `context`"):
        find(file, None, {})
    file.write_text("clusters: [1]")
    with pytest.raises(CredentialsError, match="clusters is not a list of names"):
        find(file, None, {})
    with pytest.raises(CredentialsError, match="cannot be read: No such file or directory"):
        find(tmp_path / "gone", None, {})


def test_a_pod_asks_as_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose token file may end in a newline too; and where it has none, that is what is said."""
    monkeypatch.setattr(kubeconfig, "_SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    pod = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(
        CredentialsError, match="this pod has no service account token: set automountServiceAccountToken"
    ):
        find(None, None, pod)
    with pytest.raises(CredentialsError, match=r"no kubeconfig is there .*, and this is no pod"):
        find(None, None, {})
    (tmp_path / "token").write_text("of-the-pod\n")
    (tmp_path / "ca.crt").write_bytes(Authority(tmp_path).trust.read_bytes())
    found = find(None, None, pod)
    assert (found.server, found.authorization) == ("https://[fd00::1]:443", "Bearer of-the-pod")


async def test_a_plugin_beside_the_kubeconfig_prints_a_token(tmp_path: Path) -> None:
    """It learns what is asked, and of the cluster where it wants to."""
    script = printing("""{"token": "'"$(echo "$KUBERNETES_EXEC_INFO" | md5sum | cut -c1-6)-$EXTRA"'"}""")
    user = plugin(tmp_path, f'echo "$KUBERNETES_EXEC_INFO" > {tmp_path}/asked; {script}',
                  env=[{"name": "EXTRA", "value": "more"}], provideClusterInfo=True)  # fmt: skip
    completed = await find(write(tmp_path, user), None, dict(os.environ)).complete()
    assert (completed.authorization or "").endswith("-more")
    assert '"server": "https://127.0.0.1:6443/"' in (tmp_path / "asked").read_text()


async def test_a_plugin_may_print_a_certificate(tmp_path: Path) -> None:
    """In place of a token."""
    status = '{"clientCertificateData": "CERT", "clientKeyData": "KEY"}'
    completed = await find(write(tmp_path, plugin(tmp_path, printing(status))), None, dict(os.environ)).complete()
    assert (completed.certificate, completed.key, completed.authorization) == (b"CERT", b"KEY", None)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo no session, sign in >&2; exit 3", "plug.sh ended with 3: no session, sign in"),
        ("echo hello", "did not print an ExecCredential"),
        (printing("{}"), "printed neither a token nor a certificate"),
        ('echo \'{"apiVersion": "client.authentication.k8s.io/v1beta1", "status": {}}\'', "speaks client"),
    ],
)
async def test_a_plugin_that_fails_is_told(tmp_path: Path, script: str, problem: str) -> None:
    """With what it says for itself."""
    with pytest.raises(CredentialsError, match=problem):
        await find(write(tmp_path, plugin(tmp_path, script)), None, dict(os.environ)).complete()


async def test_a_plugin_that_hangs_ends_with_the_call(tmp_path: Path) -> None:
    """With all that it has started: a try a minute would leave one each."""
    user = plugin(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; wait")
    found = find(write(tmp_path, user), None, dict(os.environ))
    call = asyncio.create_task(found.complete())
    await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").stat().st_size > 0, "it runs")
    call.cancel()
    await asyncio.wait({call})
    child = (tmp_path / "child").read_text().strip()
    await until(lambda: not _runs(child), "it is gone")


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
