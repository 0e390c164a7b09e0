"""The program that stands for `healthd` or `healthd-deploy` where something else than a test starts them, as a shell or
the daemon: it has a zygote fork the command, with its own descriptors, words, environment and folder, passes signals on
and ends as the command does. `forked.program` writes it out. With an environment that the interpreter or the loader
reads, the command is started anew.

It imports what is built into the interpreter and `os` alone: anything else would cost more than all it does.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import os
import sys

READ_AT_THE_START = ("PYTHON", "LD_", "LC_ALL")
_SCM_RIGHTS = 1
_PASSED_ON = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGUSR1)


def main(address: bytes, program: str, anew: str, read: dict[str, str]) -> None:
    if any(read.get(name) != value for name, value in os.environ.items() if name.startswith(READ_AT_THE_START)):
        os.execv(anew, [anew, *sys.argv[1:]])
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    zygote = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    zygote.connect(address)
    request = marshal.dumps(([program, *sys.argv[1:]], dict(os.environ), os.getcwd()))  # noqa: PTH109
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
    zygote.sendmsg([request], [(_socket.SOL_SOCKET, _SCM_RIGHTS, descriptors)])
    pid = _number(zygote.recv(4))
    for number in _PASSED_ON:
        _signal.signal(number, lambda signal, _: os.kill(pid, signal))
    code = _number(zygote.recv(4))
    if code < 0:
        if code != -_signal.SIGKILL:
            _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _number(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder, signed=True) if data else -int(_signal.SIGKILL)
