"""The servers: packages, command, protocol and features of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from environments import MODEL_PACKAGES
from protocols import Protocol, data_frame, output_strings, probability_rows, tensor_of_strings

SERVICE, FLOOR, CONSTANT = "service", "floor", "constant"
IN_TURNS = (SERVICE, FLOOR, "flask", "fastapi")
"""Servers with similar rates, which are also compared under alternating load."""
GRANIAN = ("granian", "--interface", "wsgi", "--workers", "1", "--blocking-threads", "1", "--host", "127.0.0.1")

CONTRACT = Protocol(record_path="/v1/predictions", records_path="/v1/predictions")
PREDICT = Protocol(record_path="/predict", records_path="/predict")
PLAIN = Protocol(record_path="/predictions", records_path="/predictions")
FRAME = Protocol(
    record_path="/invocations",
    records_path="/invocations",
    wrap_record=lambda record: data_frame([record]),
    wrap_records=data_frame,
    unwrap=probability_rows,
)
INFERENCE = Protocol(
    record_path="/v2/models/classifier/infer",
    records_path="/v2/models/classifier/infer",
    wrap_record=lambda record: tensor_of_strings([record]),
    wrap_records=tensor_of_strings,
    unwrap=output_strings,
)


def bento(suffix: str) -> Protocol:
    """Return the protocol of BentoML, whose JSON has the name of the parameter of the method."""
    return Protocol(
        record_path=f"/predict_record{suffix}",
        records_path=f"/predict_records{suffix}",
        wrap_record=lambda record: {"record": record},
        wrap_records=lambda records: {"records": records},
    )


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to use a server; the fastest variant is measured.

    Attributes:
        protocol: protocol of the requests.
        environment: environment variables.
        arguments: additional arguments of the command.
    """

    protocol: Protocol
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server to measure.

    Attributes:
        name: short name for --only.
        title: name in the tables.
        home: name of its environment.
        packages: packages of the environment; by default the locked packages of the project for serving.
        shown: packages whose versions are on the page.
        command: program and arguments, with PORT and WORK for the port and the working folder.
        variants: variants by name.
        environment: environment variables.
        does: description of its features.
    """

    name: str
    title: str
    home: str
    packages: tuple[str, ...] = ()
    shown: tuple[str, ...]
    command: tuple[str, ...]
    variants: Mapping[str, Variant]
    environment: Mapping[str, str] = field(default_factory=dict)
    does: str


MLFLOW = ("models", "serve", "--env-manager", "local", "--host", "127.0.0.1", "--port", "PORT", "--model-uri")
NO_REPORTS = dict.fromkeys(("DO_NOT_TRACK", "BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"), "true")
"""Variables that disable usage reports of servers."""

SERVERS = (
    Server(
        name=SERVICE,
        title="this service",
        home=SERVICE,
        shown=("granian", "flask", "pydantic", "onnxruntime", "numpy"),
        command=("python", "-m", "webservice"),
        variants={"": Variant(CONTRACT)},
        environment={"HOST": "127.0.0.1", "PORT": "PORT"},
        does="`python -m webservice` with its defaults: validation, limits, request id, a log line for each request, "
        "security headers, problem details",
    ),
    Server(
        name=FLOOR,
        title="raw WSGI with the model (floor)",
        home=SERVICE,
        shown=("granian",),
        command=(*GRANIAN, "--port", "PORT", "raw:app"),
        variants={"": Variant(PLAIN)},
        does="validation, prediction and JSON by the same code on granian, and nothing else; an invalid record is "
        "a 500",
    ),
    Server(
        name=CONSTANT,
        title="raw WSGI without a model (constant)",
        home=SERVICE,
        shown=("granian",),
        command=(*GRANIAN, "--port", "PORT", "constant:app"),
        variants={"": Variant(Protocol(record_path="/", records_path="/", constant=True))},
        does="the same bytes for every request on granian; its rows per second are not parsed",
    ),
    Server(
        name="flask",
        title="plain Flask on granian",
        home=SERVICE,
        shown=("flask", "granian"),
        command=(*GRANIAN, "--port", "PORT", "plain_flask:app"),
        variants={"": Variant(PLAIN)},
        does="validation with the same classes, 422 for an invalid record; no log",
    ),
    Server(
        name="fastapi",
        title="FastAPI on uvicorn",
        home="fastapi",
        packages=(*MODEL_PACKAGES, "fastapi", "uvicorn[standard]"),
        shown=("fastapi", "uvicorn", "uvloop", "httptools"),
        command=("uvicorn", "--host", "127.0.0.1", "--port", "PORT", "--loop", "uvloop", "--http", "httptools",
                 "--no-access-log", "fast:app"),
        variants={
            "`def`": Variant(Protocol(record_path="/threaded/record", records_path="/threaded/records")),
            "`async def`": Variant(Protocol(record_path="/async/record", records_path="/async/records")),
        },
        does="validation with the same classes, 422 for an invalid record; its access log is off",
    ),
    Server(
        name="litserve",
        title="LitServe",
        home="litserve",
        packages=(*MODEL_PACKAGES, "litserve"),
        shown=("litserve", "fastapi", "uvicorn"),
        command=("python", "WORK/apps/lit.py", "PORT"),
        variants={
            "the default queue": Variant(PREDICT, arguments=("default",)),
            "`fast_queue`": Variant(PREDICT, arguments=("fast",)),
        },
        does="validation with the same classes in its worker; an invalid record is a 500",
    ),
    Server(
        name="bentoml",
        title="BentoML",
        home="bentoml",
        packages=(*MODEL_PACKAGES, "bentoml"),
        shown=("bentoml", "uvicorn"),
        command=("bentoml", "serve", "bento:Predictions", "--host", "127.0.0.1", "--port", "PORT", "--quiet",
                 "--working-dir", "WORK/apps"),
        variants={"`def`": Variant(bento("")), "`async def`": Variant(bento("_at_once"))},
        does="validation with the same classes, metrics; 400 for an invalid record; `--quiet`",
    ),
    Server(
        name="mlserver",
        title="MLServer",
        home="mlserver",
        # With uvloop 0.22 and later its worker process fails: "no current event loop".
        packages=(*MODEL_PACKAGES, "mlserver", "uvloop<0.22"),
        shown=("mlserver", "fastapi", "uvicorn", "uvloop"),
        command=("mlserver", "start", "WORK/repository"),
        variants={
            "`parallel_workers` 1": Variant(INFERENCE, {"MLSERVER_PARALLEL_WORKERS": "1"}),
            "`parallel_workers` 0": Variant(INFERENCE, {"MLSERVER_PARALLEL_WORKERS": "0"}),
        },
        environment={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "PORT",
            "MLSERVER_GRPC_PORT": "SECOND_PORT",
            "MLSERVER_METRICS_PORT": "THIRD_PORT",
            "MLSERVER_DEBUG": "false",
        },
        does="the inference protocol with records as JSON strings, validated with the same classes in a custom "
        "runtime; metrics; its gRPC and metrics ports are open",
    ),
    Server(
        name="mlflow-sklearn",
        title="mlflow, scikit-learn flavour",
        home="mlflow-sklearn",
        packages=("mlflow", "scikit-learn"),
        shown=("mlflow", "scikit-learn", "uvicorn"),
        command=("mlflow", *MLFLOW, "WORK/models/sklearn"),
        variants={"": Variant(FRAME)},
        does="the estimator itself behind mlflow's own check of columns and types; no ranges; probabilities without "
        "the label",
    ),
    Server(
        name="mlflow-onnx",
        title="mlflow, ONNX flavour",
        home="mlflow-onnx",
        packages=("mlflow", "onnx", "onnxruntime", "numpy"),
        shown=("mlflow", "onnxruntime", "uvicorn"),
        command=("mlflow", *MLFLOW, "WORK/models/onnx"),
        variants={"": Variant(FRAME)},
        does="the same ONNX model behind mlflow's own check of columns and types; no ranges; probabilities without "
        "the label",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """A server with other settings; without other settings, it is the server of the comparison."""

    name: str
    title: str
    server: str
    environment: Mapping[str, str] = field(default_factory=dict)


SETTINGS = (
    Setting("threads-1", "`THREADS=1`, the default", SERVICE),
    Setting("threads-2", "`THREADS=2`", SERVICE, {"THREADS": "2"}),
    Setting("threads-4", "`THREADS=4`", SERVICE, {"THREADS": "4"}),
    Setting("threads-8", "`THREADS=8`", SERVICE, {"THREADS": "8"}),
    Setting("workers-1", "`WORKERS=1`, the default", SERVICE),
    Setting("workers-2", "`WORKERS=2`", SERVICE, {"WORKERS": "2"}),
    Setting("intra-op-1", "intra-op threads 1, on the floor", FLOOR),
    Setting("intra-op-2", "intra-op threads 2, on the floor", FLOOR, {"INTRA_OP": "2"}),
)
