# syntax=docker/dockerfile:1
# healthd in a slim image: nothing but Python and the locked packages, no root, works on a read-only root file system.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The locked packages first: this layer is built again only when the lock changes.
COPY requirements/container.lock requirements/
RUN python -m venv /opt/healthd \
 && /opt/healthd/bin/pip install --require-hashes -r requirements/container.lock
COPY pyproject.toml README.md LICENSE ./
COPY healthd healthd
COPY gates gates
COPY deploy deploy
COPY config config
COPY grafana/dashboards grafana/dashboards
RUN /opt/healthd/bin/pip install --no-deps --no-build-isolation . \
 && /opt/healthd/bin/pip uninstall --yes pip hatchling \
 && /opt/healthd/bin/python -m compileall -q /opt/healthd/lib

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 healthd \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/healthd --shell /usr/sbin/nologin healthd \
 && install --directory --owner=healthd --group=healthd --mode=0750 /var/lib/healthd
COPY --from=build /opt/healthd /opt/healthd
COPY config/container.yaml /etc/healthd/config.yaml
ENV PATH=/opt/healthd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEALTHD_CONFIG=/etc/healthd/config.yaml
USER 10001:10001
# The journal. With `--read-only`, mount a volume here.
VOLUME /var/lib/healthd
EXPOSE 8080
# The liveness of the daemon, not the health of what it watches: a dead database is no reason to restart healthd.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["healthd", "status", "--group", "live"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["healthd"]
CMD ["run"]
