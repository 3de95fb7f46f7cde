# AWS: who we are, where images and files go, and the stack that holds them.

# The script `aws` does not start from a path with spaces; the module does.
AWS ?= $(PIPENV) run $(if $(word 2,$(realpath .venv)),python -m awscli,aws)
export AWS AWS_REGION
export AWS_DEFAULT_REGION := $(AWS_REGION)
export AWS_PAGER :=

# Looked up once, when a command first needs it: no account number stands in a file. GNU Make
# before 4.4 gives $(shell) none of the variables that it exports, so they are named again. An answer is data: it
# keeps no character that a shell or make would run, and recipes read it from the environment after `look_up`.
lookup = $(shell AWS_REGION=$(call quoted,$(AWS_REGION)) \
  $(if $(value AWS_ENDPOINT_URL),AWS_ENDPOINT_URL=$(call quoted,$(value AWS_ENDPOINT_URL))) \
  PIPENV_VENV_IN_PROJECT=1 PIPENV_IGNORE_VIRTUALENVS=1 PIPENV_VERBOSITY=-1 $(AWS) --region=$(call quoted,$(AWS_REGION)) --output text $(1) | LC_ALL=C tr -cd 'A-Za-z0-9.:/_-')
AWS_ACCOUNT ?= $(eval AWS_ACCOUNT := $(call lookup,sts get-caller-identity --query Account))$(AWS_ACCOUNT)
ifeq ($(REGISTRY),)
unexport REGISTRY
REGISTRY = $(eval REGISTRY := $(patsubst https://%,%,$(call lookup,ecr get-authorization-token --query authorizationData[0].proxyEndpoint)))$(REGISTRY)
endif
GIVEN_BUCKET := $(BUCKET)
BUCKET ?= $(PROJECT)-$(AWS_ACCOUNT)
define name_account
$(call look_up,AWS_ACCOUNT)$(call look_up,BUCKET)
@test -n "$$AWS_ACCOUNT" || { echo "AWS does not know who you are: set AWS_PROFILE or run aws configure; see make doctor" >&2; exit 1; }
endef

# Where the files of a version go, and its name in `make`. Folder, prefix and pattern.
STORAGE := S3
STORE = s3://$$BUCKET
put_files = $(AWS) s3 cp --recursive --only-show-errors --exclude '*' --include '$(3)' $(1) "s3://$$BUCKET/$(2)"
get_files = $(AWS) s3 cp --recursive --only-show-errors "s3://$$BUCKET/$(1)" $(2)

.PHONY: account
account: $(ENV)
	$(name_account)
