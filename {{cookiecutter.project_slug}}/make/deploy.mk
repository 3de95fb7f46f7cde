# Deploys, rollbacks, API keys: the same commands on every platform, whose own make file adds what it needs.

RELEASES = $(FROM_CLONE) -m mlops_runtime.operations.deploy
KEYS = $(FROM_CLONE) -m mlops_runtime.operations.keys

##@ Deploy

.PHONY: deploy
deploy: clean-tree deploy.check compare publish build/contract.json  ## Test, train, publish, roll out by digest and verify; undo the rollout if that fails
	$(call look_up,CHAMPION_BUCKET)
	@$(RELEASES) deploy
	$(call keep_images,verified,$(IMAGES))
	$(after_deploy)

# A model that is refused is not pushed either.
ifneq ($(filter deploy,$(MAKECMDGOALS)),)
build/webservice.image build/trainer.image: | compare
endif

.PHONY: deploy.check
deploy.check:
	@$(RELEASES) check

.PHONY: rollback
rollback:  ## Go back to the last verified version before this one, or to TO=version
	@$(RELEASES) rollback
	$(after_rollback)

.PHONY: repair
repair:  ## Bring back the last verified version after an interrupted deploy or a change by hand
	@$(RELEASES) repair
	$(after_rollback)

.PHONY: status
status:  ## Show what runs, and whether it was verified
	@$(RELEASES) status

.PHONY: history
history:  ## List the releases: time, outcome, version, who
	@$(RELEASES) history

.PHONY: verify
verify:  ## Check version and golden predictions of each replica
	@$(RELEASES) verify

.PHONY: diff
diff:  ## Show what a deploy would change
	@$(RELEASES) diff

.PHONY: destroy
destroy:  ## Remove what runs, with its history and keys; CONFIRM=PROJECT answers the question
	@$(RELEASES) destroy

.PHONY: key
key:  ## Create an API key for the caller NAME, and print it once
	@$(KEYS) --add="$${NAME:-}"

.PHONY: key.remove
key.remove:  ## Remove the API key of the caller NAME
	@$(KEYS) --remove="$${NAME:-}"

.PHONY: keys
keys:  ## List the callers that have an API key
	@$(KEYS) --list
