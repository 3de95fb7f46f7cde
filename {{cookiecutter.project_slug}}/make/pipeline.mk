# What a pipeline does besides the targets that you run as well.

.PHONY: pipeline.comment
pipeline.comment: build/trained
	@$(PYTHON) -m mlops_runtime.operations.pull_request
