-- For docker-compose.yml only: the columns of device_main that matter here, one device, and the service's user.
-- In production the table belongs to the backend; the service updates rows and makes nothing.

SET NAMES utf8mb4;

CREATE TABLE device_main (
  id int NOT NULL AUTO_INCREMENT,
  uuid varchar(36) NOT NULL COMMENT '设备UUID，用于MQTT主题',
  device_id varchar(50) NOT NULL COMMENT '设备编号',
  name varchar(100) NOT NULL,
  device_secret varchar(255) NOT NULL,
  device_status varchar(20) NOT NULL DEFAULT 'pending',
  is_online tinyint(1) NOT NULL DEFAULT '0',
  last_seen datetime DEFAULT NULL,
  last_heartbeat datetime DEFAULT NULL,
  last_report_data json DEFAULT NULL,
  created_at datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at datetime NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  UNIQUE KEY uk_device_main_uuid (uuid),
  UNIQUE KEY uk_device_main_device_id (device_id),
  KEY ix_device_main_device_status (device_status),
  KEY ix_device_main_is_online (is_online)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

INSERT INTO device_main (uuid, device_id, name, device_secret)
VALUES ('test-device-uuid', 'test-device', '测试设备', 'evaluation');

CREATE USER 'aiot'@'%' IDENTIFIED BY 'evaluation';
GRANT SELECT (id, uuid, last_report_data, device_status, last_seen, last_heartbeat, is_online),
      UPDATE (last_report_data, device_status, last_seen, last_heartbeat, is_online)
   ON aiot_admin.device_main TO 'aiot'@'%';
