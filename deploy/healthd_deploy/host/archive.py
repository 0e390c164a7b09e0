"""Turn an archive into a release folder: fetched, checked, unpacked only inside the folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import ssl
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import aiohttp

from healthd.checks.unreachable import brief
from healthd.http.session import command_session, connector
from healthd.runtime.lookups import noting, remark, unresolved
from healthd.units import show_duration
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host.settings import Source

_PIECE = 1024**2
_SUMS_AT_MOST = 1024**2


async def fetch(source: Source, version: str, folder: Path) -> tuple[Path, str]:
    """Return the archive of a version, in `folder` or at its own place, and its SHA-256. Raises StepFailed."""
    place = source.archive.replace("$version", version)
    try:
        with _lookups_told(f"{place} was not fetched within {show_duration(source.timeout)}"):
            async with asyncio.timeout(source.timeout):
                file = Path(place)
                if place.startswith("https://"):
                    file = folder / "archive"
                    await _download(place, file, source, source.archive_at_most)
                wanted = await _wanted(source, version, folder)
                found = await asyncio.to_thread(_sha256, file)
    except OSError as error:
        raise StepFailed(f"{place} cannot be read: {error.strerror or error}") from None
    if wanted is not None and found != wanted:
        raise StepFailed(f"{place} has the SHA-256 {found}, not {wanted}: it is damaged, or not what was released")
    return file, found


def unpack(archive: Path, into: Path, at_most: int) -> None:
    """Unpack only files and folders, nothing outside of `into`, and at most `at_most` bytes. Raises StepFailed.

    An archive of `npm pack` contains no links, and most escapes from a folder use links: they are refused.
    """
    try:
        with tarfile.open(archive, "r:*") as tar:
            total = 0
            for member in tar:
                if not (member.isreg() or member.isdir()):
                    raise StepFailed(f"{archive.name} holds {member.name!r}, which is neither a file nor a folder")
                if (total := total + member.size) > at_most:
                    raise StepFailed(f"{archive.name} unpacks to more than {at_most} bytes (source.unpacked_at_most)")
                _extract(tar, member, into, archive.name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StepFailed(f"{archive.name} cannot be unpacked: {error}") from None
    _flatten(into)
    _check(into)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path, archive: str) -> None:
    """Extract a file or folder as tarfile's filter `data` does, which Python has since 3.11.4: nothing outside, no
    other owner, nothing that others may write, no set-user-ID (PEP 706). Debian 12 comes with 3.11.2."""
    if hasattr(tarfile, "data_filter"):
        try:
            tar.extract(member, into, filter="data")
        except tarfile.FilterError as error:
            raise StepFailed(f"{archive} is refused: {error}") from None
        return
    mine = copy(member)
    mine.name = member.name.lstrip("/")
    if not (into / mine.name).resolve().is_relative_to(into.resolve()):
        raise StepFailed(f"{archive} is refused: {member.name!r} would be extracted outside of the destination")
    runs = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    mine.mode = (member.mode | 0o700 if member.isdir() else member.mode | 0o600) & runs
    mine.uid, mine.gid, mine.uname, mine.gname = os.geteuid(), os.getegid(), "", ""
    tar.extract(mine, into)


async def _wanted(source: Source, version: str, folder: Path) -> str | None:
    if source.sums is None:
        return source.sha256
    place = source.sums.replace("$version", version)
    file = Path(place)
    if place.startswith("https://"):
        file = folder / "sums"
        await _download(place, file, source, _SUMS_AT_MOST)
    name = source.archive.replace("$version", version).rpartition("/")[2].partition("?")[0]
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        found = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:.*/)?(.+)", line.strip())
        if found is not None and found[2] == name:
            return found[1].lower()
    raise StepFailed(f"{place} says nothing of {name}")


@contextmanager
def _lookups_told(late: str) -> Iterator[None]:
    """Say that something was late, and of a name that took long."""
    with noting():
        try:
            yield
        except TimeoutError:
            raise StepFailed(f"{late}: {name}" if (name := unresolved()) else f"{late}{remark()}") from None


async def _download(url: str, file: Path, source: Source, at_most: int) -> None:
    headers = {"Authorization": f"Bearer {source.token.get_secret_value()}"} if source.token else {}
    written, trusted = 0, ssl.create_default_context()
    try:
        async with (
            command_session(connector=connector(ssl=trusted)) as session,
            session.get(url, headers=headers) as answer,
        ):
            if answer.status != 200:
                raise StepFailed(f"{url} answers {answer.status}")
            with file.open("wb") as stream:
                async for piece in answer.content.iter_chunked(_PIECE):
                    if (written := written + len(piece)) > at_most:
                        raise StepFailed(f"{url} is larger than {at_most} bytes (source.archive_at_most)")
                    stream.write(piece)
    except aiohttp.ClientError as error:
        broke_off = isinstance(error, aiohttp.ClientPayloadError)
        why = "the connection broke off in the middle" if broke_off else brief(error, url)
        raise StepFailed(f"{url} cannot be fetched: {why}") from None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flatten(folder: Path) -> None:
    """Remove a single top folder, as `npm pack` and `git archive --prefix` create it."""
    top = list(folder.iterdir())
    if len(top) != 1 or not top[0].is_dir():
        return
    moved = top[0].rename(folder.with_name(f"{folder.name}-top"))
    folder.rmdir()
    moved.rename(folder)


def _check(folder: Path) -> None:
    try:
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepFailed("the archive holds no package.json, neither at its top nor in a single folder there") from None
    except (OSError, ValueError) as error:
        raise StepFailed(f"the archive's package.json is not valid: {error}") from None
    if not isinstance(package, dict) or not isinstance(package.get("name"), str):
        raise StepFailed("the archive's package.json is not valid: it must be an object with a name")
    locks = ("package-lock.json", "npm-shrinkwrap.json")
    if not any((folder / lock).is_file() for lock in locks):
        raise StepFailed(
            "the archive holds no package-lock.json and no npm-shrinkwrap.json: without one nobody knows what `npm ci` "
            "would install. `npm pack` leaves the first out: run `npm shrinkwrap` before"
        )


def remove(folder: Path) -> None:
    """Remove a folder that a failed attempt left."""
    for left in (folder, folder.with_name(f"{folder.name}-top")):
        shutil.rmtree(left, ignore_errors=True)
