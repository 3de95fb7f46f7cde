.PHONY: datamodel
datamodel: $(ENV)  ## Compare datamodel.py with the table; FORCE=1 updates it
	@$(PYTHON) -m mlops_runtime.profiling --data "$$DATA" --output src/$(PACKAGE)/datamodel.py $(if $(FORCE),--force)

