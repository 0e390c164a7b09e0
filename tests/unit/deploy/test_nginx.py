"""The file that NGINX includes: replaced whole, taken back when NGINX refuses it, and nothing foreign gets in."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.upstream import UpstreamFile

TARGETS = {"blue": ["127.0.0.1:1"], "green": ["unix:/run/green.sock", "[::1]:3000"]}


def upstream(folder: Path, **changes: Any) -> Upstream:
    said = {"file": folder / "api.conf", "name": "api", "targets": TARGETS, "test": ["true"], "reload": ["true"]}
    return Upstream.model_validate({**said, **changes})


async def test_the_switch(tmp_path: Path) -> None:
    """The first one writes the file; which version is where outlives the next."""
    file = UpstreamFile(upstream(tmp_path))
    await file.switch("green")
    file.noted("blue", "1.0")
    await file.switch("blue")
    assert (file.read().live, file.read().versions) == ("blue", {"blue": "1.0"})
    assert "server 127.0.0.1:1;\n" in (tmp_path / "api.conf").read_text()
    await file.switch("green")
    text = (tmp_path / "api.conf").read_text()
    assert "server unix:/run/green.sock;\n    server [::1]:3000;\n" in text


async def test_what_nginx_refuses_is_taken_back(tmp_path: Path) -> None:
    """The file is as it was, and NGINX's own words are told."""
    await UpstreamFile(upstream(tmp_path)).switch("blue")
    before = (tmp_path / "api.conf").read_text()
    refusing = upstream(tmp_path, test=["sh", "-c", "echo no such directive >&2; exit 1"])
    with pytest.raises(StepFailed, match="sh ended with 1: no such directive"):
        await UpstreamFile(refusing).switch("green")
    assert (tmp_path / "api.conf").read_text() == before


async def test_no_file_yet(tmp_path: Path) -> None:
    """The first refusal takes the file away again; reading says how to write the first one."""
    with pytest.raises(StepFailed, match="false ended with 1"):
        await UpstreamFile(upstream(tmp_path, test=["false"])).switch("blue")
    with pytest.raises(StepFailed, match="`healthd-deploy nginx switch` writes the first one"):
        UpstreamFile(upstream(tmp_path)).read()


def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    """What the tool did not write is not guessed from."""
    (tmp_path / "api.conf").write_text("upstream api { server 127.0.0.1:1; }\n")
    with pytest.raises(StepFailed, match="names none of the targets blue, green"):
        UpstreamFile(upstream(tmp_path)).read()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"targets": {"blue": ["a:1"]}}, "targets"),
        ({"targets": {**TARGETS, "red": ["a:1"]}}, "targets"),
        ({"targets": {**TARGETS, "blue": ["a:1; include /etc/passwd"]}}, "targets.blue"),
        ({"targets": {**TARGETS, "blue": []}}, "targets.blue"),
        ({"options": ["keepalive 1; }"]}, "options"),
        ({"reload": []}, "reload"),
    ],
    ids=["one target", "three targets", "a directive in an address", "no address", "a brace", "no program"],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    """The field is named, and nothing that would change NGINX's configuration elsewhere gets in."""
    with pytest.raises(ValidationError) as refused:
        upstream(tmp_path, **changes)
    assert ".".join(map(str, refused.value.errors()[0]["loc"])).startswith(field)
