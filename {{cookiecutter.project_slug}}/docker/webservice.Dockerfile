# The web-service: the packages that serve, the wheels of model and runtime, and src/webservice.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS requirements
RUN python -m pip install --quiet --disable-pip-version-check --no-cache-dir pipenv==2026.10.3
WORKDIR /build
COPY Pipfile Pipfile.lock ./
RUN pipenv requirements --hash --categories packages > requirements.txt

# The dependencies have a layer of their own, which changes only with their versions in the lock.
FROM ${PYTHON_IMAGE} AS dependencies
COPY --from=requirements /build/requirements.txt /build/
# The environment has no pip: pip installs into it from outside, with the hashes of the lock. The tests of the
# packages are removed, and the tools of ONNX Runtime that make models, if it is one of the packages.
# What runs has no pip, no Perl, no apt and no setuid files: nothing is installed there, and nobody becomes another
# user. A package of Debian that yours need is installed before that, by a RUN of its own.
RUN python -m venv --without-pip /app/.venv \
    && python -m pip --python /app/.venv/bin/python install --quiet --disable-pip-version-check --no-cache-dir --require-hashes \
         --only-binary :all: -r /build/requirements.txt \
    && find /app/.venv -type d -name tests -prune -exec rm -r {} + \
    && rm -rf /app/.venv/lib/python*/site-packages/onnxruntime/transformers \
              /app/.venv/lib/python*/site-packages/onnxruntime/quantization \
              /app/.venv/lib/python*/site-packages/onnxruntime/tools \
    && rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
    && dpkg-query --show --showformat '${Package}\n' | grep -E '^(apt|debconf)$|^libapt|perl|^python3.*-(pip|setuptools|venv|wheel)' \
       | xargs -r dpkg --purge --force-all \
    && rm -rf /etc/apt /var/lib/apt /var/cache/debconf /var/lib/dpkg/*-old /var/log/dpkg.log \
    && find / -xdev -path /app -prune -o -type f -perm /6000 -exec rm {} +

FROM ${PYTHON_IMAGE} AS model
COPY build/wheel/*.whl /build/
RUN python -m pip install --quiet --no-cache-dir --no-deps --no-index --target /app/model /build/*.whl

# A clone may have files that only their owner reads, and the service is another user.
FROM ${PYTHON_IMAGE} AS sources
COPY src/webservice /app/src/webservice
RUN chmod -R a+rX /app

FROM dependencies
COPY --from=model /app/model /app/model
COPY --from=sources /app /app
ARG VERSION
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app/src:/app/model \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    VERSION=${VERSION}
WORKDIR /app
# A number, because Kubernetes cannot tell whether a name is root.
USER 10001:10001
EXPOSE 8000
# No HEALTHCHECK: Kubernetes ignores it, and probes /healthz and /readyz itself.
CMD ["python", "-m", "webservice"]
