# The version: a name for a state of the code, in image tags, labels, wheels and keys on S3.

# A shallow clone misses the tag and the commits that the version counts: its history is fetched, if the remote answers.
NAMING := train train.job train.schedule serve dev dev.container dev.local predict test package.model docker publish keep.images deploy sbom upload.sbom upload.model upload.monitoring
is_shallow = $(filter true,$(shell git rev-parse --is-shallow-repository 2>/dev/null))
SHALLOW := $(is_shallow)
ifneq ($(and $(SHALLOW),$(filter $(NAMING),$(MAKECMDGOALS))),)
$(shell GIT_TERMINAL_PROMPT=0 git fetch --quiet --unshallow --tags >/dev/null 2>&1)
SHALLOW := $(is_shallow)
endif

# Uncommitted changes show in the version, with a hash of their own: two states are two versions.
DIRTY := $(if $(shell git rev-parse --verify HEAD >/dev/null 2>&1 && git status --porcelain 2>/dev/null),-dirty-$(shell { git diff HEAD; git status --porcelain; } 2>/dev/null | git hash-object --stdin | cut -c1-8))

# A tag may contain anything, also what make or a shell would run: other characters are replaced, a long tag is cut,
# and then the commit is named as well, because two tags may become the same.
describe = tag=$$(git describe --tags --always 2>/dev/null || echo unversioned); \
  name=$$(printf %s "$$tag" | LC_ALL=C tr -c 'A-Za-z0-9._-' - | cut -c1-34 | sed -E 's/^[._-]+//; s/[._-]+$$//'); \
  [ "$$name" = "$$tag" ] || name=$${name:+$$name-}g$$(git rev-parse --short HEAD); echo "$$name"
is_version = $(shell LC_ALL=C; [[ '$(subst ','\'',$(value $(1)))' =~ ^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$$ ]] && echo yes)
$(foreach name,VERSION MODEL,$(if $(value $(name)),$(if $(call is_version,$(name)),,$(error $(name)='$(value $(name))' \
  cannot name a version: use up to 63 letters, digits and ._-, the first and the last a letter or digit))))

GIVEN_VERSION := $(VERSION)
ifndef VERSION
override VERSION := $(shell $(describe))$(DIRTY)
endif
ifndef COMMIT
override COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo none)
endif
export VERSION COMMIT

.PHONY: full-history
full-history:
ifneq ($(SHALLOW),)
ifndef GIVEN_VERSION
	@echo "this clone is shallow and would name its commit otherwise than others do: run git fetch --unshallow --tags" >&2; exit 1
endif
endif

.PHONY: clean-tree
clean-tree: full-history
ifneq ($(DIRTY),)
ifndef ALLOW_DIRTY
	@echo "there are uncommitted changes: commit them, or set ALLOW_DIRTY=1 to publish $(VERSION)" >&2; exit 1
endif
endif
ifeq ($(VERSION),unversioned)
	@echo "there is no git commit to name a version after: commit, or set VERSION" >&2; exit 1
endif

# build/settings/GROUP has the values of the settings of a group. It is written again when one of them changes, and
# what depends on it is then stale.
SETTINGS_model := DATA SEED TEST_SHARE MAX_ROWS BUDGET FLOORS MODEL
SETTINGS_unittest := MIN_COVERAGE
SETTINGS_version := VERSION
SETTINGS_images := VERSION PYTHON_IMAGE
SETTINGS_dev := PYTHON_IMAGE
settings = $(foreach name,$(SETTINGS_$(1)),$(name)=$($(name)))
differ = $(subst <$(1)>,,<$(2)>)
$(foreach group,model unittest version images dev,$(if $(call differ,$(file <build/settings/$(group)),$(call settings,$(group))), \
  $(eval build/settings/$(group): FORCE)))

build/settings/%:
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(call settings,$*))' >$@

.PHONY: FORCE
FORCE:
