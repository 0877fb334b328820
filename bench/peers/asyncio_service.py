"""A service as asyncio suggests it: aiomqtt receives, a few workers each send one UPDATE a message over a pool.

It acknowledges on receipt, and two workers may write one device's messages in the wrong order.
"""

import asyncio
import json
import os
from datetime import datetime

import aiomqtt
import asyncmy

WORKERS = 32  # more gain nothing

DATA = "UPDATE device_main SET last_report_data = %s, last_seen = %s, is_online = 1 WHERE uuid = %s"
STATUS = (
    "UPDATE device_main SET last_report_data = %s, device_status = %s, last_seen = %s, is_online = 1 WHERE uuid = %s"
)
HEARTBEAT = "UPDATE device_main SET last_seen = %s, last_heartbeat = %s, is_online = 1 WHERE uuid = %s"


def statement(topic, payload):
    _, uuid, kind = topic.split("/")
    now = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    if kind == "heartbeat":
        return HEARTBEAT, (now, now, uuid)
    document = json.loads(payload)
    if kind == "status":
        return STATUS, (payload.decode(), document["status"], now, uuid)
    return DATA, (payload.decode(), now, uuid)


async def work(queue, pool):
    async with pool.acquire() as connection, connection.cursor() as cursor:
        while True:
            message = await queue.get()
            try:
                await cursor.execute(*statement(message.topic.value, message.payload))
            except Exception as error:
                print(f"not stored: {error!r}", flush=True)


async def main():
    pool = await asyncmy.create_pool(
        host="127.0.0.1",
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        db="aiot_admin",
        autocommit=True,
        minsize=WORKERS,
        maxsize=WORKERS,
    )
    queue = asyncio.Queue()
    workers = [asyncio.create_task(work(queue, pool)) for _ in range(WORKERS)]
    async with aiomqtt.Client(
        "127.0.0.1", int(os.environ["MQTT_PORT"]), identifier="asyncio", clean_session=False
    ) as client:
        await client.subscribe([(f"devices/+/{kind}", 1) for kind in ("data", "status", "heartbeat")])
        async for message in client.messages:
            queue.put_nowait(message)
    await asyncio.gather(*workers)


asyncio.run(main())
