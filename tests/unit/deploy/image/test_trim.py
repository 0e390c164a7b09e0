"""What is taken out of the image: nothing that healthd reads."""

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import botocore
import pytest

from deploy.image import trim
from tests.servers.programs import require

ROOT = Path(__file__).parents[4]
CALLS = {"ask", "client", "new_client"}
PACKAGES = Path(sysconfig.get_path("purelib"))


def services_named() -> Iterator[str]:
    """Every AWS service that the code names: first in a call, or before IAM's name of what is asked. A file that has
    nothing of AWS may ask others by such a word, as RabbitMQ for its `health`."""
    known = {folder.name for folder in Path(botocore.__file__).parent.joinpath("data").iterdir() if folder.is_dir()}
    for file in (
        file for part in ("healthd", "gates", "deploy/healthd_deploy") for file in ROOT.joinpath(part).rglob("*.py")
    ):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "aws" in text.lower() else ():
            match node:
                case ast.Call(
                    func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(said)), *_]
                ):
                    yield from {said} & known if name.lstrip("_") in CALLS else ()
                case ast.Call(args=words) | ast.Tuple(elts=words):
                    texts = [word.value if isinstance(word, ast.Constant) else None for word in words]
                    for service, action in pairwise(texts):
                        if service in known and re.match(r"[a-z0-9]+:[A-Z]", str(action)):
                            yield str(service)


def test_every_service_that_is_asked_stays() -> None:
    asked = set(services_named())
    assert {"cloudwatch", "elbv2", "s3", "sts"} < asked
    assert asked <= trim.AWS_SERVICES


def test_the_services_of_credentials_stay() -> None:
    """Those that the SDK itself asks: each that its providers of credentials make a client of."""
    text = Path(botocore.__file__).parent.joinpath("credentials.py").read_text(encoding="utf-8")
    asked = set(re.findall(r"(?:_create_client|client_creator|create_client)\(\s*'([a-z-]+)'", text))
    assert {"sts", "sso"} <= asked
    assert asked <= trim.AWS_SERVICES


def test_what_is_taken_out_is_not_healthds() -> None:
    """Of the packages that are installed here: the same files, and nothing that is imported from them."""
    gone = [path.relative_to(PACKAGES).as_posix() for path in trim.unread(PACKAGES)]
    assert {"botocore/data/polly", "greenlet/tests", "pygments/lexers/javascript.py"} <= set(gone)
    assert not {
        "botocore/data/s3",
        "pygments/lexers/python.py",
        "pygments/lexers/__init__.py",
        "pygments/lexers/_mapping.py",
    } & set(gone)
    ours = [path for path in gone if path.startswith("healthd")]
    assert [path for path in ours if not path.endswith("__pycache__")] == []  # what is compiled is compiled anew
    modules = [path.removesuffix(".py").replace("/", ".") for path in gone if path.endswith(".py")]
    spared = ("pygments.lexers.", "sentry_sdk.integrations.")
    assert [module for module in modules if not module.startswith(spared)] == []


@pytest.mark.proof  # it copies what the image has, and starts it
def test_a_trimmed_environment_works(tmp_path: Path) -> None:
    """Compiled modules are smaller and load; AWS, the drawing of a terminal, reports to Sentry, both journals with
    their upgrades, certificates, and messages by Apprise in whatever language too."""
    require("strip")
    packages = tmp_path / "packages"
    for name in (
        *("multidict", "greenlet", "regex", "botocore", "jmespath", "dateutil", "urllib3", "rich", "pygments"),
        *("markdown_it", "mdurl", "sentry_sdk", "certifi", "sqlalchemy", "aiosqlite", "asyncpg", "alembic", "mako"),
        *("markupsafe", "cryptography", "cffi", "pycparser", "pydantic", "pydantic_core", "annotated_types"),
        *("typing_inspection", "apprise", "requests", "charset_normalizer", "idna", "yaml", "markdown", "oauthlib"),
        *("requests_oauthlib", "click"),
    ):
        shutil.copytree(PACKAGES / name, packages / name)
    for file in PACKAGES.glob("_cffi_backend*.so"):
        shutil.copy(file, packages)
    shutil.copy(PACKAGES / "typing_extensions.py", packages)
    shutil.copy(PACKAGES / "six.py", packages)
    before = sum(file.stat().st_size for file in packages.rglob("*.so"))
    trim.trim(packages)
    assert list(packages.rglob("__pycache__")) == []  # of lexers that are gone, too
    assert sum(file.stat().st_size for file in packages.rglob("*.so")) < before
    code = (
        "import multidict, regex, rich.table, rich.live, rich.syntax, botocore.session\n"
        "assert rich.syntax.Syntax('raise ValueError', 'python').lexer\n"
        "assert multidict.MultiDict.__module__ == 'multidict._multidict'\n"
        "assert regex.fullmatch('a+', 'aa')\n"
        "session = botocore.session.get_session()\n"
        f"for name in {sorted(trim.AWS_SERVICES)}: session.get_service_model(name)\n"
        "import sentry_sdk, cryptography.x509, alembic.command, pydantic, apprise\n"
        "sentry_sdk.init(default_integrations=False, auto_enabling_integrations=False)\n"
        "sentry_sdk.init(auto_enabling_integrations=False)\n"
        "import sqlalchemy.dialects.postgresql.asyncpg, sqlalchemy.dialects.sqlite.aiosqlite, sqlalchemy.ext.asyncio\n"
        "assert pydantic.TypeAdapter(int).validate_python('1') == 1\n"
        "for address in ('json://127.0.0.1:1', 'tgram://123456789:abcdefg_hijklmnop/12315544/', 'mailto://a:b@c.test'):\n"
        "    assert apprise.Apprise().add(address), address\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(packages), "LANG": "de_DE.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
