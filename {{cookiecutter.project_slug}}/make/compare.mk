# Champion and candidate: the model that the cluster verified last, and the one that was trained.

# Keeps the held-out predictions of each model that was deployed; without AWS they are in build/champion/.
CHAMPION_BUCKET = $(if $(filter none,$(LOGIN)),,$(BUCKET))

.PHONY: compare
compare: build/trained  ## Compare the trained model with the one that was verified last
	$(call look_up,CHAMPION_BUCKET)
	@champion=$$($(RELEASES) champion); \
	cmp -s "$$champion" build/held-out.json || \
	$(PYTHON) -m mlops_runtime.operations.comparison "$$champion" build/held-out.json --margin "$$MARGIN" --overrule="$${OVERRULE:-}"

build/contract.json: $(MODEL_SOURCES) $(ENV)
	@mkdir -p build
	@$(PYTHON) -m mlops_runtime.operations.project >$@
