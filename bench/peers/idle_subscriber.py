"""A stock paho subscriber that does nothing but count: what any service on paho pays before its own first line.

Ends when it has counted ``COUNT`` messages.
"""

import os

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

COUNT = int(os.environ["COUNT"])
received = 0


def on_connect(client, userdata, flags, reason_code, properties):
    client.subscribe([(f"devices/+/{kind}", 1) for kind in ("data", "status", "heartbeat")])


def on_message(client, userdata, message):
    global received
    received += 1
    if received == COUNT:
        client.disconnect()


is_mqtt5 = os.environ["PROTOCOL"] == "5"
client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, client_id="idle", protocol=mqtt.MQTTv5 if is_mqtt5 else mqtt.MQTTv311
)
client.on_connect = on_connect
client.on_message = on_message
properties = None
if is_mqtt5:
    properties = Properties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = 65535
client.connect("127.0.0.1", int(os.environ["MQTT_PORT"]), properties=properties)
client.loop_forever()
