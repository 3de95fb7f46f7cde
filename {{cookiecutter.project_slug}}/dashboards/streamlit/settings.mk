# Dashboard on this machine: `make dashboard`. SERVICE_KEY in the environment is the API key, if the service wants one.
SERVICE_URL ?= http://$(HOST):$(PORT)
DASHBOARD_PORT ?= 8501

