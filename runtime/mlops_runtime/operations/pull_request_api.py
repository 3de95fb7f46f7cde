"""The pull request that a pipeline runs for, on GitHub, GitLab, Bitbucket or Azure DevOps, and the comment on it.

What each vendor says of it in the environment of a job, and where its API has the comments, is in its documentation:
GitHub REST API (issue comments), GitLab REST API (notes of merge requests), Bitbucket Cloud REST API (comments of pull
requests), Azure DevOps REST API 7.1 (threads of pull requests).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

TIMEOUT = 30.0
"""Seconds without an answer."""
BITBUCKET = "https://api.bitbucket.org/2.0"
"""Address of the API, which no variable of a job has."""

Object = dict[str, Any]


class PullRequestError(RuntimeError):
    """There is no pull request, or its comments cannot be read or written."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request, and how its vendor speaks of comments.

    Attributes:
        target: branch that it is for.
        commit: name of that branch's commit in the clone.
        comments: address of its comments.
        query: of a list of the comments.
        headers: that give the right to write; empty without a token.
        token: where the token comes from.
        comment: returns what is sent for a text.
        listed: returns identity and text of each comment in a list.
        change: returns method, path below `comments`, and what is sent to replace the text of a comment.
    """

    target: str
    commit: str
    comments: str
    query: str
    headers: Mapping[str, str]
    token: str
    comment: Callable[[str], Object]
    listed: Callable[[Any], Iterable[tuple[object, str]]]
    change: Callable[[object, str], tuple[str, str, Object]]


def pull_request_of(environment: Mapping[str, str]) -> PullRequest:
    """Return the pull request that a pipeline runs for.

    Raises:
        PullRequestError: if the environment is that of no pipeline, or of one that runs for something else.
    """
    vendors = {
        "GITHUB_ACTIONS": _of_github,
        "GITLAB_CI": _of_gitlab,
        "BITBUCKET_BUILD_NUMBER": _of_bitbucket,
        "TF_BUILD": _of_azure_devops,
    }
    for name, make in vendors.items():
        if environment.get(name):
            try:
                return make(environment)
            except KeyError as error:
                raise PullRequestError(f"this pipeline runs for no pull request: there is no {error}") from error
    raise PullRequestError("this is no pipeline of GitHub, GitLab, Bitbucket or Azure DevOps")


def _of_github(environment: Mapping[str, str]) -> PullRequest:
    number = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))["pull_request"]["number"]
    repository, token = f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}", "GITHUB_TOKEN"
    return PullRequest(
        target=environment["GITHUB_BASE_REF"],
        commit=f"origin/{environment['GITHUB_BASE_REF']}",
        comments=f"{repository}/issues/{number}/comments",
        query="per_page=100",
        headers=_bearer(environment.get(token)),
        token=f"{token} in the environment of the step",
        comment=lambda text: {"body": text},
        listed=lambda answer: ((each["id"], each["body"]) for each in answer),
        change=lambda identity, text: ("PATCH", f"{repository}/issues/comments/{identity}", {"body": text}),
    )


def _of_gitlab(environment: Mapping[str, str]) -> PullRequest:
    project = f"{environment['CI_API_V4_URL']}/projects/{environment['CI_PROJECT_ID']}"
    notes = f"{project}/merge_requests/{environment['CI_MERGE_REQUEST_IID']}/notes"
    token = environment.get("COMMENT_TOKEN")
    return PullRequest(
        target=environment["CI_MERGE_REQUEST_TARGET_BRANCH_NAME"],
        commit=environment["CI_MERGE_REQUEST_DIFF_BASE_SHA"],
        comments=notes,
        query="per_page=100&sort=asc",
        headers={"PRIVATE-TOKEN": token} if token else {},
        token="the variable COMMENT_TOKEN, an access token of the project with the scope api",  # noqa: S106 - its name
        comment=lambda text: {"body": text},
        listed=lambda answer: ((each["id"], each["body"]) for each in answer),
        change=lambda identity, text: ("PUT", f"{notes}/{identity}", {"body": text}),
    )


def _of_bitbucket(environment: Mapping[str, str]) -> PullRequest:
    repository = f"{BITBUCKET}/repositories/{environment['BITBUCKET_REPO_FULL_NAME']}"
    comments = f"{repository}/pullrequests/{environment['BITBUCKET_PR_ID']}/comments"
    return PullRequest(
        target=environment["BITBUCKET_PR_DESTINATION_BRANCH"],
        commit=environment["BITBUCKET_PR_DESTINATION_COMMIT"],
        comments=comments,
        query="pagelen=100",
        headers=_bearer(environment.get("COMMENT_TOKEN")),
        token="the variable COMMENT_TOKEN, an access token of the repository that may write pull requests",  # noqa: S106
        comment=lambda text: {"content": {"raw": text}},
        listed=lambda answer: ((each["id"], each["content"]["raw"]) for each in answer["values"]),
        change=lambda identity, text: ("PUT", f"{comments}/{identity}", {"content": {"raw": text}}),
    )


def _of_azure_devops(environment: Mapping[str, str]) -> PullRequest:
    project = f"{environment['SYSTEM_COLLECTIONURI'].rstrip('/')}/{quote(environment['SYSTEM_TEAMPROJECT'])}"
    number = environment["SYSTEM_PULLREQUEST_PULLREQUESTID"]
    threads = f"{project}/_apis/git/repositories/{environment['BUILD_REPOSITORY_ID']}/pullRequests/{number}/threads"
    target = environment["SYSTEM_PULLREQUEST_TARGETBRANCH"].removeprefix("refs/heads/")
    version, kind_of_text, closed = "api-version=7.1", 1, 4
    return PullRequest(
        target=target,
        commit=f"origin/{target}",
        comments=threads,
        query=version,
        headers=_bearer(environment.get("SYSTEM_ACCESSTOKEN")),
        token="SYSTEM_ACCESSTOKEN in the environment of the step",  # noqa: S106 - where it comes from
        comment=lambda text: {"comments": [{"content": text, "commentType": kind_of_text}], "status": closed},
        # A thread of the system has no comment with a text.
        listed=lambda answer: (
            (each["id"], each["comments"][0].get("content", "")) for each in answer["value"] if each["comments"]
        ),
        change=lambda identity, text: ("PATCH", f"{threads}/{identity}/comments/1?{version}", {"content": text}),
    )


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def put_comment(pull_request: PullRequest, text: str, mark: str) -> None:
    """Write a comment, or replace that which an earlier run has written.

    Args:
        pull_request: to write it on.
        text: in Markdown; it begins with the mark.
        mark: by which the comment is found again.

    Raises:
        PullRequestError: if the vendor refuses that, or cannot be reached. The message does not have the token.
    """
    first = f"{pull_request.comments}?{pull_request.query}"
    found = pull_request.listed(_answer(pull_request, "GET", first))
    written = next((identity for identity, content in found if content.startswith(mark)), None)
    if written is None:
        _answer(pull_request, "POST", first, pull_request.comment(text))
    else:
        _answer(pull_request, *pull_request.change(written, text))


def _answer(pull_request: PullRequest, method: str, url: str, content: Object | None = None) -> Any:
    host = urlsplit(url).hostname
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "mlops-runtime"}
    body = None if content is None else json.dumps(content).encode()
    request = Request(url, body, headers, method=method)  # noqa: S310 - the address is that of the vendor
    for name, value in pull_request.headers.items():
        # Another host, to which an answer may redirect, does not get it.
        request.add_unredirected_header(name, value)
    try:
        with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            return json.load(response)
    except HTTPError as error:
        with error:
            raise PullRequestError(f"{host} refuses the comment: it answered with status {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise PullRequestError(f"{host} does not take the comment: {getattr(error, 'reason', '') or error}") from error
