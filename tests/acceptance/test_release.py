"""`make release`: the same bytes each time, of the commit that is checked out, and what they say of themselves holds.

Uncommitted changes are not seen: a release is built from its commit. The packages and the chart are built twice here;
of the zipapp, which takes long, all that could differ is looked at, and the workflow of a release builds it twice.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement

from deploy.release import chart, node, packages, pages, source
from tests.acceptance import first_gate
from tests.acceptance.guide import Shell, blocks

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
pytestmark = pytest.mark.timeout(600)  # a guard, as ever: the zipapp is a hundred packages


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a release, built with its tools alone, where the umask and the time zone are somebody's own."""
    try:
        source.read(ROOT)
    except (OSError, subprocess.CalledProcessError) as none:
        pytest.skip(f"a release is built from a commit, and git reads none here: {none}")
    folder = tmp_path_factory.mktemp("release")
    (folder / "tmp").mkdir()
    python = folder / "tools" / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "tools"], check=True)
    lock = ROOT / "requirements" / "release.lock"
    install = [str(UV), "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "--requirement"]
    subprocess.run([*install, str(lock)], check=True)
    command = [str(python), "-m", "deploy.release", "build", "--untagged", "--out", str(folder / "out")]
    env = {**os.environ, "TMPDIR": str(folder / "tmp"), "TZ": "Asia/Tokyo"}
    subprocess.run(command, cwd=ROOT, env=env, umask=0o077, stdout=subprocess.DEVNULL, check=True, timeout=580)
    return folder / "out"


def only(folder: Path, ending: str) -> Path:
    (file,) = folder.glob(f"*{ending}")
    return file


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_two_builds_are_the_same_bytes(out: Path, tmp_path: Path) -> None:
    commit = source.read(ROOT)
    again, tree = tmp_path / "out", tmp_path / "tree"
    again.mkdir()
    source.export(ROOT, commit, tree)
    packages.build(tree, again, commit)
    chart.build(tree, again, commit)
    node.build(tree, again, commit)
    built = {file.name: file.read_bytes() for file in again.iterdir()}
    assert [name for name, data in built.items() if (out / name).read_bytes() != data] == []
    assert len(built) == 5
    assert len(list(out.iterdir())) == 9


def test_nothing_of_the_machine_is_in_the_zipapp(out: Path) -> None:
    """No date but the commit's, no mode of a umask's, no order of a disk's, no folder in which it was built."""
    packed = zipfile.ZipFile(only(out, ".pyz"))
    files = [entry for entry in packed.infolist() if not entry.is_dir()]
    when = datetime.fromtimestamp(source.read(ROOT).time, UTC)
    assert {entry.date_time for entry in files} == {(*when.timetuple()[:5], when.second // 2 * 2)}
    assert {entry.external_attr >> 16 & 0o777 for entry in files} <= {0o644, 0o755}
    inside = [entry.filename for entry in files if entry.filename.startswith("site-packages/")]
    assert inside == sorted(inside)
    assert [entry.filename for entry in files if str(out.parent).encode() in packed.read(entry)] == []


def test_the_checksums_and_the_provenance_name_every_file(out: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    statement = json.loads(only(out, ".intoto.json").read_text())
    said = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in out.iterdir()}
    assert said == {name: digest for name, digest in files.items() if not name.endswith(".intoto.json")}
    assert (statement["_type"], statement["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    sources = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert sources[0]["digest"] == {"gitCommit": head.strip()}


def test_the_bill_of_materials_names_what_is_in_the_zipapp(out: Path) -> None:
    text = only(out, ".cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    version = re.sub("-py3-none-any.whl", "", only(out, ".whl").name.removeprefix("healthd-"))
    assert bill["metadata"]["component"]["version"] == version
    named = {f"{canonical(each['name'])} {each['version']}" for each in bill["components"]}
    packed = zipfile.ZipFile(only(out, ".pyz")).namelist()
    found = [re.fullmatch(r"site-packages/([^/]+)-([^/-]+)\.dist-info/METADATA", name) for name in packed]
    inside = {f"{canonical(each[1])} {each[2]}" for each in found if each}
    assert named == inside - {f"healthd {version}"}


def test_the_zipapp_has_what_the_first_patch_of_its_python_needs(out: Path) -> None:
    """Its name promises all of a version of Python, and Debian's is often older than the one that builds it."""
    first = f"{sys.version_info[0]}.{sys.version_info[1]}.0"
    lock = (ROOT / "requirements" / "container.lock").read_text()
    locked = [Requirement(line.rstrip("\\ ")) for line in lock.splitlines() if re.match(r"[a-z0-9]", line)]
    needed = {
        canonical(each.name)
        for each in locked
        if each.marker is None or each.marker.evaluate({"python_full_version": first})
    }
    packed = zipfile.ZipFile(only(out, ".pyz")).namelist()
    inside = {canonical(name.split("/")[1].split("-")[0]) for name in packed if name.endswith(".dist-info/METADATA")}
    assert needed == inside - {"healthd"}


def test_an_index_shows_what_leads_to_the_repository(out: Path) -> None:
    """Of the wheel: its description has no link that leads nowhere there."""
    with zipfile.ZipFile(only(out, ".whl")) as packed:
        (name,) = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
        text = packed.read(name).decode()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not link.startswith("https://")] == []
    assert f"]({pages.address(ROOT)}/blob/{source.read(ROOT).ref}/docs/install.md)" in text
    assert {line.partition(",")[0] for line in text.splitlines() if line.startswith("Project-URL: ")} == {
        f"Project-URL: {each}" for each in ("Source", "Documentation", "Changelog", "Issues")
    }


def test_the_zipapp_is_both_commands(out: Path, tmp_path: Path) -> None:
    """And brings all that it needs: nothing of the environment is on its path."""
    (tmp_path / "healthd-deploy").symlink_to(only(out, ".pyz"))
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SHIV_ROOT": str(tmp_path)}
    for program, name in ((only(out, ".pyz"), "healthd"), (tmp_path / "healthd-deploy", "healthd-deploy")):
        command = [sys.executable, "-I", str(program), "--version"]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{name}, version ")


def test_the_wheel_leads_to_a_first_gate(out: Path, tmp_path: Path) -> None:
    """By the words of the page, in a home with nothing but Python and the files of the release; packages come from uv's
    cache, where it has them, by the hashes of the second file."""
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    names = {}
    for ending in ("-py3-none-any.whl", ".requirements.txt"):
        names[f"healthd-0.1.0{ending}"] = only(out, ending).name
    for name in (*names.values(), "SHA256SUMS"):
        (home / name).symlink_to(out / name)
    (section,) = [text for _, text in blocks(first_gate.DOCS / "install.md", names) if "-m venv" in text]
    index = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "UV_"))}
    shell = Shell(home, "http://127.0.0.1:1", PATH=f"{programs}:/usr/bin:/bin", **index)
    try:
        for command in section.splitlines():
            *_, said = ["", *shell.run(command)]
            if "-m venv" in command:
                pip = home / "healthd-environment/bin/pip"
                pip.write_text(f'#!/bin/sh\nHOME={Path.home()} exec {UV} pip "$@" --python {pip.with_name("python")}\n')
                pip.chmod(0o755)
    finally:
        shell.close()
    assert said.startswith("healthd, version ")
    first_gate.is_reached(home, home / "healthd-environment/bin")


def test_the_installer_makes_an_environment_that_is_whole_where_it_ends(out: Path, tmp_path: Path) -> None:
    """It is made under another name. A second run keeps what the first made; one that fails changes nothing."""
    python, root = tmp_path / "python", tmp_path / "root"
    python.write_text(  # pip is uv's, for its cache; pip compiles a package's script in bin/, and leaves a folder there
        f"""#!/bin/sh
test "$1 $2" = "-m venv" || exec {sys.executable} "$@"
{Path(sys.executable).resolve()} "$@" --without-pip
printf '%s\\n' '#!/bin/sh' "HOME={Path.home()} exec {UV} pip \\"\\$@\\" --python $5/bin/python" > "$5/bin/pip"
chmod 755 "$5/bin/pip"
mkdir "$5/bin/__pycache__"
"""
    )
    python.chmod(0o755)
    files = [str(only(out, ending)) for ending in (".whl", ".requirements.txt")]

    def install(*more: str) -> int:
        env = {**os.environ, "PREFIX": "root", "PYTHON": str(python)}
        command = [str(ROOT / "deploy/systemd/install.sh"), *files, *more]
        return subprocess.run(command, env=env, cwd=tmp_path, check=False).returncode

    assert install() == 0
    home = root / "opt/healthd"
    text = "".join(file.read_text() for file in (home / "bin").iterdir() if not (file.is_symlink() or file.is_dir()))
    assert "#!/opt/healthd/bin/python" in text
    assert "VIRTUAL_ENV=/opt/healthd\n" in text.replace("'", "").replace('"', "")  # newer patches of Python quote it
    assert "--python /opt/healthd/bin/python" in text
    assert "/healthd.new" not in text + (home / "pyvenv.cfg").read_text()
    assert "(healthd.new)" not in text
    assert "ExecStart=/opt/healthd/bin/healthd" in (root / "etc/systemd/system/healthd.service").read_text()
    before = home.stat().st_ino
    assert install("iniconfig") == 0
    assert (root / "opt/healthd.old").stat().st_ino == before
    subprocess.run([home / "bin/python", "-I", "-c", "import iniconfig, healthd"], check=True)
    (root / "etc/healthd/config.yaml").write_text("check: {}\n")
    assert install() == 2
    assert {folder.name for folder in (root / "opt").iterdir()} == {"healthd", "healthd.old"}
    assert (root / "opt/healthd.old").stat().st_ino == before


def test_the_zipapp_leads_to_a_first_gate(out: Path, tmp_path: Path) -> None:
    """By the words of the page: what it tells to type, in a home with nothing but Python and this file."""
    programs, zipapp = tmp_path / "bin", only(out, ".pyz")
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    (tmp_path / "home").mkdir()
    for file in (zipapp, out / "SHA256SUMS"):
        (tmp_path / "home" / file.name).symlink_to(file)
    replaced = {"healthd-0.1.0-cp313-linux_x86_64.pyz": zipapp.name, "/usr/local/bin": str(programs)}
    (section,) = [
        text for _, text in blocks(first_gate.DOCS / "install.md", replaced) if "config example minimal" in text
    ]
    *commands, run = section.splitlines()
    assert run == "healthd run --config healthd.yaml"
    shell = Shell(tmp_path / "home", "http://127.0.0.1:1", PATH=f"{programs}:/usr/bin:/bin")
    try:
        for command in (*commands, run.replace("run --config", "config check"), "healthd-deploy --version"):
            shell.run(command)
    finally:
        shell.close()
    first_gate.is_reached(tmp_path / "home", programs)
