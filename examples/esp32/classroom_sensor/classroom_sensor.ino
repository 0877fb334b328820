// A classroom sensor: reports temperature and humidity at QoS 1, and has the broker say "offline" when it is cut off.
// Board: any ESP32. Library: "MQTT" by Joel Gaehwiler (256dpi/arduino-mqtt), from the Library Manager.
#include <WiFi.h>
#include <MQTT.h>

const char WIFI_NAME[] = "classroom";
const char WIFI_PASSWORD[] = "change me";
const char BROKER[] = "192.168.1.10";  // the computer that runs Mosquitto
const int PORT = 1883;
const char USER[] = "";  // empty: the broker lets anybody in
const char PASSWORD[] = "";
#define UUID "esp32-classroom-1"  // the uuid of this device's row in the table

const char DATA_TOPIC[] = "devices/" UUID "/data";
const char STATUS_TOPIC[] = "devices/" UUID "/status";
const char HEARTBEAT_TOPIC[] = "devices/" UUID "/heartbeat";
const unsigned long REPORT_EVERY = 10000;    // ms
const unsigned long HEARTBEAT_EVERY = 30000;  // ms
const bool NOT_RETAINED = false;
const int QOS = 1;  // at QoS 0 a message may be lost without anybody knowing

WiFiClient network;
MQTTClient mqtt(256);  // bytes of the longest packet
unsigned long lastReport = 0;
unsigned long lastHeartbeat = 0;

void connectToBroker() {
  while (WiFi.status() != WL_CONNECTED) delay(100);
  // Before connect(): the will travels in CONNECT. The broker publishes it when we vanish without saying goodbye.
  mqtt.setWill(STATUS_TOPIC, "offline", NOT_RETAINED, QOS);
  while (!mqtt.connect(UUID, USER[0] ? USER : nullptr, PASSWORD[0] ? PASSWORD : nullptr)) delay(1000);
  mqtt.publish(STATUS_TOPIC, "{\"status\": \"active\"}", NOT_RETAINED, QOS);
}

void setup() {
  Serial.begin(115200);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  mqtt.begin(BROKER, PORT, network);
  mqtt.setKeepAlive(10);  // seconds; the broker takes us for gone after one and a half times as long
  connectToBroker();
}

void loop() {
  mqtt.loop();
  if (!mqtt.connected()) connectToBroker();

  if (millis() - lastReport >= REPORT_EVERY) {
    float temperature = 21.5, humidity = 48;  // read your sensor here
    char report[64];
    snprintf(report, sizeof report, "{\"temperature\": %.1f, \"humidity\": %.0f}", temperature, humidity);
    // True only once the broker has acknowledged; otherwise try again in the next round.
    if (mqtt.publish(DATA_TOPIC, report, NOT_RETAINED, QOS)) lastReport = millis();
  }
  if (millis() - lastHeartbeat >= HEARTBEAT_EVERY) {
    if (mqtt.publish(HEARTBEAT_TOPIC, "", NOT_RETAINED, QOS)) lastHeartbeat = millis();
  }
}
