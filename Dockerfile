# syntax=docker/dockerfile:1
# healthd in a slim image: nothing but Python and the locked packages, no root, works on a read-only root file system.
#
#   docker build --build-arg VERSION=0.1.0 -t healthd:0.1.0 .
#
# For a build that can be repeated, name the base by the digest that you have looked up:
#   --build-arg BASE=python:3.13-slim-trixie@sha256:…
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN apt-get update -q && apt-get install -qy --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
# The locked packages first: this layer is built again only when the lock changes. What builds the wheel is kept apart.
COPY requirements/container.lock requirements/build.lock requirements/
RUN python -m venv --without-pip /opt/healthd \
 && python -m pip --python /opt/healthd/bin/python install --require-hashes -r requirements/container.lock \
 && python -m pip install --root-user-action=ignore --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY healthd healthd
COPY gates gates
COPY deploy deploy
COPY config config
COPY grafana/dashboards grafana/dashboards
COPY grafana/provisioning grafana/provisioning
ARG VERSION=0.0.0
RUN SETUPTOOLS_SCM_PRETEND_VERSION=${VERSION} python -m hatchling build -t wheel -d /tmp/wheel \
 && python -m pip --python /opt/healthd/bin/python install --no-deps /tmp/wheel/*.whl \
 && /opt/healthd/bin/python deploy/image/trim.py /opt/healthd/lib/python3.*/site-packages \
 && find /opt/healthd/bin -mindepth 1 ! -name 'python*' ! -name 'healthd*' -delete \
 && /opt/healthd/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/healthd/lib

FROM ${BASE}
RUN groupadd --gid 10001 healthd \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/healthd --shell /usr/sbin/nologin healthd \
 && install --directory --owner=healthd --group=healthd --mode=0750 /var/lib/healthd
COPY --from=build /opt/healthd /opt/healthd
COPY config/container.yaml /etc/healthd/config.yaml
ENV PATH=/opt/healthd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_TRIM_THRESHOLD_=131072 \
    HEALTHD_CONFIG=/etc/healthd/config.yaml
USER 10001:10001
# The journal. With `--read-only`, mount a volume here.
VOLUME /var/lib/healthd
EXPOSE 8080
# No HEALTHCHECK: one that is a program costs its start every few seconds, and knows no other port than the one baked in.
# docs/install.md says what to ask instead, and how to have one where nothing else asks.
STOPSIGNAL SIGTERM
ENTRYPOINT ["healthd"]
CMD ["run"]
