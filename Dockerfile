FROM python:3.13-slim AS build
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY aiot_mqtt aiot_mqtt
COPY twisted twisted
RUN pip wheel --no-cache-dir --wheel-dir=/wheels .
RUN python -m venv /opt/mqtt-service/venv \
    && /opt/mqtt-service/venv/bin/pip install --no-cache-dir --no-index --find-links=/wheels aiot-mqtt

FROM python:3.13-slim
COPY --from=build /opt/mqtt-service/venv /opt/mqtt-service/venv
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
# No pid file: one that outlives a power cut would stop the next start.
CMD ["/opt/mqtt-service/venv/bin/twistd", "--nodaemon", "--pidfile=", "aiot-mqtt"]
