"""Tag the images of a release that was verified: the lifecycle of their repositories on ECR keeps what has such a tag.

ECR knows no other sign of what runs. The tag is verified-ENVIRONMENT-VERSION; images elsewhere than on ECR get none.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlops_runtime.operations.aws_cli import AwsCli, AwsError

IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"/(?P<repository>[^@:]+)@(?P<digest>sha256:[0-9a-f]{64})"
)
"""An image on ECR, by digest."""


def tag_of(environment: Mapping[str, str]) -> str:
    """Return the tag of what this version has verified in this environment of the project."""
    return f"verified-{environment['ENVIRONMENT']}-{environment['VERSION']}"


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
        raise AwsError(f"{image} is not there any more")
    there = answer["images"][0]
    # A manifest of the Open Container Initiative need not name its own type.
    kind = ("--image-manifest-media-type", there["imageManifestMediaType"]) if "imageManifestMediaType" in there else ()
    put = ("ecr", "put-image", *where, "--image-tag", tag, "--image-digest", found["digest"], *kind)
    try:
        aws.run(*put, "--image-manifest", there["imageManifest"])
    except AwsError as error:
        # It was tagged by an earlier deploy of the same version.
        if error.code != "ImageAlreadyExistsException":
            raise
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Tag the images of the components that are given; return the exit status."""
    components = sys.argv[1:] if argv is None else argv
    aws, tag = AwsCli(os.environ), tag_of(os.environ)
    for component in components:
        try:
            keep(aws, Path(f"build/{component}.image").read_text(encoding="utf-8").strip(), tag)
        except (AwsError, OSError) as error:
            print(
                f"{os.environ['VERSION']} runs, but the image of the {component} could not be tagged {tag}, and expires"
                f" without that: {error}; run make deploy again",
                file=sys.stderr,
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
