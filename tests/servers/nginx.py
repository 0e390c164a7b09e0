"""NGINX with a configuration given as text, and reloaded with another."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGHUP, SIGTERM

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require

_WHOLE = """
daemon off;
worker_processes 1;
error_log stderr;
pid {folder}/pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
}}
"""


@dataclass(frozen=True)
class Nginx(Server):
    """A running server."""

    file: Path = field(kw_only=True)
    """Its configuration."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def reload(self, http: str) -> None:
        """Switch to another `http` block, as `nginx -s reload` does; it shows some 50 ms later."""
        _write(self.file, http, self.port)
        self.process.send(SIGHUP)


@contextmanager
def running(http: str) -> Iterator[Nginx]:
    """A server with the directives `http` in its http block, where @LISTEN@ stands for its address.

    For example "server { listen @LISTEN@; return 200 hello; }".
    """
    with own_folder() as folder:
        file = folder / "nginx.conf"

        def prepare(port: int) -> Process:
            _write(file, http, port)
            return Process(
                [require("nginx"), "-e", "stderr", "-p", folder, "-c", file],
                lambda process: process.listens(port),
                log=folder / "log",
                orphan_signal=SIGTERM,  # its workers would outlive a killed master
            )

        with serving(prepare) as (port, process):
            yield Nginx(port, process, file=file)


def _write(file: Path, http: str, port: int) -> None:
    file.write_text(_WHOLE.format(folder=file.parent, http=http.replace("@LISTEN@", f"{HOST}:{port}")))
