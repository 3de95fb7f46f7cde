.PHONY: datamodel
datamodel: $(ENV)  ## Compare datamodel.py with the texts; FORCE=1 updates it
	@$(PYTHON) -m mlops_runtime.entities --data "$$DATA" --output src/$(PACKAGE)/datamodel.py $(if $(FORCE),--force)

