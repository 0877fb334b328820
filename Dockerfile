FROM python:3.13-slim AS build
WORKDIR /src
# Nothing but what the lock file has the hashes of: a release that somebody has slipped in is not taken.
COPY requirements.lock ./
RUN python -m venv /opt/mqtt-service/venv \
    && /opt/mqtt-service/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY aiot_mqtt aiot_mqtt
COPY twisted twisted
COPY scripts/sbom scripts/sbom
# What only installing needs, does not go along. What does, is written down beside it.
RUN /opt/mqtt-service/venv/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation . \
    && /opt/mqtt-service/venv/bin/python scripts/sbom >/opt/mqtt-service/sbom.json \
    && /opt/mqtt-service/venv/bin/pip uninstall --yes setuptools pip

FROM python:3.13-slim
LABEL org.opencontainers.image.title="aiot-mqtt" \
    org.opencontainers.image.description="Keeps the table device_main true to what IoT devices report over MQTT" \
    org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/mqtt-service /opt/mqtt-service
# twistd writes down once which plugins there are; later it runs as a user who may not.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin aiot-mqtt \
    && /opt/mqtt-service/venv/bin/twistd --help >/dev/null \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/mqtt-service
# A .env may be mounted here; else every setting comes from the environment.
WORKDIR /opt/mqtt-service
USER 10001
# What was acknowledged while the database was away must outlive the container: mount a volume of your own here.
ENV SPOOL_FILE=/var/lib/mqtt-service/mqtt_service.spool
VOLUME /var/lib/mqtt-service
STOPSIGNAL SIGTERM
# Only shown: whether the service makes progress, never whether broker and database are there. Nothing restarts by it.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["/opt/mqtt-service/venv/bin/aiot-mqtt", "health"]
# No pid file: one that outlives a power cut would stop the next start.
CMD ["/opt/mqtt-service/venv/bin/twistd", "--nodaemon", "--pidfile=", "aiot-mqtt"]
