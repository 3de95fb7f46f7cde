# Images: built from the lock and the wheels, tagged with the version, referred to by digest once pushed.

IMAGES := webservice trainer
# What project.mk, git and AWS say is data: recipes read it from the environment, and no text of it is run.
# The address of the repository has no credentials; it is empty without a remote.
build_image = $(DOCKER) build $(DOCKER_BUILD_FLAGS) --file docker/$(1).Dockerfile \
	  --build-arg PYTHON_IMAGE="$$PYTHON_IMAGE" --build-arg PACKAGE=$(PACKAGE) --build-arg VERSION=$(VERSION) --build-arg COMMIT="$$COMMIT" \
	  --label org.opencontainers.image.title="$$TITLE $(1)" \
	  --label org.opencontainers.image.description="$$DESCRIPTION" \
	  --label org.opencontainers.image.authors="$$AUTHOR" \
	  --label org.opencontainers.image.version="$(VERSION)" \
	  --label org.opencontainers.image.revision="$$COMMIT" \
	  --label org.opencontainers.image.source="$${SOURCE_URL-$$(git remote get-url origin 2>/dev/null | sed -E 's|//[^/@]*@|//|')}" \
	  --label mlops-runtime.golden="$$(git hash-object src/$(PACKAGE)/artefact/golden.json 2>/dev/null || true)" \
	  --tag $(PROJECT)/$(1):$(VERSION) --iidfile $@ .
golden_of = $$($(DOCKER) image inspect --format '{{index .Config.Labels "mlops-runtime.golden"}}' $(1))

##@ Images

.PHONY: docker
docker: $(IMAGES:%=build/%.built)  ## Build the web-service and trainer images

build/webservice.built: docker/webservice.Dockerfile .dockerignore Pipfile.lock $(WEBSERVICE_SOURCES) build/wheel/built build/settings/images
build/trainer.built: docker/trainer.Dockerfile .dockerignore Pipfile.lock $(TRAINER_SOURCES) $(MODEL_SOURCES) $(DATA) build/settings/images

build/%.built:
	@$(DOCKER) info >/dev/null 2>&1 || { echo "$(DOCKER) does not answer: start it, or set DOCKER=podman in project.mk; see make doctor" >&2; exit 1; }
	@echo "Building $(PROJECT)/$*:$(VERSION)"
	@$(call build_image,$*) >build/$*.log 2>&1 || { tail -n 30 build/$*.log >&2; exit 1; }

# A reason to leave out unit and system tests in an emergency; training and gate are never left out.
override SKIP_TESTS := $(strip $(value SKIP_TESTS))
export SKIP_TESTS
UNIT_TESTED := $(if $(SKIP_TESTS),skipped-tests,build/unittest-coverage.json)

.PHONY: publish
publish: clean-tree login $(IMAGES:%=build/%.image)  ## Push both images once the tests pass; SKIP_TESTS="reason" leaves the tests out

# Tags in ECR are immutable: a version that was published before is used as it is, but not in place of a given MODEL.
build/%.image: build/%.built build/registry | login $(UNIT_TESTED)
	@image="$$REGISTRY/$(PROJECT)/$*"; \
	if $(DOCKER) pull --quiet "$$image:$(VERSION)" >/dev/null 2>&1; then \
	  echo "$$image:$(VERSION) was published before"; \
	  [ $* = trainer ] || [ "$(call golden_of,"$$image:$(VERSION)")" = "$(call golden_of,$$(cat build/$*.built))" ] || \
	    { echo "$$image:$(VERSION) has a model of another training run: to publish this one, commit, or set VERSION" >&2; $(if $(MODEL),exit 1;) }; \
	else \
	  $(DOCKER) tag "$$(cat build/$*.built)" "$$image:$(VERSION)"; \
	  $(DOCKER) push --quiet "$$image:$(VERSION)" >build/$*.push.log 2>&1 \
	    || { tail -n 1 build/$*.push.log >&2; echo "cannot push $$image:$(VERSION): nothing was deployed" >&2; exit 1; }; \
	fi; \
	$(DOCKER) image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$$image:$(VERSION)" | grep -F -m 1 "$$image@" | tee $@

# The trainer has no model yet: only the web-service is tested with one.
build/webservice.image: | $(if $(SKIP_TESTS),,build/test-coverage.json)

.PHONY: skipped-tests
skipped-tests:
	@echo "Unit and system tests are left out: $$SKIP_TESTS"

build/registry: FORCE | clean-tree
	$(call look_up,REGISTRY)
	@mkdir -p build
	@test -n "$$REGISTRY" || { echo "AWS names no registry: are there credentials? See make doctor" >&2; exit 1; }
	@echo "$$REGISTRY" | cmp -s - $@ || echo "$$REGISTRY" >$@
