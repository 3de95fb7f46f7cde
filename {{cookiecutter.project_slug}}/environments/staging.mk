# Settings of project.mk that differ in staging. The namespace must: production has its own.
NAMESPACE ?= $(PROJECT)-staging
