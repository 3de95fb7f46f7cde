# Champion and candidate: the model that the cluster verified last, and the one that was trained.

# Keeps the held-out predictions of each model that was deployed. With a registry of one's own AWS is not asked for the
# name of a bucket: without a BUCKET they are in build/champion/.
CHAMPION_BUCKET = $(if $(filter ecr,$(LOGIN)),$(BUCKET),$(GIVEN_BUCKET))

.PHONY: compare
compare: build/trained  ## Compare the trained model with the one that was verified last
	$(call look_up,CHAMPION_BUCKET)
	@champion=$$($(RELEASES) champion); \
	cmp -s "$$champion" build/held-out.json || \
	$(PYTHON) -m mlops_runtime.operations.comparison "$$champion" build/held-out.json --margin "$$MARGIN" --overrule="$${OVERRULE:-}"

build/contract.json: $(MODEL_SOURCES) $(ENV)
	@mkdir -p build
	@$(PYTHON) -m mlops_runtime.operations.project >$@
