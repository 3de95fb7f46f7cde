# For pipelines alone: what they write on a pull request.

.PHONY: pipeline.comment
pipeline.comment: build/trained
	@$(PYTHON) -m mlops_runtime.operations.pull_request
