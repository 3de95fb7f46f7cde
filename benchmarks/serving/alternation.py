"""Alternating loads: several servers run at once, and each is under load in short turns.

The speed of a shared machine changes from second to second. Turns of 50 ms distribute these changes evenly
over the servers, so ratios vary less than those of consecutive loads.
"""

import random
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from load import command, result_of

TURN = 0.05
"""Duration of a turn in seconds."""
PAUSE = 0.005
"""Seconds between turns, in which a server may finish pending requests."""
START = 0.5
"""Seconds for all loads to open their connections before the first turn."""


def rates_in_turns(targets: Mapping[str, tuple[str, Path]], connections: int, seconds: int) -> dict[str, float]:
    """Return the correct answers of each server per second under load.

    Args:
        targets: URL and file of bodies by the name of the server.
        connections: number of connections to each server, with one request at a time.
        seconds: total duration of all turns.

    Raises:
        StepError: if a load fails.
    """
    duration = round(START + seconds)
    loads: dict[str, subprocess.Popen[str]] = {}
    loaded_seconds = dict.fromkeys(targets, 0.0)
    order = list(targets)
    started = time.perf_counter()
    try:
        for name, (url, bodies) in targets.items():
            loads[name] = subprocess.Popen(
                list(map(str, command(url, bodies, connections, duration))), stdout=subprocess.PIPE, text=True
            )
            loads[name].send_signal(signal.SIGSTOP)
        while time.perf_counter() - started < duration - START:
            random.shuffle(order)
            for name in order:
                loaded_seconds[name] += turn(loads[name])
                time.sleep(PAUSE)
        # Each load has reached its end; when it continues, it prints its result.
        time.sleep(max(0.0, started + duration + START - time.perf_counter()))
        results = {}
        for name, process in loads.items():
            process.send_signal(signal.SIGCONT)
            result = result_of(process.communicate()[0])
            results[name] = (result["requests"] - result["refused"]) / loaded_seconds[name]
        return results
    finally:
        for process in loads.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def turn(process: "subprocess.Popen[str]") -> float:
    """Continue a load for a turn; return its duration in seconds."""
    started = time.perf_counter()
    process.send_signal(signal.SIGCONT)
    time.sleep(TURN)
    process.send_signal(signal.SIGSTOP)
    return time.perf_counter() - started
