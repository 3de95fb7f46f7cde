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

from client import CORRECT, Golden, Load, during
from connections import add_tally, check_afterwards
from report import Report
from service import Lab, Service, ServiceError

HANG_TIMEOUT = 3
HANG = Path(__file__).parent / "hang"


def stop_under_load(lab: Lab, golden: Golden) -> Report:
    """A SIGTERM under load."""
    report = Report(
        "stop",
        "SIGTERM during load",
        "After two seconds of load the main process gets SIGTERM, without the preStop hook. After a response with "
        "`Connection: close` a client either stops, like one that a load balancer sends to another server, or "
        "reconnects at once, until connections are refused. *Unanswered* is the number of requests in the log of the "
        "service without a response at the clients.",
    )
    for name, connections, reconnect, stops_on_close, workers in (
        ("16 clients that stop, 1 worker", 16, False, True, 1),
        ("16 clients that stop, 2 workers", 16, False, True, 2),
        ("256 clients that stop, 1 worker", 256, False, True, 1),
        ("16 clients that stop, a new connection for each request", 16, True, True, 1),
        ("16 clients that reconnect, 1 worker", 16, False, False, 1),
        ("16 clients that reconnect, 2 workers", 16, False, False, 2),
    ):
        with lab.service(WORKERS=str(workers)) as service:
            took, status = 0.0, -1

            def stop(service: Service = service) -> None:
                nonlocal took, status
                status, took = service.stop()

            load = Load(service.port, golden, connections, reconnect=reconnect, stops_on_close=stops_on_close)
            tally = asyncio.run(during(load, 4, (2.0, stop)))
            # While the service stops, the kernel may accept connections that the service never reads from. The service
            # makes no promise to clients that reconnect during that time.
            passed = tally.lost == 0 if stops_on_close else None
            report.add(name, tally.text(), passed, **tally.figures())
            logged = sum(
                line.get("logger") == "webservice.requests" and line.get("status") == 200 for line in service.lines()
            )
            lost = logged - tally.counts[CORRECT]
            report.add(f"{name}: unanswered", f"{lost} of {logged:,}", lost == 0 and logged > 0, lost=lost)
            report.add(f"{name}: exit", f"exit status {status} after {took:.2f} s", status == 0, seconds=took)
    return report


def killed_worker(lab: Lab, golden: Golden) -> Report:
    """A worker killed under load."""
    report = Report(
        "killed",
        "A worker killed (SIGKILL)",
        "After two seconds of load one worker is killed. The requests that it was processing or had not yet accepted "
        "are lost: at most two per connection. Connections may be refused until a new worker is ready.",
    )
    for workers in (1, 2):
        with lab.service(LOG_LEVEL="error", WORKERS=str(workers)) as service:
            before = service.workers()
            back = 0.0

            def kill(service: Service = service, before: list[int] = before) -> None:
                nonlocal back
                os.kill(before[0], signal.SIGKILL)
                back = seconds_until(lambda: len(set(service.workers()) - set(before)) == 1, 20)

            load = Load(service.port, golden, 16, reconnect_delay=0.02)
            tally = asyncio.run(during(load, 7, (2.0, kill)))
            name = f"{workers} worker{'s' if workers > 1 else ''}, 16 connections"
            report.add(name, tally.text(), tally.lost <= 32, **tally.figures())
            report.add(f"{name}: replaced", f"a new process after {back:.2f} s", back < 5)
            gap = tally.longest_gap
            report.add(f"{name}: longest time without a response", f"{gap:.2f} s", gap < 5, seconds=round(gap, 2))
            check_afterwards(report, service, golden)
            running = len(service.workers())
            report.add(f"{name}: workers afterwards", str(running), running == workers)
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
        f"HANG_TIMEOUT is {HANG_TIMEOUT} s. The benchmark makes one call of the model hang, for one record and for a "
        "list of 500 records: `sleep` waits without the interpreter lock, `spin` computes in C and holds it.",
    )
    fault = lab.work / "fault"
    records = b"[" + b",".join([golden.bodies[0]] * 500) + b"]"
    for kind in ("sleep", "spin"):
        for name, body in (("one record", golden.bodies[0]), ("500 records", records)):
            with lab.service(
                python_path=(HANG,), FAULT_FILE=str(fault), HANG_TIMEOUT=str(HANG_TIMEOUT), LOG_LEVEL="error"
            ) as service:
                _hang(report, service, golden, fault, kind, name, body)
    _stopped_worker(lab, report, golden)
    return report


def _hang(report: Report, service: Service, golden: Golden, fault: Path, kind: str, name: str, body: bytes) -> None:
    before = service.workers()
    replaced = 0.0

    def hang() -> None:
        nonlocal replaced
        fault.write_text(kind)
        with suppress(ServiceError):
            service.ask("POST", "/v1/predictions", body, timeout=0.5)
        replaced = seconds_until(lambda: service.workers() not in ([], before), HANG_TIMEOUT + 7)

    # The fault hits the next request, so other requests are sent only afterwards.
    started = time.monotonic()
    hang()
    seconds = time.monotonic() - started
    name = f"{name}, {kind}"
    is_replaced = service.workers() not in ([], before)
    result = f"after {seconds:.1f} s" if is_replaced else f"not within {seconds:.0f} s"
    report.add(f"{name}: replaced", result, is_replaced and seconds < HANG_TIMEOUT + 5, seconds=round(seconds, 2))
    text = service.log.read_text(errors="replace")
    shows = "run_or_hang" in text
    report.add(f"{name}: the log shows the call that hangs", "yes" if shows else "no", shows)
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
            healthy = "gets a response"
        except ServiceError:
            healthy = "gets no response in 3 s: a liveness probe restarts the container"
        time.sleep(HANG_TIMEOUT + 1)
        same = service.workers() == [worker]
        text = "not replaced, because its watchdog is stopped too" if same else "replaced"
        report.add("SIGSTOP of the worker", f"{text}; /healthz {healthy}", None)
        status, took = service.stop()
        ended = not Path(f"/proc/{worker}").exists()
        result = f"exit status {status} after {took:.1f} s, worker {'gone' if ended else 'still there'}"
        report.add("SIGTERM while the worker is stopped", result, ended and took < 40)
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
        "The service runs with a copy of the model package, which is changed under load. Then its worker is killed, so "
        "that a new worker loads the changed files.",
    )
    for name, change in (
        ("a flipped bit in the model", _flip),
        ("the model truncated", _cut),
        ("the artefact deleted", lambda folder: shutil.rmtree(folder)),
        ("other golden records", _other_golden),
    ):
        for workers in (1, 2):
            if workers == 2 and (lab.quick or name != "a flipped bit in the model"):
                continue
            _serve_changed_artefact(lab, report, golden, name, change, workers)
    _replace_artefact(lab, report, golden)
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


def _serve_changed_artefact(
    lab: Lab, report: Report, golden: Golden, name: str, change: Callable[[Path], object], workers: int
) -> None:
    folder = _copy(lab, name)
    name = name if workers == 1 else f"{name}, {workers} workers"
    with lab.service(python_path=(folder,), LOG_LEVEL="info", WORKERS=str(workers)) as service:
        artefact = folder / lab.project.package.name / "artefact"
        load = Load(service.port, golden, 8)
        tally = asyncio.run(during(load, 2, (1.0, lambda: change(artefact))))
        add_tally(report, f"Running worker, {name}", tally)

        load = Load(service.port, golden, 8, reconnect_delay=0.05)
        worker = service.workers()[0]
        tally = asyncio.run(during(load, 6, (0.5, lambda: os.kill(worker, signal.SIGKILL))))
        wrong = (
            tally.sent
            - tally.counts[CORRECT]
            - sum(count for outcome, count in tally.counts.items() if "without a response" in outcome)
        )
        report.add(f"New worker, {name}: no wrong response", tally.text(), wrong == 0, **tally.figures())
        ended = seconds_until(lambda: service.process.poll() is not None, 15)
        status = service.process.poll()
        result = f"exit status {status}" if status is not None else "still running"
        report.add(f"Main process, {name}: exits", result, status not in (None, 0), seconds=ended)
        messages = [str(line["message"]) for line in service.lines() if "artefact" in str(line.get("message"))]
        errors = [line for line in service.log.read_text(errors="replace").splitlines() if "ArtefactError:" in line]
        shown = (messages or errors or ["no message"])[-1].replace(str(folder), "…")
        report.add(f"The log, {name}", f"“{shown[:160]}”{'' if messages else ' (not JSON)'}", bool(messages))


def _replace_artefact(lab: Lab, report: Report, golden: Golden) -> None:
    """Replace the artefact by a valid artefact of another version."""
    folder = _copy(lab, "replaced")
    metadata = folder / lab.project.package.name / "artefact" / "metadata.json"
    with lab.service(python_path=(folder,), LOG_LEVEL="error") as service:
        content = json.loads(metadata.read_text())
        old = content["version"]
        metadata.write_text(json.dumps(content | {"version": "another"}))
        shown = json.loads(service.ask("GET", "/version")[2])["model"]["version"]
        report.add("Another valid artefact in its place", f"/version is still {shown}", shown == old)
        (worker,) = service.workers()
        os.kill(worker, signal.SIGKILL)
        service.wait_until_ready(20)
        shown = json.loads(service.ask("GET", "/version")[2])["model"]["version"]
        report.add("Then the worker killed", f"/version of the new worker is {shown}", shown == "another")
        check_afterwards(report, service, golden)
