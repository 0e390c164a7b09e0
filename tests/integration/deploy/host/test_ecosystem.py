"""The ecosystem file that is shipped, as PM2 itself reads it."""

import json
import subprocess
from pathlib import Path

from healthd.config.file import load
from healthd_deploy.host.settings import HostConfig
from tests.servers.pm2 import INSTALLED
from tests.servers.programs import require

_FOLDER = Path(__file__).parents[4] / "deploy" / "host"
_VERIFY = """
const { verifyConfs } = require(process.argv[1]);
const apps = verifyConfs(require(process.argv[2]).apps);
if (apps instanceof Error) throw apps;
console.log(JSON.stringify(apps));
"""


def test_pm2_accepts_it() -> None:
    """And it is about the application of the example configuration, run from the link, without a stop at a reload."""
    require("pm2")
    common, file = INSTALLED / "node_modules/pm2/lib/Common.js", _FOLDER / "ecosystem.config.js"
    done = subprocess.run([require("node"), "-e", _VERIFY, common, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (app,) = json.loads(done.stdout.splitlines()[-1])
    config = load(_FOLDER / "release.yaml", HostConfig, {})
    assert (app["name"], app["cwd"]) == (config.pm2.app, f"{config.home}/current")
    assert app["exec_mode"].startswith("cluster")
    assert app["wait_ready"] is True
