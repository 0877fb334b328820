"""The broker: MQTT packets, paho on a Twisted transport, and the subscriber that begins again."""
