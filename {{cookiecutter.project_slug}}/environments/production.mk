# Settings of project.mk that differ in production.
NAMESPACE ?= $(PROJECT)
