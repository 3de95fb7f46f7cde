# AWS. make/aws.mk looks up account, registry and bucket when a command needs them, and neither is given.
AWS_REGION ?= {{cookiecutter.aws_region}}
# CloudFormation stack of `make infrastructure`.
STACK ?= $(PROJECT)
# Bucket for the access logs of the project's bucket, and ARN of the KMS key that encrypts bucket and repositories.
LOG_BUCKET ?=
KMS_KEY ?=
# ARN of a user of Amazon QuickSight who gets a data set of what versions were measured by; docs/account.md. Empty: none.
QUICKSIGHT_USER ?=
# The pipeline that may deploy, by its tokens: who signs them, for whom, and which pipeline. docs/account.md has examples.
OIDC_PROVIDER ?=
OIDC_AUDIENCE ?= sts.amazonaws.com
OIDC_SUBJECT ?=

# Kubernetes. ENVIRONMENT is a folder of k8s/overlays; environments/ENVIRONMENT.mk has settings of its own.
CLUSTER ?= $(PROJECT)
# ARN of a role or user that administers a CLUSTER which make cluster creates, beside whoever creates it.
CLUSTER_ADMINISTRATOR ?=
ENVIRONMENT ?= production
# Pods: the number in the overlay, or with MAX_REPLICAS from that to this one, added when each uses more than TARGET_CPU.
MAX_REPLICAS ?=
TARGET_CPU ?= 700m
# Name of a PriorityClass of the cluster, for the pods of the service.
PRIORITY_CLASS ?=
# Namespaces and address ranges that may call the service, such as ingress-nginx monitoring 10.0.0.0/16. Empty: all.
ALLOW_FROM ?=
# Class of an Ingress, such as alb or nginx, and of a load balancer of AWS internal or internet-facing. Empty: none.
INGRESS_CLASS ?=
ALB_SCHEME ?=
# NAMESPACE/NAME of a Gateway that leads to the service. Empty: none.
GATEWAY ?=
# Host of both, and certificate of the Ingress: its ARN for a load balancer of AWS, else the name of a Secret.
PUBLIC_HOST ?=
CERTIFICATE ?=
# 1: a ServiceMonitor and a PrometheusRule for the Prometheus Operator of the cluster, with the labels by which it
# selects them, such as release=prometheus, and a dashboard for Grafana. Empty: none.
SERVICE_MONITOR ?=
MONITOR_LABELS ?=
# Time in which the pods of a version must become ready, and then be verified.
ROLLOUT_TIMEOUT ?= 180s
VERIFY_TIMEOUT ?= 60s
# How a version replaces the one before. rolling: pod by pod. canary: first beside it, on pods that are the share CANARY
# of all, which are compared with the old ones for CANARY_FOR seconds. docs/deploys.md.
STRATEGY ?= rolling
CANARY ?= 10%
CANARY_FOR ?= 120
# Seconds to wait for another deploy to finish. 0: refuse.
WAIT ?= 600
# Seconds in which the pod of a training job must start.
JOB_START_TIMEOUT ?= 300
# Limit of its memory, such as 4Gi. Empty: it follows from the table, and is at least that of k8s/trainer/job.yaml.
JOB_MEMORY ?=
# When `make train.schedule` trains, as cron writes it, in the time zone of the cluster, on EKS in UTC.
TRAIN_SCHEDULE ?= 17 3 * * 1
# Seconds between the request to stop a pod and the stop, for clients to connect to another pod. With a longer
# time, terminationGracePeriodSeconds in k8s/base/deployment.yaml must be longer as well.
DRAIN_SECONDS ?= 8
