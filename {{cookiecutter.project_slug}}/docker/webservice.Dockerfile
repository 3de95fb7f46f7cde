# The web-service: Flask on granian, the model wheel, and nothing that trains or tests.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# Dependencies alone, so that this layer is made anew only when the lock changes.
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m pip install --quiet pipenv==2026.10.3
WORKDIR /build
COPY Pipfile Pipfile.lock ./
# An environment without pip: pip installs into it from outside, with the hashes of the lock.
RUN pipenv requirements --hash --categories packages > requirements.txt \
    && python -m venv --without-pip /app/.venv \
    && python -m pip --python /app/.venv/bin/python install --quiet --require-hashes --only-binary :all: -r requirements.txt

FROM ${PYTHON_IMAGE} AS model
COPY build/wheel/*.whl /build/
RUN python -m pip install --quiet --no-cache-dir --no-deps --no-index --no-compile --target /app/model /build/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=dependencies /app/.venv /app/.venv
COPY --from=model /app/model /app/model
COPY src/webservice /app/src/webservice
ARG VERSION
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app/src:/app/model \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    VERSION=${VERSION}
WORKDIR /app
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
# No HEALTHCHECK: Kubernetes ignores it and probes /healthz and /readyz itself; a second prober inside
# the container would start a Python process each time.
CMD ["python", "-m", "webservice"]
