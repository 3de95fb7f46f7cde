"""Processes that are stopped, killed or hung, or get another artefact."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from client import ANSWERED, Crowd, Golden, during
from connections import check_afterwards, add_tally
from report import Report
from service import Lab, Service, ServiceError

HANG_TIMEOUT = 3
HANG = Path(__file__).parent / "hang"


def stop_under_load(lab: Lab, golden: Golden) -> Report:
    """A SIGTERM under load."""
    report = Report(
        "stop",
        "SIGTERM during load",
        "After two seconds of load the main process gets a SIGTERM, without any drain hook before it. Clients go when "
        "an answer says that it is the last one (`Connection: close`), as those do that a load balancer sends "
        "elsewhere; or they come again at once, on a new connection, until they are refused. *Read and not answered* "
        "compares the requests in the log of the service with the answers that the clients have.",
    )
    for what, connections, reconnect, leaves, workers in (
        ("16 clients that go, 1 worker", 16, False, True, 1),
        ("16 clients that go, 2 workers", 16, False, True, 2),
        ("256 clients that go, 1 worker", 256, False, True, 1),
        ("16 clients that go, each request on a new connection", 16, True, True, 1),
        ("16 clients that come again, 1 worker", 16, False, False, 1),
        ("16 clients that come again, 2 workers", 16, False, False, 2),
    ):
        with lab.service(WORKERS=str(workers)) as service:
            took, status = 0.0, -1

            def stop(service: Service = service) -> None:
                nonlocal took, status
                status, took = service.stop()

            crowd = Crowd(service.port, golden, connections, reconnect=reconnect, leaves=leaves)
            tally = asyncio.run(during(crowd, 4, (2.0, stop)))
            # While the service stops, the kernel may accept connections that the service never reads from. The service
            # makes no promise to clients that reconnect during that time.
            holds = tally.lost == 0 if leaves else None
            report.add(what, tally.text(), holds, **tally.figures())
            logged = sum(
                line.get("logger") == "webservice.requests" and line.get("status") == 200 for line in service.lines()
            )
            lost = logged - tally.counts[ANSWERED]
            report.add(f"{what}: read and not answered", f"{lost} of {logged:,}", lost == 0 and logged > 0, lost=lost)
            report.add(f"{what}: end", f"exit status {status} after {took:.2f} s", status == 0, seconds=took)
    return report


def killed_worker(lab: Lab, golden: Golden) -> Report:
    """A worker killed under load."""
    report = Report(
        "killed",
        "A worker killed (SIGKILL)",
        "After two seconds of load one worker is killed. What was in work with it, or waited to be accepted by it, "
        "cannot be answered: at most two requests a connection. Connections may be refused until a new worker answers.",
    )
    for workers in (1, 2):
        with lab.service(LOG_LEVEL="error", WORKERS=str(workers)) as service:
            before = service.workers()
            back = 0.0

            def kill(service: Service = service, before: list[int] = before) -> None:
                nonlocal back
                os.kill(before[0], signal.SIGKILL)
                back = seconds_until(lambda: len(set(service.workers()) - set(before)) == 1, 20)

            crowd = Crowd(service.port, golden, 16, on_no_connection=0.02)
            tally = asyncio.run(during(crowd, 7, (2.0, kill)))
            what = f"{workers} worker{'s' if workers > 1 else ''}, 16 connections"
            report.add(what, tally.text(), tally.lost <= 32, **tally.figures())
            report.add(f"{what}: replaced", f"a new process after {back:.2f} s", back < 5)
            gap = tally.longest_gap
            report.add(f"{what}: longest time without any answer", f"{gap:.2f} s", gap < 5, seconds=round(gap, 2))
            check_afterwards(report, service, golden)
            killed_again = len(service.workers())
            report.add(f"{what}: workers afterwards", str(killed_again), killed_again == workers)
    return report


def seconds_until(condition: Callable[[], bool], timeout: float) -> float:
    """Return the seconds until a condition holds, at most `timeout`."""
    started = time.monotonic()
    while time.monotonic() - started < timeout:
        with suppress(FileNotFoundError, ProcessLookupError):
            if condition():
                return time.monotonic() - started
        time.sleep(0.01)
    return timeout


def hung_worker(lab: Lab, golden: Golden) -> Report:
    """A worker that hangs."""
    report = Report(
        "hung",
        "A worker that hangs",
        f"HANG_TIMEOUT is {HANG_TIMEOUT} s. A hook of the benchmark makes one call of the model hang: for one record, "
        "and for a list of 500 records; waiting as for a lock, and computing in C without giving the interpreter away.",
    )
    fault = lab.work / "fault"
    records = b"[" + b",".join([golden.bodies[0]] * 500) + b"]"
    for how in ("sleep", "spin"):
        for what, body in (("one record", golden.bodies[0]), ("500 records", records)):
            with lab.service(
                python_path=(HANG,), FAULT_FILE=str(fault), HANG_TIMEOUT=str(HANG_TIMEOUT), LOG_LEVEL="error"
            ) as service:
                _hang(report, service, golden, fault, how, what, body)
    _stopped_worker(lab, report, golden)
    return report


def _hang(report: Report, service: Service, golden: Golden, fault: Path, how: str, what: str, body: bytes) -> None:
    before = service.workers()
    replaced = 0.0

    def hang() -> None:
        nonlocal replaced
        fault.write_text(how)
        with suppress(ServiceError):
            service.ask("POST", "/v1/predictions", body, timeout=0.5)
        replaced = seconds_until(lambda: service.workers() not in ([], before), HANG_TIMEOUT + 7)

    # The fault hits the next request, so other requests are sent only afterwards.
    started = time.monotonic()
    hang()
    seconds = time.monotonic() - started
    name = f"{what}, {how}"
    is_replaced = service.workers() not in ([], before)
    measured = f"after {seconds:.1f} s" if is_replaced else f"not within {seconds:.0f} s"
    report.add(f"{name}: replaced", measured, is_replaced and seconds < HANG_TIMEOUT + 5, seconds=round(seconds, 2))
    text = service.log.read_text(errors="replace")
    shows = "run_or_hang" in text
    report.add(f"{name}: the log shows where it hung", "yes" if shows else "no", shows)
    if is_replaced:
        service.wait_until_ready(20)
        check_afterwards(report, service, golden)


def _stopped_worker(lab: Lab, report: Report, golden: Golden) -> None:
    """Stop a worker, including its watchdog, with SIGSTOP."""
    with lab.service(HANG_TIMEOUT=str(HANG_TIMEOUT), LOG_LEVEL="error") as service:
        (worker,) = service.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            service.ask("GET", "/healthz", timeout=3)
            healthy = "is answered"
        except ServiceError:
            healthy = "gets no answer in 3 s: a liveness probe restarts the container"
        time.sleep(HANG_TIMEOUT + 1)
        same = service.workers() == [worker]
        text = "the watchdog within the process stands still with it" if same else "it is replaced"
        report.add("SIGSTOP of the worker", f"{text}; /healthz {healthy}", None)
        status, took = service.stop()
        ended = not Path(f"/proc/{worker}").exists()
        measured = f"exit status {status} after {took:.1f} s, worker {'gone' if ended else 'still there'}"
        report.add("SIGTERM while the worker is stopped", measured, ended and took < 40)
    with lab.service(HANG_TIMEOUT=str(HANG_TIMEOUT), LOG_LEVEL="error") as service:
        (worker,) = service.workers()
        os.kill(worker, signal.SIGSTOP)
        time.sleep(HANG_TIMEOUT + 1)
        os.kill(worker, signal.SIGCONT)
        back = service.wait_until_ready(20)
        report.add("SIGSTOP, and SIGCONT later", f"ready again after {back:.1f} s", back < 10)
        check_afterwards(report, service, golden)


def changed_artefact(lab: Lab, golden: Golden) -> Report:
    """The artefact replaced or corrupted on the disk."""
    report = Report(
        "artefact",
        "The artefact replaced or corrupted on disk",
        "The service runs on a copy of the model package that is changed under load; then its worker is killed, so "
        "that the next one reads what is there now.",
    )
    for what, change in (
        ("a byte of the model flipped", _flip),
        ("the model cut off", _cut),
        ("the artefact taken away", lambda folder: shutil.rmtree(folder)),
        ("golden records that do not fit", _other_golden),
    ):
        for workers in (1, 2):
            if workers == 2 and (lab.quick or what != "a byte of the model flipped"):
                continue
            _changed(lab, report, golden, what, change, workers)
    _replaced(lab, report, golden)
    return report


def _copy(lab: Lab, name: str) -> Path:
    """Return a folder with a copy of the model package."""
    folder = lab.work / "packages" / name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lab.project.package, folder / lab.project.package.name)
    return folder


def _flip(artefact: Path) -> None:
    content = bytearray((artefact / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (artefact / "model.onnx").write_bytes(content)


def _cut(artefact: Path) -> None:
    content = (artefact / "model.onnx").read_bytes()
    (artefact / "model.onnx").write_bytes(content[: len(content) // 2])


def _other_golden(artefact: Path) -> None:
    (artefact / "golden.json").write_text("[]")


def _changed(
    lab: Lab, report: Report, golden: Golden, what: str, change: Callable[[Path], object], workers: int
) -> None:
    folder = _copy(lab, what)
    name = what if workers == 1 else f"{what}, {workers} workers"
    with lab.service(python_path=(folder,), LOG_LEVEL="info", WORKERS=str(workers)) as service:
        artefact = folder / lab.project.package.name / "artefact"
        crowd = Crowd(service.port, golden, 8)
        tally = asyncio.run(during(crowd, 2, (1.0, lambda: change(artefact))))
        add_tally(report, f"Running worker, {name}", tally)

        crowd = Crowd(service.port, golden, 8, on_no_connection=0.05)
        worker = service.workers()[0]
        tally = asyncio.run(during(crowd, 6, (0.5, lambda: os.kill(worker, signal.SIGKILL))))
        wrong = (
            tally.sent
            - tally.counts[ANSWERED]
            - sum(count for outcome, count in tally.counts.items() if "without an answer" in outcome)
        )
        report.add(f"New worker, {name}: no wrong answer", tally.text(), wrong == 0, **tally.figures())
        ended = seconds_until(lambda: service.process.poll() is not None, 15)
        status = service.process.poll()
        measured = f"exit status {status}" if status is not None else "it still runs"
        report.add(f"Main process, {name}: ends", measured, status not in (None, 0), seconds=ended)
        messages = [str(line["message"]) for line in service.lines() if "artefact" in str(line.get("message"))]
        errors = [line for line in service.log.read_text(errors="replace").splitlines() if "ArtefactError:" in line]
        shown = (messages or errors or ["nothing of it"])[-1].replace(str(folder), "…")
        report.add(f"The log, {name}", f"“{shown[:160]}”{'' if messages else ' (no line of JSON)'}", bool(messages))


def _replaced(lab: Lab, report: Report, golden: Golden) -> None:
    """Replace the artefact by a valid artefact of another version."""
    folder = _copy(lab, "replaced")
    metadata = folder / lab.project.package.name / "artefact" / "metadata.json"
    with lab.service(python_path=(folder,), LOG_LEVEL="error") as service:
        content = json.loads(metadata.read_text())
        old = content["version"]
        metadata.write_text(json.dumps(content | {"version": "another"}))
        shown = json.loads(service.ask("GET", "/version")[2])["model"]["version"]
        report.add("Another valid artefact put in its place", f"/version still says {shown}", shown == old)
        (worker,) = service.workers()
        os.kill(worker, signal.SIGKILL)
        service.wait_until_ready(20)
        shown = json.loads(service.ask("GET", "/version")[2])["model"]["version"]
        report.add("and the worker killed", f"the new worker serves it, and says so: {shown}", shown == "another")
        check_afterwards(report, service, golden)
