# The answers and settings of this project, each in one place. Everything else reads them from
# here; override one for a single command with `make COMMAND NAME=value`, or edit it.

# What it is
PROJECT ?= {{cookiecutter.project_slug}}
PACKAGE ?= {{cookiecutter.__package}}_model
TITLE ?= {{cookiecutter.project_name}}
DESCRIPTION ?= {{cookiecutter.description}}
AUTHOR ?= {{cookiecutter.__author}}
TEAM ?= {{cookiecutter.team}}

# Data and training
DATA ?= data/{{cookiecutter.__data}}
SEED ?= 0
TEST_SHARE ?= 0.25
# Rows to take of a table that has more, evenly spread: a million need about a gigabyte.
MAX_ROWS ?= 1000000
# Seconds to try settings of estimators for; the first of each kind and the final fit come on top.
BUDGET ?= 120
# The gate: a model below one of these is not exported. Any metric of build/report.html for which more is
# better can have a floor; skill is the share of the loss of guessing that the model takes away.
FLOORS ?= {{cookiecutter.__floors}}
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

# What commands read from the environment.
export PACKAGE DATA
