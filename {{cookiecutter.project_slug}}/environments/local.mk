# Settings of project.mk for a cluster on this machine: that of kind, and a registry beside it. AWS is asked for nothing.
NAMESPACE ?= $(PROJECT)-local
CLUSTER ?= kind-kind
REGISTRY ?= 127.0.0.1:5000
LOGIN ?= none
