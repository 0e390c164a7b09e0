"""A server of gRPC's own (its C core) with its own health service, in a process of its own; and one in Python."""

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.tls import Certificate

_READY = "serving"


@contextmanager
def running(
    services: Mapping[str, str], *, tls: Certificate | None = None, client_ca: bytes | None = None
) -> Iterator[Server]:
    """A server whose services are in these states, by name: `SERVING`, `NOT_SERVING`, `UNKNOWN`. With `client_ca` it
    asks for a client's certificate; without a service there is no health service."""
    with own_folder() as folder:
        files = [str(file) for file in tls.save(folder)] if tls is not None else []
        if client_ca is not None:
            (folder / "clients.crt").write_bytes(client_ca)
            files.append(str(folder / "clients.crt"))
        states = [f"{name}={state}" for name, state in services.items()]

        def prepare(port: int) -> Process:
            argv = [sys.executable, "-m", __name__, port, *states, "--", *files]
            return Process(argv, lambda process: process.said(_READY), log=folder / "log")

        with serving(prepare) as (port, process):
            yield Server(port, process)


def _serve(port: int, states: list[str], files: list[str]) -> None:
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    if states:
        service = health.HealthServicer()
        for state in states:
            name, _, word = state.partition("=")
            service.set(name, health_pb2.HealthCheckResponse.ServingStatus.Value(word))
        health_pb2_grpc.add_HealthServicer_to_server(service, server)
    address = f"{HOST}:{port}"
    if files:
        chain, key, *clients = [Path(file).read_bytes() for file in files]
        asked = grpc.ssl_server_credentials([(key, chain)], clients[0] if clients else None, bool(clients))
        server.add_secure_port(address, asked)
    else:
        server.add_insecure_port(address)
    server.start()
    print(_READY, flush=True)  # its socket takes IPv4 too, and is among those of IPv6
    server.wait_for_termination()


if __name__ == "__main__":
    at = sys.argv.index("--")
    _serve(int(sys.argv[1]), sys.argv[2:at], sys.argv[at + 1 :])
