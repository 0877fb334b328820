"""A service as many are written: paho hands each message to a thread pool, which opens an ORM session, looks the device
up, assigns and commits.

It acknowledges on receipt, and two threads may write one device's messages in the wrong order.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import paho.mqtt.client as mqtt
from sqlalchemy import JSON, URL, DateTime, Integer, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

WORKERS = 8  # more gain nothing
POOL_SIZE, MAX_OVERFLOW, POOL_RECYCLE = 5, 10, 3600


class Base(DeclarativeBase):
    pass


class Device(Base):
    __tablename__ = "device_main"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    device_status: Mapped[str] = mapped_column(String(20))
    is_online: Mapped[bool]
    last_seen: Mapped[datetime | None] = mapped_column(DateTime)
    last_heartbeat: Mapped[datetime | None] = mapped_column(DateTime)
    last_report_data: Mapped[dict | None] = mapped_column(JSON)


engine = create_engine(
    URL.create(
        "mysql+pymysql",
        os.environ["DB_USER"],
        os.environ["DB_PASSWORD"],
        "127.0.0.1",
        int(os.environ["DB_PORT"]),
        "aiot_admin",
    ),
    pool_size=POOL_SIZE,
    max_overflow=MAX_OVERFLOW,
    pool_recycle=POOL_RECYCLE,
)
workers = ThreadPoolExecutor(WORKERS)


def store(topic, payload):
    try:
        _, uuid, kind = topic.split("/")
        with Session(engine) as session:
            device = session.scalars(select(Device).where(Device.uuid == uuid)).first()
            if device is None:
                print(f"unknown device {uuid}", flush=True)
                return
            now = datetime.now()
            device.last_seen = now
            device.is_online = True
            if kind == "heartbeat":
                device.last_heartbeat = now
            else:
                document = json.loads(payload)
                device.last_report_data = document
                if kind == "status" and "status" in document:
                    device.device_status = document["status"]
            session.commit()
    except Exception as error:
        print(f"not stored: {error!r}", flush=True)


def on_connect(client, userdata, flags, reason_code, properties):
    client.subscribe([(f"devices/+/{kind}", 1) for kind in ("data", "status", "heartbeat")])


def on_message(client, userdata, message):
    workers.submit(store, message.topic, message.payload)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="orm", clean_session=False)
client.on_connect = on_connect
client.on_message = on_message
client.connect("127.0.0.1", int(os.environ["MQTT_PORT"]))
client.loop_forever()
