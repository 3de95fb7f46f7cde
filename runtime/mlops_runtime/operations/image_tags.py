"""Tag images that run, or may run again: the lifecycle of their repositories on ECR keeps what has such a tag.

`python -m mlops_runtime.operations.image_tags KIND COMPONENT…` tags build/COMPONENT.image KIND-ENVIRONMENT-VERSION. ECR
knows no other sign of what runs on a cluster. Images elsewhere than on ECR get no tag.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlops_runtime.operations.aws_cli import AwsCli, AwsError

CONSEQUENCES = {"verified": "what was deployed stays", "scheduled": "nothing was scheduled"}
"""What follows if an image gets no tag, by the kind of the tag."""

IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"/(?P<repository>[^@:]+)@(?P<digest>sha256:[0-9a-f]{64})"
)
"""An image on ECR, by digest."""


def tag_of(kind: str, environment: Mapping[str, str]) -> str:
    """Return the tag of a kind for this version in this environment of the project."""
    return f"{kind}-{environment['ENVIRONMENT']}-{environment['VERSION']}"


def keep(aws: AwsCli, image: str, tag: str) -> bool:
    """Tag an image by digest; return whether it is on ECR.

    Raises:
        AwsError: if ECR does not do it.
    """
    found = IMAGE.fullmatch(image)
    if found is None:
        return False
    where = ("--region", found["region"], "--registry-id", found["account"], "--repository-name", found["repository"])
    answer = aws.run("ecr", "batch-get-image", *where, "--image-ids", f"imageDigest={found['digest']}")
    if not answer["images"]:
        raise AwsError(f"{image} is not there any more: remove build/*.image, and it is pushed again")
    there = answer["images"][0]
    # A manifest of the Open Container Initiative need not name its own type.
    kind = ("--image-manifest-media-type", there["imageManifestMediaType"]) if "imageManifestMediaType" in there else ()
    put = ("ecr", "put-image", *where, "--image-tag", tag, "--image-digest", found["digest"], *kind)
    try:
        aws.run(*put, "--image-manifest", there["imageManifest"])
    except AwsError as error:
        # The same version was deployed or scheduled before: the image has the tag, which cannot move.
        if error.code != "ImageAlreadyExistsException":
            raise
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Tag the images of the components that are given; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.image_tags", description=__doc__)
    parser.add_argument("kind", choices=sorted(CONSEQUENCES))
    parser.add_argument("components", nargs="+")
    arguments = parser.parse_args(argv)
    aws, tag = AwsCli(os.environ), tag_of(arguments.kind, os.environ)
    for component in arguments.components:
        try:
            keep(aws, Path(f"build/{component}.image").read_text(encoding="utf-8").strip(), tag)
        except (AwsError, OSError) as error:
            print(
                f"the image of the {component} was not tagged {tag}, without which ECR removes it some day: {error};"
                f" {CONSEQUENCES[arguments.kind]}, run the command again",
                file=sys.stderr,
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
