# The answers and settings of this project, each in one place. Everything else reads them from
# here; override one for a single command with `make COMMAND NAME=value`, or edit it.

# What it is
PROJECT ?= {{cookiecutter.project_slug}}
PACKAGE ?= {{cookiecutter.__package}}_model
TITLE ?= {{cookiecutter.project_name}}
DESCRIPTION ?= {{cookiecutter.description}}
AUTHOR ?= {{cookiecutter.author}}
TEAM ?= {{cookiecutter.team}}

# Data and training
DATA ?= data/breast_cancer_wisconsin.csv
SEED ?= 0
TEST_SHARE ?= 0.25
# The gate: a model below one of these on the held-out rows is not exported.
FLOORS ?= accuracy=0.93 recall=0.90 roc_auc=0.98
# Branch coverage, in percent, below which `unittest` fails.
MIN_COVERAGE ?= 90

# Serving on this machine
HOST ?= 127.0.0.1
PORT ?= 8000

# Images. DOCKER may be podman.
DOCKER ?= docker
DOCKER_BUILD_FLAGS ?=
PYTHON_IMAGE ?= python:3.11-slim-bookworm

# AWS. Account, registry and bucket are looked up when a command needs them; see make/aws.mk.
AWS_REGION ?= {{cookiecutter.aws_region}}
STACK ?= $(PROJECT)

# Kubernetes
CLUSTER ?= $(PROJECT)
NAMESPACE ?= $(PROJECT)
ENVIRONMENT ?= production
ROLLOUT_TIMEOUT ?= 180s
