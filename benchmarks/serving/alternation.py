"""Loads that take turns: several servers run at once, and each is asked for a moment, again and again.

A machine whose cores others use too changes its pace from one second to the next. Turns of a
twentieth of a second share that out evenly, and so ratios are steadier than those of loads that
follow one another.
"""

import random
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from load import command, result_of

TURN = 0.05
"""Seconds of a turn."""
PAUSE = 0.005
"""Seconds between two turns, in which a server may finish what it was asked."""
START = 0.5
"""Seconds that all loads may take to open their connections, before the first turn."""


def rates_in_turns(targets: Mapping[str, tuple[str, Path]], connections: int, seconds: int) -> dict[str, float]:
    """Return the right answers a second of each server, of the time in which it was asked.

    Args:
        targets: URL and file of bodies of each server, by its name.
        connections: kept open to each, with one request at a time.
        seconds: for all turns together.

    Raises:
        StepError: if a load fails.
    """
    duration = round(START + seconds)
    loads: dict[str, subprocess.Popen[str]] = {}
    asked = dict.fromkeys(targets, 0.0)
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
                asked[name] += turn(loads[name])
                time.sleep(PAUSE)
        # Each load is over when it goes on, and prints its result.
        time.sleep(max(0.0, started + duration + START - time.perf_counter()))
        results = {}
        for name, one in loads.items():
            one.send_signal(signal.SIGCONT)
            found = result_of(one.communicate()[0])
            results[name] = (found["requests"] - found["refused"]) / asked[name]
        return results
    finally:
        for one in loads.values():
            if one.poll() is None:
                one.kill()
                one.wait()


def turn(one: "subprocess.Popen[str]") -> float:
    """Let a load go on for a turn; return the seconds that it took."""
    began = time.perf_counter()
    one.send_signal(signal.SIGCONT)
    time.sleep(TURN)
    one.send_signal(signal.SIGSTOP)
    return time.perf_counter() - began
