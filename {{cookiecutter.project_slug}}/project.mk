# Every setting of this project. Edit one here, or set it for a single command: `make COMMAND NAME=value`. A pipeline
# sets MLOPS_NAME in the environment; NAME without the prefix is not read there. A dollar sign is written as $$ here.

# Project
PROJECT ?= {{cookiecutter.project_slug}}
PACKAGE ?= {{cookiecutter.__package}}_model
TITLE ?= {{cookiecutter.project_name}}
DESCRIPTION ?= {{cookiecutter.description}}
AUTHOR ?= {{cookiecutter.__author}}
TEAM ?= {{cookiecutter.team}}

# Training
DATA ?= data/{{cookiecutter.__data}}
SEED ?= 0
# @KIND@
FLOORS ?= {{cookiecutter.__floors}}
# Share of the loss of the model that was deployed last by which a new model may be worse on the same held-out rows.
MARGIN ?= 0.02

# Tests: minimum of the branch coverage of the unit tests, in percent.
MIN_COVERAGE ?= 90
# Known vulnerabilities that `make audit` does not report, such as PYSEC-2023-62: without a fix, or of no concern here.
ACCEPTED_VULNERABILITIES ?=

# Service on this machine
HOST ?= 127.0.0.1
PORT ?= 8000

# Service on this machine and where it is deployed: `make deploy` applies a change.
# Processes. Where it is deployed, add replicas instead.
WORKERS ?= 1
# Requests that a process handles at the same time.
THREADS ?= 1
# debug, info, warning, error or critical
LOG_LEVEL ?= info
# Bytes of a request body. The predictions of a body must take less than HANG_TIMEOUT.
MAX_CONTENT_LENGTH ?= {{cookiecutter.__max_content_length}}
# Records of a request.
MAX_RECORDS ?= 1000
# Records of a request for explanations. Each takes up to 10,000 predictions, and all must take less than HANG_TIMEOUT.
MAX_EXPLANATIONS ?= 20
# Bytes of a table that is uploaded on the page.
MAX_TABLE_LENGTH ?= 2097152
# Large requests that are handled at the same time; further ones get status 503.
MAX_LARGE_REQUESTS ?= 3
# Seconds that requests wait; beyond that, new ones get status 503.
MAX_WAIT ?= 2
# Seconds in which the body of a request must arrive.
BODY_TIMEOUT ?= 15
# Seconds after which a process that does not respond is replaced.
HANG_TIMEOUT ?= 30
# Requests per second of one caller, in each process. 0: no limit.
RATE_LIMIT ?= 0
# Path under which a proxy publishes the service, such as /models/churn; the proxy may remove it or pass it on.
ROOT_PATH ?=
# Proxies in front whose X-Forwarded-For, -Proto, -Host and -Prefix are believed; each must set all four itself.
TRUSTED_PROXIES ?= 0
# Origins whose pages may call the service from a browser, such as https://app.example.org; * for all.
CORS_ORIGINS ?=

# Images. DOCKER may be podman.
DOCKER ?= docker
DOCKER_BUILD_FLAGS ?=
# yes: builds use the layers of the last image that was published. For an engine that keeps none, as in a pipeline.
LAYER_CACHE ?=
# Base of the images; `make base.update` adds the digest that the tag has, and later moves it.
PYTHON_IMAGE ?= docker.io/library/python:3.11-slim-bookworm
# Where images go, such as docker.io/ACCOUNT; docs/registries.md. Empty: to ECR in the account of AWS, on Azure to ACR.
REGISTRY ?=
# Who logs in. ecr: AWS. acr: the Azure CLI. token: `make login`, with a token from standard input. none: you, by `docker login`, or nobody.
# Empty: ecr for a registry of AWS, acr for one of Azure, none for another one.
LOGIN ?=
# Whose token it is. Empty: that of the ACCOUNT.
REGISTRY_USER ?=
# Command that signs each published image, and gets its digest, such as cosign sign --yes --key awskms:///alias/NAME.
SIGN ?=

# Package index to which `make upload.model` uploads by twine, such as https://nexus.example.org/repository/models/; its
# pages are at simple/ below. User and password: TWINE_USERNAME and TWINE_PASSWORD, or keyring. Empty: to the bucket.
MODEL_INDEX ?=
TWINE ?= twine

# @DASHBOARD@
# @PLATFORM@
