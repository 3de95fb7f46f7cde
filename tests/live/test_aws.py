"""The AWS side, with the real AWS CLI against a server that keeps buckets, repositories and stacks."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_runtime.dashboard import samples_in
from tests.conftest import Bakery, share_environment
from tests.live.aws_calls import allowed_by, calls_of
from tests.live.workbench import Workbench, one_error_line
from tests.test_client import served

pytestmark = pytest.mark.engine

BUCKET = "oncology-123456789012"
PROVIDER = "token.actions.githubusercontent.com"
SUBJECT = "repo:acme/oncology:*"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
SETTINGS = {"OIDC_PROVIDER": PROVIDER, "OIDC_SUBJECT": SUBJECT, "KMS_KEY": KEY, "LOG_BUCKET": "logs"}
"""Of the stack."""
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": "sha256:0"},
        "layers": [],
    }
)
"""Of an image without layers."""


ADMINISTRATOR = {"AWS_ACCESS_KEY_ID": "administrator"}
"""Tells the calls of these tests, and those that make the stack, from the calls of deliveries."""

CALLS_OF_ENGINES = {
    "ecr:BatchCheckLayerAvailability", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
}  # fmt: skip
"""What ECR asks for when an engine pushes or pulls, which happens past the API that these tests have."""


def aws(workbench: Workbench, *arguments: str) -> str:
    """Return what the project's AWS CLI prints for an administrator."""
    settings = ADMINISTRATOR | {"AWS_DEFAULT_REGION": "eu-central-1", "PATH": "/usr/bin:/bin"}
    environment = workbench.environment | settings
    command = [*workbench.aws, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def administrator(workbench: Workbench) -> Workbench:
    """Return the same folder for commands that need the rights of an administrator."""
    return replace(workbench, environment=workbench.environment | ADMINISTRATOR)


@pytest.fixture(scope="module")
def stack(workbench: Workbench) -> None:
    workbench.commit("A version to upload")
    result = administrator(workbench).make("infrastructure", **SETTINGS)
    assert result.returncode == 0, result.stderr


@pytest.mark.usefixtures("stack")
def test_the_stack_has_the_bucket_and_immutable_repositories(workbench: Workbench) -> None:
    repositories = json.loads(aws(workbench, "ecr", "describe-repositories"))["repositories"]

    assert {one["repositoryName"] for one in repositories} == {"oncology/webservice", "oncology/trainer"}
    assert {one["imageTagMutability"] for one in repositories} == {"IMMUTABLE"}
    assert BUCKET in aws(workbench, "s3", "ls")


@pytest.mark.usefixtures("stack")
def test_the_stack_gets_the_settings_of_the_project(workbench: Workbench) -> None:
    # The server encrypts the bucket with the key; tests/test_account.py has what else the template makes of them
    encryption = json.loads(aws(workbench, "s3api", "get-bucket-encryption", "--bucket", BUCKET))
    (rule,) = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    (stack,) = json.loads(aws(workbench, "cloudformation", "describe-stacks", "--stack-name", "oncology"))["Stacks"]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    assert (parameters["KmsKey"], parameters["LogBucket"]) == (KEY, "logs")


@pytest.mark.usefixtures("stack")
def test_the_difference_to_the_stack_is_shown(workbench: Workbench) -> None:
    # Given a template with another repository
    template = workbench.folder / "infrastructure/stack.yaml"
    text = template.read_text()
    template.write_text(text.replace("Resources:\n", "Resources:\n  Other: {Type: AWS::ECR::Repository}\n\n", 1))

    # When its difference is shown
    result = administrator(workbench).make("infrastructure.diff", **SETTINGS)
    template.write_text(text)

    # Then it is a line
    assert (result.returncode, result.stdout) == (0, "add  Other  AWS::ECR::Repository\n")


@pytest.mark.usefixtures("stack")
def test_upload_monitoring_keeps_each_version_and_the_latest(workbench: Workbench) -> None:
    version = workbench.version()

    result = workbench.make("upload.monitoring")

    assert result.returncode == 0, result.stdout + result.stderr
    listing = aws(workbench, "s3", "ls", "--recursive", f"s3://{BUCKET}")
    for component, kind in (
        ("trainer", "metrics"),
        ("trainer", "unittest-coverage"),
        ("webservice", "unittest-coverage"),
        ("model", "test-coverage"),
    ):
        assert f"{component}/{kind}/{kind}-{version}.json" in listing
        assert f"{component}/{kind}/latest.json" in listing
    assert f"trainer/rows/rows-{version}.csv" in listing
    assert "trainer/quicksight.json" in listing
    coverage = json.loads(aws(workbench, "s3", "cp", f"s3://{BUCKET}/trainer/unittest-coverage/latest.json", "-"))
    assert all(name.startswith("src/trainer/") for name in coverage["files"])


@pytest.mark.usefixtures("stack")
def test_samples_of_drift_go_to_s3_and_come_back(
    workbench: Workbench, bakery: Bakery, project: Path, tmp_path: Path
) -> None:
    # Given a service, and a project with a dashboard
    assert workbench.make("train").returncode == 0
    folder = share_environment(bakery.copy(tmp_path, dashboard="streamlit"), project)
    with_dashboard = replace(workbench, folder=folder)

    # When its drift is uploaded twice, and downloaded
    with served(workbench.folder, tmp_path) as url:
        results = [with_dashboard.make("upload.drift", SERVICE_URL=url) for _ in range(2)]
    results.append(with_dashboard.make("download.drift"))

    # Then the dashboard has both samples
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 3
    first, second = samples_in(folder / "build/drift")
    assert first.time < second.time
    assert first.records == 0


@pytest.mark.usefixtures("stack")
def test_upload_model_uploads_both_wheels_and_the_report(workbench: Workbench) -> None:
    result = workbench.make("upload.model")

    assert result.returncode == 0, result.stdout + result.stderr
    listing = aws(workbench, "s3", "ls", "--recursive", f"s3://{BUCKET}/model/")
    assert "model/oncology_model-" in listing
    assert "model/mlops_runtime-" in listing
    assert listing.count(".whl") == 2
    assert f"model/{workbench.version()}/report.html" in listing


@pytest.mark.usefixtures("stack")
def test_publish_pushes_once_and_keeps_the_digests(workbench: Workbench, registry: str) -> None:
    first = workbench.make("publish")
    assert first.returncode == 0, first.stdout + first.stderr
    digests = {name: (workbench.folder / f"build/{name}.image").read_text() for name in ("webservice", "trainer")}
    for name, digest in digests.items():
        assert digest.startswith(f"{registry}/oncology/{name}@sha256:")

    # When the digests are forgotten, as on another machine, and the same version is published again
    for name in digests:
        (workbench.folder / f"build/{name}.image").unlink()
    second = workbench.make("publish")

    # Then what the registry has is taken as it is
    assert second.returncode == 0, second.stdout + second.stderr
    assert second.stdout.count("was published before") == 2
    assert {name: (workbench.folder / f"build/{name}.image").read_text() for name in digests} == digests


@pytest.mark.usefixtures("stack")
def test_what_a_published_image_holds_is_in_the_bucket(workbench: Workbench) -> None:
    result = workbench.make("upload.sbom")

    assert result.returncode == 0, result.stdout + result.stderr
    version = workbench.version()
    for component in ("webservice", "trainer"):
        bill = json.loads(aws(workbench, "s3", "cp", f"s3://{BUCKET}/{component}/sbom/sbom-{version}.json", "-"))
        assert "flask" in {each["name"] for each in bill["components"]}


def test_a_cluster_is_a_stack_of_its_own(workbench: Workbench) -> None:
    # When a cluster is made, then its stack is there
    made = administrator(workbench).make("cluster", CLUSTER="shared")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "add  Cluster" in made.stdout
    stacks = aws(workbench, "cloudformation", "describe-stacks", "--stack-name", "shared-cluster")
    assert json.loads(stacks)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"

    # When it is removed, without the route tables, which this server leaves in the network, unlike CloudFormation
    of_subnets = ("--filters", "Name=association.main,Values=false")
    for table in json.loads(aws(workbench, "ec2", "describe-route-tables", *of_subnets))["RouteTables"]:
        for association in table["Associations"]:
            named = ("--association-id", association["RouteTableAssociationId"])
            aws(workbench, "ec2", "disassociate-route-table", *named)
        aws(workbench, "ec2", "delete-route-table", "--route-table-id", table["RouteTableId"])
    removed = administrator(workbench).make("cluster.destroy", CLUSTER="shared", CONFIRM="shared")

    # Then it is gone
    assert removed.returncode == 0, removed.stdout + removed.stderr
    with pytest.raises(subprocess.CalledProcessError):
        aws(workbench, "cloudformation", "describe-stacks", "--stack-name", "shared-cluster")


def test_the_registry_is_the_one_that_aws_names(workbench: Workbench) -> None:
    # Given no registry of our own choosing
    environment = {name: value for name, value in workbench.environment.items() if name != "MLOPS_REGISTRY"}

    # When a login is tried, then it goes to this account's registry, which no test can reach
    result = Workbench(workbench.folder, environment).make("login")
    assert result.returncode != 0
    assert "cannot log in to 123456789012.dkr.ecr.eu-central-1.amazonaws.com" in one_error_line(result)


def test_kubeconfig_points_kubectl_at_the_cluster(workbench: Workbench) -> None:
    aws(
        workbench, "eks", "create-cluster", "--name", "oncology",
        "--role-arn", "arn:aws:iam::123456789012:role/cluster", "--resources-vpc-config", "subnetIds=a,b",
    )  # fmt: skip
    config = str(workbench.folder / "build/kubeconfig")
    bench = Workbench(workbench.folder, workbench.environment | {"KUBECONFIG": config})

    assert bench.make("kubeconfig").returncode == 0
    assert bench.make("context", CLUSTER="oncology").returncode == 0
    assert bench.make("context", CLUSTER="oncology", AWS_REGION="us-east-1").returncode != 0


def test_without_credentials_nothing_is_uploaded(workbench: Workbench) -> None:
    environment = {
        name: value for name, value in workbench.environment.items() if "KEY" not in name and name != "MLOPS_REGISTRY"
    }

    result = Workbench(workbench.folder, environment).make("upload.model")

    assert result.returncode != 0
    assert "AWS does not know who you are" in one_error_line(result)


@pytest.mark.parametrize(("kind", "component"), [("verified", "webservice"), ("scheduled", "trainer")])
@pytest.mark.usefixtures("stack")
def test_an_image_that_runs_is_tagged_on_ecr(workbench: Workbench, kind: str, component: str) -> None:
    # Given a version on ECR
    repository = ("--repository-name", f"oncology/{component}")
    put = ("ecr", "put-image", *repository, "--image-tag", "1.0", "--image-manifest", MANIFEST)
    digest = json.loads(aws(workbench, *put))["image"]["imageId"]["imageDigest"]
    host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    image = workbench.folder / f"build/{component}.image"
    image.parent.mkdir(exist_ok=True)
    image.write_text(f"{host}/oncology/{component}@{digest}\n")

    # When a deploy has verified it, or a CronJob trains with it, twice
    mark = f"--eval=mark: ; $(call keep_images,{kind},{component})"
    results = [workbench.make(mark, "mark", "VERSION=1.0", "LOGIN=ecr") for _ in range(2)]
    image.unlink()

    # Then it has a second tag
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    images = json.loads(aws(workbench, "ecr", "list-images", *repository))["imageIds"]
    assert {(image["imageTag"], image["imageDigest"]) for image in images} == {
        ("1.0", digest), (f"{kind}-production-1.0", digest),
    }  # fmt: skip


@pytest.mark.usefixtures("stack")
def test_a_pipeline_gets_its_role_for_its_token_alone(workbench: Workbench) -> None:
    role = json.loads(aws(workbench, "iam", "get-role", "--role-name", "oncology-pipeline"))["Role"]

    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{PROVIDER}"}
    assert statement["Condition"] == {
        "StringEquals": {f"{PROVIDER}:aud": "sts.amazonaws.com"},
        "StringLike": {f"{PROVIDER}:sub": SUBJECT},
    }


@pytest.mark.usefixtures("stack")
def test_the_policy_allows_what_deliveries_call_and_nothing_else(
    workbench: Workbench, bakery: Bakery, project: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # Given the calls of the tests above, and those for data, for a champion, and for a model that was trained elsewhere
    folder = share_environment(bakery.copy(tmp_path), project)
    (folder / "held-out.json").write_text("{}")
    champion = (
        "import sys; from pathlib import Path; from mlops_runtime.operations.champion import keep, fetch;"
        "keep(sys.argv[1], 'staging', 'a', Path('held-out.json')); fetch(sys.argv[1], 'staging', 'a')"
    )
    for command in (
        ("data.push",),
        ("data.pull",),
        ("report.trend",),
        (f'--eval=champion: ; @PYTHONPATH=vendor $(PYTHON) -c "{champion}" "{BUCKET}"', "champion"),
        ("--eval=elsewhere: ; @$(call get_files,trainer/,build/elsewhere/)", "elsewhere", f"BUCKET={BUCKET}"),
    ):
        for record in (folder / "data").glob("*.sha256"):
            record.with_suffix("").unlink(missing_ok=True)
        result = replace(workbench, folder=folder).make(*command)
        assert result.returncode == 0, result.stderr
    calls = calls_of(workbench.environment["AWS_ENDPOINT_URL"], workbench.environment["AWS_ACCESS_KEY_ID"])

    # When they are compared with what the policy allows
    policy = "arn:aws:iam::123456789012:policy/oncology-delivery"
    version = json.loads(aws(workbench, "iam", "get-policy-version", "--policy-arn", policy, "--version-id", "v1"))
    allowed = set(allowed_by(version["PolicyVersion"]["Document"]))
    missing = {call for call in calls if not any(each.allows(call) for each in allowed)}
    unused = {each for each in allowed if not any(each.allows(call) for call in calls)}

    # Then no right is missing, and none is there without a call, if all of this file was run
    assert missing == set()
    selected = {item.name for item in request.session.items if item.path == request.path}
    if selected >= {name for name in globals() if name.startswith("test_")}:
        # No dashboard's coverage is uploaded here.
        unused -= {each for each in unused if each.resource.endswith("/dashboard/*")}
        assert {each for each in unused if each.action not in CALLS_OF_ENGINES} == set()


@pytest.mark.usefixtures("stack")
def test_the_stack_goes_with_its_images_but_without_its_bucket(workbench: Workbench) -> None:
    # Given roles without the policy of the key, which this server does not take from them, as CloudFormation does
    for role in ("oncology-trainer", "oncology-pipeline"):
        policy = ("--policy-arn", "arn:aws:iam::123456789012:policy/oncology-key")
        aws(workbench, "iam", "detach-role-policy", "--role-name", role, *policy)

    # When the stack is removed
    result = administrator(workbench).make("infrastructure.destroy", CONFIRM="oncology")

    # Then repositories and roles go, and the bucket stays
    assert result.returncode == 0, result.stderr
    assert f"kept: the bucket {BUCKET}" in result.stdout
    assert BUCKET in aws(workbench, "s3", "ls")
    assert json.loads(aws(workbench, "ecr", "describe-repositories"))["repositories"] == []
