# AWS. make/aws.mk looks up account, registry and bucket when a command needs them, and neither is given.
AWS_REGION ?= {{cookiecutter.aws_region}}

# The machine with Docker. environments/ENVIRONMENT.mk has settings of its own, among them NAMESPACE, the prefix of
# the names of containers, network and volumes.
# Engine of the machine, such as ssh://user@machine; empty for the one of this machine.
DEPLOY_HOST ?=
# Docker Compose. Empty: docker compose where there is that plugin, otherwise docker-compose.
COMPOSE ?=
ENVIRONMENT ?= production
# Caddy 2.5 or later, the proxy in front of the service.
PROXY_IMAGE ?= docker.io/library/caddy:2
# Name of the machine on the internet, for which the proxy gets a certificate. Empty: HTTP alone.
PROXY_HOST ?=
# Ports of the machine; with an address, such as 127.0.0.1:8080, they are open there alone.
HTTP_PORT ?= 80
HTTPS_PORT ?= 443
# Time in which the containers of a version must become healthy, then be verified, then be watched under traffic.
ROLLOUT_TIMEOUT ?= 180s
VERIFY_TIMEOUT ?= 60s
WATCH_SECONDS ?= 5
# Seconds to wait for another deploy to finish. 0: refuse.
WAIT ?= 600
