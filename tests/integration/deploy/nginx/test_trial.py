"""What a real NGINX says of a file before it is switched: the live one is the same in every instant."""

import json
from pathlib import Path

import pytest

from healthd_deploy.core.exit import NothingSwitched, StepFailed
from healthd_deploy.nginx import directives
from healthd_deploy.nginx.loaded import Configuration
from healthd_deploy.nginx.rehearsal import Rehearsal
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import State
from healthd_deploy.nginx.trial import refuse_unacceptable
from tests.fakes.names import NO_NAME
from tests.integration.deploy.nginx.test_loaded import said
from tests.servers import nginx
from tests.servers.process import as_user, own_folder
from tests.servers.version import running as version_running

_SERVER = "server { listen @LISTEN@; location / { proxy_pass http://api; } }"


def changed(balancer: nginx.Nginx, folder: Path, place: str, **changes: object) -> Upstream:
    return Upstream.model_validate_json(json.dumps({**said(balancer, folder, place), **changes}))


async def test_a_dry_run_replaces_nothing(tmp_path: Path) -> None:
    """Neither where NGINX accepts what would be written, nor where it does not: its own words are told, without the
    name of a file that is gone."""
    api = tmp_path / "api.conf"
    with version_running("1.0") as old:
        place = f"{old.host}:{old.port}"
        api.write_text(f'# healthd-deploy {{"live": "blue"}}\nupstream api {{ server {place}; }}\n')
        with nginx.running(f"include {api}; {_SERVER}") as balancer:
            before = api.stat()
            accepted = Rehearsal(changed(balancer, tmp_path, place, options=["keepalive 8"]))
            assert await accepted.could_take_back("blue") is None
            assert await accepted.look("blue") == "blue has the traffic"
            refused = changed(balancer, tmp_path, place, options=["keepaliv 8"])
            for ask in (Rehearsal(refused).could_take_back, Rehearsal(refused).look):
                with pytest.raises(StepFailed, match=r'unknown directive "keepaliv"') as told:
                    await ask("blue")
                assert ".trial" not in str(told.value)
            nowhere = changed(balancer, tmp_path, place, targets={"blue": [place, NO_NAME], "green": ["a:1"]})
            with pytest.raises(StepFailed, match=f'host not found in upstream "{NO_NAME}"'):
                await Rehearsal(nowhere).could_take_back("blue")
            assert api.stat() == before
            assert [file.name for file in tmp_path.iterdir()] == ["api.conf"]


async def test_what_is_wrong_with_the_trial_alone_refuses_nothing(tmp_path: Path) -> None:
    """Such as an entry of a map that reads like the user of the whole server: what NGINX says is told."""
    api = tmp_path / "api.conf"
    with version_running("1.0") as old:
        place = f"{old.host}:{old.port}"
        api.write_text(f'# healthd-deploy {{"live": "blue"}}\nupstream api {{ server {place}; }}\n')
        header = "map $uri $who { user 1; default 2; } proxy_set_header user $who;"
        with nginx.running(f"include {api}; {header} {_SERVER}") as balancer:
            rehearsal = Rehearsal(changed(balancer, tmp_path, place, options=["keepalive 8"]))
            left = await rehearsal.could_take_back("blue")
            assert left is not None
            assert left.startswith("NGINX was not asked whether it takes the file: nginx ended with 1:")
            told = await rehearsal.look("blue")
            assert told.startswith("blue has the traffic; NGINX was not asked whether it takes the file: nginx ended")


async def test_a_warning_of_the_trial_does_not_hide_what_is_refused() -> None:
    """Such as that of the `user` of a configuration which another user than root tests."""
    user = as_user("nobody")
    with own_folder() as folder:
        test = [*(["setpriv", *user] if user else []), "nginx", "-t", "-q", "-p", str(folder), "-e", "stderr"]
        told = {"file": str(folder / "api.conf"), "name": "api", "options": ["keepaliv 8"], "test": test}
        targets = {"blue": ["127.0.0.1:1"], "green": ["127.0.0.1:2"]}
        config = Upstream.model_validate_json(json.dumps({**told, "targets": targets}))
        with pytest.raises(NothingSwitched, match=r'\[warn\] .*the "user" directive .* unknown directive "keepaliv"'):
            await refuse_unacceptable(config, Configuration("user nobody;"), directives.written(config, State("blue")))


_INSIDE = """#!/bin/bash
set -o pipefail
nginx "${{@//\\/inside/{folder}}}" 2>&1 | sed "s#{folder}#/inside#g"
"""


async def test_an_nginx_that_has_the_folder_by_another_name(tmp_path: Path) -> None:
    """As in a container: the trial is named as NGINX has it."""
    (real := tmp_path / "real").mkdir()
    (inside := tmp_path / "nginx").write_text(_INSIDE.format(folder=real))
    inside.chmod(0o755)
    with version_running("1.0") as old:
        place = f"{old.host}:{old.port}"
        (real / "api.conf").write_text(f'# healthd-deploy {{"live": "blue"}}\nupstream api {{ server {place}; }}\n')
        with nginx.running(f"include {real}/*.conf; {_SERVER}") as balancer:
            test = [str(inside), *said(balancer, real, place)["test"][1:]]
            assert await Rehearsal(changed(balancer, real, place, test=test)).could_take_back("blue") is None
            wrong = changed(balancer, real, place, test=test, options=["keepaliv 8"])
            with pytest.raises(StepFailed, match=r'unknown directive "keepaliv"'):
                await Rehearsal(wrong).could_take_back("blue")
