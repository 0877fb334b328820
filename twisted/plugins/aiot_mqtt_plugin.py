"""Makes ``twistd aiot-mqtt`` known. Only strings, so that ``twistd --help`` imports nothing of the package."""

from twisted.application.service import ServiceMaker

aiot_mqtt = ServiceMaker(
    "AIOT MQTT",
    "aiot_mqtt.tap",
    "Listen to IoT devices over MQTT and keep the device table true.",
    "aiot-mqtt",
)
