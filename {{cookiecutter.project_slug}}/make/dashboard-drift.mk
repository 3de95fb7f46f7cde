# Drift of more than a day: samples of what the service measures, as webservice/drift/drift-TIME.json beside the rest.

.PHONY: upload.drift
upload.drift: $(ENV) | aws-account  ## Put the drift that the service at SERVICE_URL measures now on S3 or Blob storage
	@rm -rf build/drift-now
	@$(PYTHON) -m mlops_runtime.dashboard build/drift-now
	@$(call put_files,build/drift-now/,webservice/drift/,*)

.PHONY: download.drift
download.drift: | aws-account  ## Get the samples of drift from S3 into build/drift, for `make dashboard`
	@$(if $(filter azure-%,$(PLATFORM)),echo "download webservice/drift from $(STORE) into build/drift with az storage blob download-batch" >&2; exit 1)
	@$(call get_files,webservice/drift/,build/drift/)
