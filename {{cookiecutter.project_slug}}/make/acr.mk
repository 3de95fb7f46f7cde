# Azure Container Registry: the one that ACR names, unless REGISTRY names another one.

ifeq ($(REGISTRY),)
  override REGISTRY := $(ACR).azurecr.io
endif
