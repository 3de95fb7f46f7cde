"""The comment on a pull request, at a stand-in for the API of each vendor."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.operations import pull_request_api
from mlops_runtime.operations.pull_request_api import PullRequestError, pull_request_of, put_comment

MARK = "<!-- oncology: model -->"
TOKEN = "secret"


@dataclass
class Vendor:
    """A stand-in that keeps comments: what each has, and the requests that it got."""

    url: str = ""
    status: int = 200
    comments: list[Any] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)

    def answer(self, method: str, path: str, content: Any) -> Any:
        self.requests.append((method, path, content))
        if method == "POST":
            self.comments.append({"id": len(self.comments) + 4} | content)
        if method != "GET":
            return content
        # GitHub and GitLab answer with a list, Bitbucket and Azure DevOps with an object that has one.
        key = "values" if "bitbucket" in path else "value" if "_apis" in path else ""
        return {key: self.comments} if key else self.comments


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """A stand-in on this machine."""
    stand_in = Vendor()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"] or 0))
            stand_in.tokens.add(self.headers["Authorization"] or self.headers["PRIVATE-TOKEN"])
            answer = stand_in.answer(self.command, self.path, json.loads(content or b"null"))
            self.send_response(stand_in.status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        yield stand_in
        server.shutdown()


JOBS = {
    "github": {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": "URL",
        "GITHUB_REPOSITORY": "team/oncology",
        "GITHUB_BASE_REF": "main",
        "GITHUB_EVENT_PATH": "EVENT",
        "GITHUB_TOKEN": TOKEN,
    },
    "gitlab": {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": "URL/api/v4",
        "CI_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": "origin/main",
        "COMMENT_TOKEN": TOKEN,
    },
    "bitbucket": {
        "BITBUCKET_BUILD_NUMBER": "3",
        "BITBUCKET_REPO_FULL_NAME": "team/oncology",
        "BITBUCKET_PR_ID": "7",
        "BITBUCKET_PR_DESTINATION_BRANCH": "main",
        "BITBUCKET_PR_DESTINATION_COMMIT": "origin/main",
        "COMMENT_TOKEN": TOKEN,
    },
    "azure-devops": {
        "TF_BUILD": "True",
        "SYSTEM_COLLECTIONURI": "URL/organisation/",
        "SYSTEM_TEAMPROJECT": "our project",
        "BUILD_REPOSITORY_ID": "12",
        "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
        "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main",
        "SYSTEM_ACCESSTOKEN": TOKEN,
    },
}
"""What a job says of itself, by vendor."""
PATHS = {
    "github": ("/repos/team/oncology/issues/7/comments", "PATCH", "/repos/team/oncology/issues/comments/5"),
    "gitlab": ("/api/v4/projects/12/merge_requests/7/notes", "PUT", "/api/v4/projects/12/merge_requests/7/notes/5"),
    "bitbucket": (
        "/bitbucket/repositories/team/oncology/pullrequests/7/comments",
        "PUT",
        "/bitbucket/repositories/team/oncology/pullrequests/7/comments/5",
    ),
    "azure-devops": (
        "/organisation/our%20project/_apis/git/repositories/12/pullRequests/7/threads",
        "PATCH",
        "/organisation/our%20project/_apis/git/repositories/12/pullRequests/7/threads/5/comments/1",
    ),
}
"""Address of the comments, and method and address that replace the text of one, by vendor."""


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest, vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The environment of a job for a pull request, and its vendor's name."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    monkeypatch.setattr(pull_request_api, "BITBUCKET", f"{vendor.url}/bitbucket")
    values = JOBS[request.param].items()
    return request.param, {
        name: str(event) if value == "EVENT" else value.replace("URL", vendor.url) for name, value in values
    }


def test_a_comment_is_written_once_and_then_replaced(vendor: Vendor, job: tuple[str, dict[str, str]]) -> None:
    name, environment = job
    pull_request = pull_request_of(environment)
    assert (pull_request.target, pull_request.commit) == ("main", "origin/main")
    # Somebody has written before
    first = json.loads(json.dumps(pull_request.comment("Well done.")))
    vendor.comments.append({"id": 4} | first)

    put_comment(pull_request, f"{MARK}\nFirst", MARK)
    put_comment(pull_request, f"{MARK}\nSecond", MARK)

    path, method, changed = PATHS[name]
    asked = [(of, where.partition("?")[0]) for of, where, _ in vendor.requests]
    assert asked == [("GET", path), ("POST", path), ("GET", path), (method, changed)]
    assert f"{MARK}\\nSecond" in json.dumps(vendor.requests[-1][2])
    assert vendor.tokens == {TOKEN if name == "gitlab" else f"Bearer {TOKEN}"}


def test_a_refusal_does_not_show_the_token(vendor: Vendor, job: tuple[str, dict[str, str]]) -> None:
    vendor.status = 403

    with pytest.raises(PullRequestError, match="refuses the comment: it answered with status 403") as caught:
        put_comment(pull_request_of(job[1]), MARK, MARK)

    assert TOKEN not in str(caught.value)


def test_a_job_without_a_token_has_no_headers(job: tuple[str, dict[str, str]]) -> None:
    environment = {name: value for name, value in job[1].items() if value != TOKEN}

    pull_request = pull_request_of(environment)

    assert not pull_request.headers
    assert re.search("GITHUB_TOKEN|COMMENT_TOKEN|SYSTEM_ACCESSTOKEN", pull_request.token)


def test_a_run_for_something_else_is_said(job: tuple[str, dict[str, str]]) -> None:
    first = next(iter(job[1]))

    with pytest.raises(PullRequestError, match="runs for no pull request: there is no"):
        pull_request_of({first: "1"})
    with pytest.raises(PullRequestError, match="this is no pipeline of"):
        pull_request_of({})
