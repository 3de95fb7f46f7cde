# Coverage and metrics of each version at s3://BUCKET/COMPONENT/KIND/KIND-VERSION.json; those of the last
# upload also as latest.json.

COMPONENTS := model $(notdir $(wildcard $(IMAGES:%=src/%)))
component_source = $(if $(filter model,$(1)),src/$$PACKAGE,src/$(1))

##@ Monitoring

.PHONY: upload.monitoring
upload.monitoring: unittest test | full-history account  ## Put coverage and metrics of this version in STORAGE
	@rm -rf build/monitoring
	@$(foreach component,$(COMPONENTS),$(foreach kind,unittest test, \
	  TZ=UTC $(PYTHON) -m coverage json --quiet --data-file=build/$(kind).coverage --include="$(call component_source,$(component))/*" \
	    -o build/monitoring/$(component)/$(kind)-coverage/latest.json;)) true
	@mkdir -p build/monitoring/trainer/metrics
	@cp build/metrics.json build/monitoring/trainer/metrics/latest.json
	@for latest in build/monitoring/*/*/latest.json; do \
	  folder=$${latest%/latest.json}; cp $$latest $$folder/$${folder##*/}-$(VERSION).json; \
	done
	@$(PYTHON) -m mlops_runtime.operations.trend.rows build/monitoring
	@$(call put_files,build/monitoring/,,*)
	@echo "$(STORE)/ has coverage and metrics of $(VERSION)"

# Drift of more than a day: samples of what the service measures, as webservice/drift/drift-TIME.json beside the rest.

.PHONY: upload.drift
upload.drift: $(ENV) | account  ## Put the drift that the service at SERVICE_URL measures now in STORAGE
	@rm -rf build/drift-now
	@$(PYTHON) -m mlops_runtime.dashboard build/drift-now
	@$(call put_files,build/drift-now/,webservice/drift/,*)

.PHONY: report.trend
report.trend: $(ENV) | account  ## Show coverage, metrics, drift and deploys over time, in build/trend.html
	@$(PYTHON) -m mlops_runtime.operations.trend build/trend.html

.PHONY: upload.model
upload.model: build/wheel/built | full-history $(if $(MODEL_INDEX),,account)  ## Put the wheels in STORAGE, or into the package index MODEL_INDEX
	@$(PYTHON) -m mlops_runtime.operations.wheels build/wheel build/report.html

# The same for every project but for its name: fields and labels are those that Prometheus has. docs/monitoring.md.
.PHONY: monitoring.dashboard
monitoring.dashboard:  ## Print a dashboard of all replicas for Grafana, to be written into a file
	@$(FROM_CLONE) -m mlops_runtime.operations.grafana
