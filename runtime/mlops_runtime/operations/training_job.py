"""Train on the cluster: create the Job, wait until its pod starts, follow its log, tell success and failure apart.

The manifests are in build/k8s/trainer, and settings come from the environment: make puts both there. The standard
library and kubectl are enough.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from mlops_runtime.operations.kubectl import ClusterError, Kubectl, Object
from mlops_runtime.operations.releases import PREFIX

MANIFESTS = Path("build/k8s/trainer")
COMPONENT = "trainer"
"""Label `component` of the Job and its pods."""
CONTAINER = "trainer"
MEMORY_ANNOTATION = f"{PREFIX}/memory"
"""Annotation of the Job with a sentence about its memory."""
START_TIMEOUT = 300.0
"""Seconds in which the pod must start."""
POLL_INTERVAL = 1.0
"""Seconds between two polls of the Job."""
PROGRESS_INTERVAL = 15.0
"""Seconds after which a line is printed even if nothing has changed."""
OUTAGE = 10.0
"""Seconds of a poll beyond which the API server was away: they do not count as waiting."""

HINTS = {
    "DeadlineExceeded": "raise activeDeadlineSeconds in k8s/trainer/job.yaml, or lower BUDGET",
    "OOMKilled": "set JOB_MEMORY to more than the limit that the first line names, or lower MAX_ROWS",
}
"""What to do about a reason that Kubernetes gives for a failed Job."""


class TrainingJobError(RuntimeError):
    """The Job did not train a model."""


class StoppedError(RuntimeError):
    """Somebody asked this process to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_status = 128 + number


@dataclass(frozen=True)
class Run:
    """The Job as it is.

    Attributes:
        job: the object.
        pod: its pod; empty while there is none.
    """

    job: Object
    pod: Object

    @property
    def container(self) -> Object:
        """State of the container that trains, not of one that the cluster adds; empty before the pod has one."""
        statuses = self.pod.get("status", {}).get("containerStatuses", [])
        state: Object = next((item["state"] for item in statuses if item["name"] == CONTAINER), {})
        return state

    @property
    def started(self) -> bool:
        """Whether the container has started."""
        return "running" in self.container or "terminated" in self.container

    @property
    def ended(self) -> bool:
        """Whether the log is complete."""
        return "terminated" in self.container or self.condition("Complete") or self.condition("Failed")

    def condition(self, name: str) -> bool:
        """Return whether Kubernetes has recorded that the Job is complete, or has failed."""
        return bool(condition_of(self.job, name))

    @property
    def failure(self) -> str:
        """Why the Job failed, and what to do, as far as Kubernetes knows."""
        terminated = self.container.get("terminated", {})
        reasons = (
            condition_of(self.job, "Failed").get("reason"),
            self.pod.get("status", {}).get("reason"),
            terminated.get("reason"),
        )
        telling = [reason for reason in reasons if reason not in (None, "BackoffLimitExceeded", "Error")]
        status = [f"exit status {terminated['exitCode']}"] if "exitCode" in terminated else []
        message = self.pod.get("status", {}).get("message") or terminated.get("message") or "its log above says why"
        hint = next((HINTS[reason] for reason in telling if reason in HINTS), one_line(message))
        return f"({', '.join([*telling, *status]) or 'no reason given'}): {hint}"


class TrainingJob:
    """The Job of a project.

    Attributes:
        kubectl: for the namespace of the Job.
        project: name of the project, the prefix of its objects.
        start_timeout: seconds in which the pod must start.
        created: whether the Job may have been created.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        project: str,
        start_timeout: float = START_TIMEOUT,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kubectl = kubectl
        self.project = project
        self.name = f"{project}-{COMPONENT}"
        self.start_timeout = start_timeout
        self.now = now
        self.created = False
        self._uid = ""
        self._said = ("", now())

    def run(self, manifests: Path) -> None:
        """Train; return when the Job has succeeded.

        Args:
            manifests: folder with the kustomization of the Job.

        Raises:
            TrainingJobError: if it failed, or did not start in time.
            ClusterError: if the cluster refuses a command, or stays away.
        """
        self.create(manifests)
        self.wait_for_start()
        self.follow_log()
        run = self.wait_for_end()
        if not run.condition("Complete"):
            raise TrainingJobError(f"the training job failed {run.failure}")

    def create(self, manifests: Path) -> None:
        """Delete the Job of the run before, and create the new one.

        Raises:
            ClusterError: if the cluster refuses that.
        """
        former = self.kubectl.get("job", self.name)
        if former:
            if former.get("status", {}).get("active"):
                self.kubectl.say(f"the Job {self.name} of {created_at(former)} still runs: it is stopped")
            self.kubectl.run("delete", "job", self.name, "--ignore-not-found")
        self.created = True
        applied = self.kubectl.json("apply", "--kustomize", str(manifests))
        (self._uid,) = (item["metadata"]["uid"] for item in applied["items"] if item["kind"] == "Job")
        self.kubectl.say(f"created the Job {self.name} in namespace {self.kubectl.namespace}")

    def wait_for_start(self) -> None:
        """Wait until the container runs or has ended; print why it does not.

        Raises:
            TrainingJobError: if it does not start in time; the Job is deleted then.
            ClusterError: if the Job cannot be read.
        """
        began = self.now()
        while True:
            asked = self.now()
            run = self.current()
            if run.started or run.ended:
                return
            trouble = self.trouble(run)
            if self.now() - asked > OUTAGE:
                began += self.now() - asked
            seconds = self.now() - began
            if seconds >= self.start_timeout:
                self.kubectl.run("delete", "job", self.name, "--ignore-not-found", "--wait=false")
                self.created = False
                raise TrainingJobError(
                    f"the training job did not start within {self.start_timeout:g} s"
                    f" ({trouble or 'Kubernetes gives no reason'}): the Job was deleted;"
                    " JOB_START_TIMEOUT gives it more time"
                )
            self._progress(f"waiting for the pod to start{f': {trouble}' if trouble else ''}", seconds)
            self.kubectl.sleep(POLL_INTERVAL)

    def follow_log(self) -> None:
        """Print the log of the pod until it has ended, also when the connection breaks meanwhile.

        Raises:
            TrainingJobError: if the Job is gone.
            ClusterError: if the Job cannot be read.
        """
        began, printed = self.now(), 0
        while True:
            run = self.current()
            if run.ended and not run.pod:
                return  # Kubernetes deletes the pod of a Job that takes too long
            printed, error = self._copy_log(run, printed, began)
            if run.ended:
                if error:
                    self.kubectl.say(f"the rest of the log cannot be read: {error}")
                return
            self.kubectl.sleep(POLL_INTERVAL)

    def wait_for_end(self) -> Run:
        """Wait until Kubernetes has recorded how the Job ended, and return it.

        Raises:
            TrainingJobError: if the Job is gone.
            ClusterError: if the Job cannot be read.
        """
        began = self.now()
        while True:
            run = self.current()
            if run.condition("Complete") or run.condition("Failed"):
                return run
            self._progress("the pod has ended: waiting for Kubernetes to record it", self.now() - began)
            self.kubectl.sleep(POLL_INTERVAL)

    def current(self) -> Run:
        """Return the Job as it is.

        Raises:
            TrainingJobError: if it is gone.
            ClusterError: if it cannot be read.
        """
        selector = f"app={self.project},component={COMPONENT}"
        items = self.kubectl.get("jobs,pods", "--selector", selector).get("items", [])
        job = next((item for item in items if item["metadata"]["uid"] == self._uid), None)
        if job is None:
            raise TrainingJobError(f"the Job {self.name} is gone: somebody has deleted it, or started another one")
        owned = (item for item in items if self._uid in owners_of(item))
        return Run(job, max(owned, key=created_at, default={}))

    def trouble(self, run: Run) -> str:
        """Return why the container does not start; empty if Kubernetes gives no reason.

        Raises:
            ClusterError: if the events cannot be read.
        """
        if not run.pod:
            return self._warning(run.job)
        unscheduled = condition_of(run.pod, "PodScheduled", "False")
        if unscheduled:
            return one_line(f"no node takes the pod: {unscheduled.get('message', unscheduled.get('reason', ''))}")
        waiting = run.container.get("waiting", {})
        reason = waiting.get("reason", "")
        detail = self._warning(run.pod) or one_line(waiting.get("message", ""))
        return ": ".join(filter(None, [reason, detail]))

    def _warning(self, item: Object) -> str:
        """Return the last event that says why something about an object failed."""
        selector = f"involvedObject.uid={item['metadata']['uid']},type=Warning"
        events = self.kubectl.get("events", "--field-selector", selector).get("items", [])
        telling = [event for event in events if is_telling(event)]
        return one_line(max(telling, key=event_time)["message"]) if telling else ""

    def _copy_log(self, run: Run, printed: int, began: float) -> tuple[int, str]:
        """Print the lines of the log that were not printed before, until the log ends or the connection breaks.

        Args:
            run: whose pod to follow.
            printed: number of lines that were printed before.
            began: time when the pod started.

        Returns:
            The number of lines that have been printed, and the error of kubectl; empty without one.
        """
        pod = run.pod.get("metadata", {}).get("name", "")
        command = [*self.kubectl.command, "--namespace", self.kubectl.namespace, "logs", "--follow"]
        command += [pod, "--container", CONTAINER]
        # A process group of its own: Ctrl-C stops this program, which then says how the Job goes on.
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0) as process:
            assert process.stdout is not None and process.stderr is not None  # noqa: S101,PT018 - both are pipes
            try:
                count = 0
                for line in lines_of(process.stdout, with_rest=run.ended):
                    if line is None:
                        # kubectl does not notice when the API server vanishes without a word.
                        if run.ended or self.current().ended:
                            return max(count, printed), "kubectl logs does not answer"
                        self._progress("training", self.now() - began)
                        continue
                    count += 1
                    if count > printed:
                        self._print(line)
                return max(count, printed), one_line(process.stderr.read().decode(errors="replace"))
            finally:
                process.terminate()

    def _print(self, line: str) -> None:
        self.kubectl.say(line)
        self._said = ("", self.now())

    def _progress(self, line: str, seconds: float) -> None:
        """Print a line if it has changed, or if nothing was printed for a while."""
        said, at = self._said
        if line != said or self.now() - at >= PROGRESS_INTERVAL:
            self.kubectl.say(f"  {line}, {seconds:.0f} s")
            self._said = (line, self.now())


def memory_sentence(manifests: Path) -> str:
    """Return what the manifests of the Job say about its memory.

    Args:
        manifests: folder with the kustomization of the Job, beside which is what kustomize makes of it.
    """
    items = json.loads(manifests.with_suffix(".json").read_text(encoding="utf-8"))
    return next(str(item["metadata"]["annotations"][MEMORY_ANNOTATION]) for item in items if item["kind"] == "Job")


def condition_of(item: Object, name: str, status: str = "True") -> Object:
    """Return the condition of an object that has a status; empty without it."""
    conditions = item.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if (entry["type"], entry["status"]) == (name, status)), {})


def owners_of(item: Object) -> list[str]:
    """Return the UIDs of the owners of an object."""
    return [owner["uid"] for owner in item["metadata"].get("ownerReferences", [])]


def created_at(item: Object) -> str:
    """Return when an object was created, in ISO 8601."""
    return str(item["metadata"].get("creationTimestamp", ""))


def is_telling(event: Object) -> bool:
    """Return whether a warning says why something failed; some only repeat the state of the pod, or are about DNS."""
    return event["reason"].startswith("Failed") and not event["message"].startswith("Error: ")


def event_time(event: Object) -> str:
    """Return when an event was last seen, in ISO 8601."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or created_at(event))


def one_line(text: str) -> str:
    """Return text without line breaks."""
    return " ".join(text.split())


def lines_of(stream: IO[bytes], *, with_rest: bool) -> Iterator[str | None]:
    """Yield the lines of a pipe, and None after each `PROGRESS_INTERVAL` seconds of silence.

    Args:
        stream: to read.
        with_rest: whether to yield a last line that has no end.
    """
    rest = b""
    while True:
        ready, _, _ = select.select([stream], [], [], PROGRESS_INTERVAL)
        if not ready:
            yield None
            continue
        chunk = os.read(stream.fileno(), 65536)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest and with_rest:
        yield rest.decode(errors="replace")


@contextmanager
def stop_signals() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into an exception; another one ends the process."""

    def stop(number: int, _: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_DFL)
        raise StoppedError(number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def say(line: str) -> None:
    """Print a line at once, also when the output is a pipe."""
    print(line, flush=True)


def setting(environment: Mapping[str, str], name: str) -> str:
    """Return a setting that must not be empty.

    Raises:
        TrainingJobError: if it is.
    """
    value = environment.get(name, "")
    if not value:
        raise TrainingJobError(f"{name} is not set: run this with make, and see project.mk")
    return value


def seconds_of(environment: Mapping[str, str], name: str, default: float) -> float:
    """Return a setting in seconds.

    Raises:
        TrainingJobError: if it is no number.
    """
    text = environment.get(name, "").strip()
    try:
        return float(text.removesuffix("s")) if text else default
    except ValueError as error:
        raise TrainingJobError(f"{name}={text} is not usable: set it to a number of seconds") from error


def goes_on(job: TrainingJob) -> str:
    """Return what happens to the Job once nobody waits for it, how to follow it and how to stop it."""
    if not job.created:
        return "no Job runs"
    kubectl = " ".join([*job.kubectl.command, "--namespace", job.kubectl.namespace])
    return (
        f"the Job {job.name} goes on; follow it: {kubectl} logs --follow job/{job.name};"
        f" stop it: {kubectl} delete job {job.name}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Train on the cluster and return the exit status."""
    del argv  # every setting comes from the environment
    job = None
    try:
        version, bucket = (setting(os.environ, name) for name in ("VERSION", "BUCKET"))
        start_timeout = seconds_of(os.environ, "JOB_START_TIMEOUT", START_TIMEOUT)
        job = TrainingJob(Kubectl.from_environment(os.environ, say), setting(os.environ, "PROJECT"), start_timeout)
        say(memory_sentence(MANIFESTS))
        with stop_signals():
            job.run(MANIFESTS)
    except StoppedError as error:
        assert job is not None  # noqa: S101 - signals are caught while it runs
        print(f"train.job: {error}: {goes_on(job)}", file=sys.stderr)
        return error.exit_status
    except TrainingJobError as error:
        print(f"train.job: {error}", file=sys.stderr)
        return 1
    except ClusterError as error:
        print(f"train.job: {error}{f'; {goes_on(job)}' if job else ''}", file=sys.stderr)
        return 1
    say(
        f"s3://{bucket}/trainer/{version}/ has the model, its metrics and its report;"
        f" deploy it: make deploy MODEL={version}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
