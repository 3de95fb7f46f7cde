# The trainer: the packages that train, the runtime, the model package and src/trainer.
# The data come from the bucket, or from a mount.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS requirements
RUN python -m pip install --quiet --disable-pip-version-check --no-cache-dir pipenv==2026.10.3
WORKDIR /build
COPY Pipfile Pipfile.lock ./
RUN pipenv requirements --hash --categories "packages trainer" > requirements.txt

# The dependencies have a layer of their own, which changes only with their versions in the lock.
FROM ${PYTHON_IMAGE} AS dependencies
COPY --from=requirements /build/requirements.txt /build/
# The environment has no pip: pip installs into it from outside, with the hashes of the lock. The tests of the
# packages are removed.
# What runs has no pip, no Perl, no apt and no setuid files: nothing is installed there, and nobody becomes another
# user. A package of Debian that yours need is installed before that, by a RUN of its own.
RUN python -m venv --without-pip /app/.venv \
    && python -m pip --python /app/.venv/bin/python install --quiet --disable-pip-version-check --no-cache-dir --require-hashes \
         --only-binary :all: -r /build/requirements.txt \
    && find /app/.venv -type d -name tests -prune -exec rm -r {} + \
    && rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
    && dpkg-query --show --showformat '${Package}\n' | grep -E '^(apt|debconf)$|^libapt|perl|^python3.*-(pip|setuptools|venv|wheel)' \
       | xargs -r dpkg --purge --force-all \
    && rm -rf /etc/apt /var/lib/apt /var/cache/debconf /var/lib/dpkg/*-old /var/log/dpkg.log \
    && find / -xdev -path /app -prune -o -type f -perm /6000 -exec rm {} +

# A clone may have files that only their owner reads, and the trainer is another user.
FROM ${PYTHON_IMAGE} AS sources
ARG PACKAGE
COPY Pipfile.lock /app/Pipfile.lock
COPY src/${PACKAGE} /app/src/${PACKAGE}
COPY vendor/mlops_runtime /app/vendor/mlops_runtime
COPY src/trainer /app/src/trainer
RUN chmod -R a+rX /app

FROM dependencies
COPY --from=sources /app /app
ARG VERSION
ARG COMMIT
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app/src:/app/vendor \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    VERSION=${VERSION} \
    COMMIT=${COMMIT}
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "trainer"]
