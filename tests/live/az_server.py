"""The Azure CLI in processes forked from one that has imported it, because each start of its own takes a second.

`serve SOCKET` runs with the Python of the Azure CLI. `ask SOCKET ARGUMENTS…` is then what `az ARGUMENTS…` is, with the
same environment, folder, input and outputs.
"""

import contextlib
import gc
import io
import json
import logging
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

GROUPS = (["rest"], ["storage", "blob", "download"], ["containerapp", "show"], ["webapp", "show"])
"""Commands whose modules are imported before the first one is run."""
MAX_LENGTH = 2**24
"""Of arguments and environment, in bytes."""


def serve(path: str) -> None:
    """Run the commands that come through a socket, each in a process of its own, until this process is ended."""
    from azure.cli.core import get_default_cli  # type: ignore[import-not-found]

    for group in GROUPS:
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
            get_default_cli().invoke([*group, "--help"])
    # What is imported stays: collecting garbage would copy its memory in each process.
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{path}.new")
        server.listen(64)
        Path(f"{path}.new").rename(path)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                run(connection)
            connection.close()


def run(connection: socket.socket) -> None:
    """Run the command that a connection brings, send its exit status, and end this process."""
    content, files, _, _ = socket.recv_fds(connection, MAX_LENGTH, 3)
    while not content.endswith(b"\n"):
        content += connection.recv(MAX_LENGTH)
    arguments, folder, environment = json.loads(content)
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # They were set up for the commands that this process ran before.
    for name in ("", "cli"):
        logging.getLogger(name).handlers.clear()
    status = 1
    try:
        sys.argv = ["az", *arguments]
        runpy.run_module("azure.cli", run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        with contextlib.suppress(OSError):
            connection.sendall(bytes([status]))
        os._exit(status)


def ask(path: str, arguments: list[str]) -> int:
    """Let the server run a command; return its exit status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        content = json.dumps([arguments, str(Path.cwd()), dict(os.environ)]).encode() + b"\n"
        sent = socket.send_fds(connection, [content], [0, 1, 2])
        connection.sendall(content[sent:])
        return (connection.recv(1) or b"\1")[0]


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[2], sys.argv[3:]))
