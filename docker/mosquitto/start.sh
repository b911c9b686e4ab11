#!/bin/sh
# Make the password file, then become the broker.
set -eu
if [ "${#MQTT_PASSWORD}" -lt 16 ]; then
    echo "mosquitto: MQTT_PASSWORD must have at least 16 characters; set it in docker/.env" >&2
    exit 1
fi
umask 077
mosquitto_passwd -c -b /mosquitto/data/passwords flotilla "$MQTT_PASSWORD"
chown mosquitto:mosquitto /mosquitto/data/passwords
exec mosquitto -c /mosquitto/config/mosquitto.conf
