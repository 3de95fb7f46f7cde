# Images: built from the lock and the wheels, tagged with the version, referred to by digest once pushed.

IMAGES := webservice trainer
# Address of the repository, without credentials; empty without a remote.
SOURCE_URL ?= $(shell git remote get-url origin 2>/dev/null | sed -E 's|//[^/@]*@|//|')

build_image = $(DOCKER) build $(DOCKER_BUILD_FLAGS) --file docker/$(1).Dockerfile \
	  --build-arg PYTHON_IMAGE="$(PYTHON_IMAGE)" --build-arg PACKAGE=$(PACKAGE) --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) \
	  --label org.opencontainers.image.title="$(TITLE) $(1)" \
	  --label org.opencontainers.image.description="$(DESCRIPTION)" \
	  --label org.opencontainers.image.authors="$(AUTHOR)" \
	  --label org.opencontainers.image.version="$(VERSION)" \
	  --label org.opencontainers.image.revision="$(COMMIT)" \
	  --label org.opencontainers.image.source="$(SOURCE_URL)" \
	  --tag $(PROJECT)/$(1):$(VERSION) --iidfile $@ .

##@ Images

.PHONY: docker
docker: $(IMAGES:%=build/%.built)  ## Build the web-service and trainer images

# Images are built again for a new version or another base image, even when no file has changed.
build/version: FORCE
	@mkdir -p build
	@echo "$(VERSION) $(PYTHON_IMAGE)" | cmp -s - $@ || echo "$(VERSION) $(PYTHON_IMAGE)" >$@

build/webservice.built: docker/webservice.Dockerfile .dockerignore Pipfile.lock $(WEBSERVICE_SOURCES) build/wheel/built build/version
build/trainer.built: docker/trainer.Dockerfile .dockerignore Pipfile.lock $(TRAINER_SOURCES) $(MODEL_SOURCES) $(DATA) build/version

build/%.built:
	@$(DOCKER) info >/dev/null 2>&1 || { echo "$(DOCKER) does not answer: start it, or set DOCKER=podman; see make doctor" >&2; exit 1; }
	@echo "Building $(PROJECT)/$*:$(VERSION)"
	@$(call build_image,$*) >build/$*.log 2>&1 || { tail -n 30 build/$*.log >&2; exit 1; }

.PHONY: publish
publish: clean-tree $(IMAGES:%=build/%.image)  ## Push both images once the tests pass; digests go to build/*.image

# Tags in ECR are immutable: a version that was published before is used as it is.
build/%.image: build/%.built build/registry | login build/unittest-coverage.json build/test-coverage.json
	@image=$(REGISTRY)/$(PROJECT)/$*; \
	if $(DOCKER) pull --quiet $$image:$(VERSION) >/dev/null 2>&1; then \
	  echo "$$image:$(VERSION) was published before"; \
	else \
	  $(DOCKER) tag $$(cat build/$*.built) $$image:$(VERSION); \
	  $(DOCKER) push --quiet $$image:$(VERSION) >build/$*.push.log 2>&1 \
	    || { tail -n 1 build/$*.push.log >&2; echo "cannot push $$image:$(VERSION): nothing was deployed" >&2; exit 1; }; \
	fi; \
	$(DOCKER) image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' $$image:$(VERSION) | grep -m 1 "^$$image@" | tee $@

build/registry: FORCE | clean-tree
	@mkdir -p build
	@test -n "$(REGISTRY)" || { echo "AWS names no registry: are there credentials? See make doctor" >&2; exit 1; }
	@echo "$(REGISTRY)" | cmp -s - $@ || echo "$(REGISTRY)" >$@

.PHONY: clean-tree
clean-tree:
ifneq ($(DIRTY),)
ifndef ALLOW_DIRTY
	@echo "there are uncommitted changes: commit them, or set ALLOW_DIRTY=1 to publish $(VERSION)" >&2; exit 1
endif
endif
ifeq ($(VERSION),unversioned)
	@echo "there is no git commit to name a version after: commit, or set VERSION" >&2; exit 1
endif

.PHONY: FORCE
FORCE:
