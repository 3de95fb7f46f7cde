# Images: built from the lock and the wheels, tagged with the version, referred to by digest once pushed.

IMAGES := $(patsubst docker/%.Dockerfile,%,$(wildcard docker/*.Dockerfile))
# Those of a project alone: an image for make dev is not published.
layered = $(if $(LAYER_CACHE),$(filter $(1),$(IMAGES)))
# What project.mk, git and AWS say is data: recipes read it from the environment, and no text of it is run.
# The address of the repository has no credentials; it is empty without a remote.
build_image = $(DOCKER) build $(DOCKER_BUILD_FLAGS) --file docker/$(or $(DOCKERFILE),$(1)).Dockerfile $(BUILD_STAGE) \
	  $(if $(call layered,$(1)),$$(cat build/$(1).layers)) \
	  --build-arg PYTHON_IMAGE="$$PYTHON_IMAGE" --build-arg PACKAGE="$$PACKAGE" --build-arg VERSION=$(VERSION) --build-arg COMMIT="$$COMMIT" \
	  --label org.opencontainers.image.title="$$TITLE $(1)" \
	  --label org.opencontainers.image.description="$$DESCRIPTION" \
	  --label org.opencontainers.image.authors="$$AUTHOR" \
	  --label org.opencontainers.image.version="$(VERSION)" \
	  --label org.opencontainers.image.revision="$$COMMIT" \
	  --label org.opencontainers.image.source="$${SOURCE_URL-$$(git remote get-url origin 2>/dev/null | sed -E 's|//[^/@]*@|//|')}" \
	  --label mlops-runtime.golden="$$(git hash-object "src/$$PACKAGE/artefact/golden.json" 2>/dev/null || true)" \
	  --tag "$$PROJECT/$(1):$(VERSION)" --iidfile $@ .
# The base image comes from a registry as well.
PULL_LIMIT := toomanyrequests|429 Too Many Requests

# The word for who logs in: ecr for a registry of AWS, acr for one of Azure, none for another one.
ifeq ($(LOGIN),)
  override LOGIN := $(if $(filter %.azurecr.io,$(REGISTRY)),acr,$(if $(filter-out %.amazonaws.com %.amazonaws.com.cn,$(REGISTRY)),none,ecr))
endif

##@ Images

.PHONY: docker
docker: $(IMAGES:%=build/%.built)  ## Build the images, one for each docker/*.Dockerfile

build/webservice.built: docker/webservice.Dockerfile .dockerignore Pipfile.lock $(WEBSERVICE_SOURCES) build/wheel/built build/settings/images

build/%.built:
	@$(DOCKER) info >/dev/null 2>&1 || { echo "$(DOCKER) does not answer: start it, or set DOCKER=podman in project.mk; see make doctor" >&2; exit 1; }
	@echo "Building $$PROJECT/$*:$(VERSION)"
	@$(if $(call layered,$*),$(FROM_CLONE) -m mlops_runtime.operations.registry layers $* >build/$*.layers)
	@$(call build_image,$*) >build/$*.log 2>&1 || { if grep -qE '$(PULL_LIMIT)' build/$*.log; \
	  then echo "the limit on pulls of $$PYTHON_IMAGE is met: run $(DOCKER) login, as an account may pull more, wait, or set PYTHON_IMAGE to a copy of your own" >&2; \
	  else tail -n 30 build/$*.log >&2; fi; exit 1; }

# The layers of an image that was published come from the registry.
ifneq ($(LAYER_CACHE),)
$(IMAGES:%=build/%.built): | login
endif

# A reason to leave out unit and system tests in an emergency; training and gate are never left out.
override SKIP_TESTS := $(strip $(value SKIP_TESTS))
export SKIP_TESTS
UNIT_TESTED := $(if $(SKIP_TESTS),skipped-tests,build/unittest-coverage.json)

.PHONY: login
login: build/registry $(if $(filter ecr,$(LOGIN)),$(ENV))  ## Log the image engine in to the registry, as LOGIN says
	@$(FROM_CLONE) -m mlops_runtime.operations.registry login $(if $(filter login,$(MAKECMDGOALS)),--asked)

.PHONY: publish
publish: clean-tree login $(IMAGES:%=build/%.image)  ## Push the images once the tests pass; SKIP_TESTS="reason" leaves the tests out

.PHONY: base.update
base.update:  ## Pin PYTHON_IMAGE in project.mk to the digest that its tag has now
	@$(FROM_CLONE) -m mlops_runtime.operations.base_image

.PHONY: sbom
sbom: $(IMAGES:%=build/%.built) $(ENV)  ## List what each image holds in build/NAME.sbom.json (CycloneDX)
	@$(PYTHON) -m mlops_runtime.operations.sbom $(IMAGES)

.PHONY: upload.sbom
upload.sbom: publish $(ENV) | account  ## Put those lists of the published images in STORAGE
	@$(PYTHON) -m mlops_runtime.operations.sbom --published $(IMAGES)

# A version that was published before is used as it is, but not in place of a given MODEL.
build/%.image: build/%.built build/registry | login $(UNIT_TESTED)
	@$(FROM_CLONE) -m mlops_runtime.operations.registry publish $*

# The trainer has no model yet: only the web-service is tested with one.
build/webservice.image: | $(if $(SKIP_TESTS),,build/test-coverage.json)

.PHONY: skipped-tests
skipped-tests:
	@echo "Unit and system tests are left out: $$SKIP_TESTS"

build/registry: FORCE | clean-tree $(if $(REGISTRY),,$(ENV))
	$(call look_up,REGISTRY)
	@mkdir -p build
	@test -n "$$REGISTRY" || { echo "there is no registry: set REGISTRY, or get credentials of AWS; see make doctor" >&2; exit 1; }
	@echo "$$REGISTRY" | cmp -s - $@ || echo "$$REGISTRY" >$@
