"""Trial of the file's new content: NGINX checks it in a configuration of its own, beside the one that is in force.

The live file is never replaced for a test: a reload by somebody else in that instant would load it. The trial has what
an upstream depends on, which are the modules that are loaded; it names the user and the pid file of the configuration
in force, since `nginx -t` looks for both, listens nowhere and logs to no file. Source: ngx_init_cycle in nginx's
src/core.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path, PurePath

from healthd_deploy.core import program
from healthd_deploy.core.exit import NothingSwitched, StepFailed
from healthd_deploy.nginx.loaded import Configuration
from healthd_deploy.nginx.settings import Upstream

_COPIED = ("load_module", "user", "pid")


async def refuse_unacceptable(config: Upstream, configuration: Configuration, content: bytes) -> str | None:
    """Raise NothingSwitched where NGINX would refuse this content of the file. Return why NGINX was not asked, for
    people, None where it was: the command that tests may be no `nginx -t`, or not allowed to read another file."""
    if not configuration.text:
        return "whether NGINX takes the file will be seen at the switch, for upstream.test does not print what it has"
    before = _before(configuration)
    try:
        # In the file's own folder, which NGINX sees whatever container it runs in; no pattern of an include has a dot.
        with tempfile.NamedTemporaryFile(dir=config.file.parent, prefix=f".{config.file.name}.", suffix=".trial") as it:
            it.write(before.encode() + content + b"}\n")
            it.flush()
            Path(it.name).chmod(0o644)
            seen = _folder(config.file, configuration) / PurePath(it.name).name
            await program.run([*config.test, "-c", str(seen)], within=config.timeout)
    except OSError as error:
        raise StepFailed(f"{config.file.parent} cannot be written to: {error.strerror}") from None
    except StepFailed as failed:
        place = rf" in {re.escape(str(seen))}:(\d+)"
        refused = re.search(rf"\[emerg\].*?{place}", str(failed), re.DOTALL)  # a [warn] before it has a place too
        if refused is None or int(refused[1]) <= before.count("\n"):  # what is wrong is the trial, not the upstream
            return f"NGINX was not asked whether it takes the file: {failed}"
        said = re.sub(place, "", str(failed)).replace(str(seen), str(config.file))
        raise NothingSwitched(said) from None
    return None


def _before(configuration: Configuration) -> str:
    """Return the lines of a configuration before the upstream."""
    copied = [f"{name} {value};" for name in _COPIED for value in dict.fromkeys(configuration.values(name))]
    return "\n".join([*copied, "error_log stderr;", "events {}", "http {", "access_log off;", ""])


def _folder(file: Path, configuration: Configuration) -> PurePath:
    """Return the file's folder as NGINX has it: in a container it may have another name."""
    named = [Path(each) for each in configuration.files if PurePath(each).name == file.name]
    if not named or any(each.exists() and each.samefile(file) for each in named):
        return file.parent
    return named[0].parent
