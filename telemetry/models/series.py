"""The wide, time-partitioned series and the latest value of each device.

``HealthSample`` and ``InferenceWindow`` are partitioned by ``ts``; their tables are made by SQL in the migration (BRIN
on the open partition, btree(device, ts) once it is closed). They are written by binary COPY in ``telemetry/hot.py``
only. Their primary keys are Django's view of them: the tables carry no unique index, ingest takes each batch once.
"""

from __future__ import annotations

from django.db import models


class HealthSample(models.Model):
    """How a device was at one instant. All values float4, null when not measured."""

    pk = models.CompositePrimaryKey("device_id", "ts")
    device_id = models.BigIntegerField()
    ts = models.DateTimeField()
    cpu_ratio = models.FloatField(null=True)  # 0 to 1, of all cores
    memory_used_ratio = models.FloatField(null=True)
    storage_used_ratio = models.FloatField(null=True)
    temperature_c = models.FloatField(null=True)
    gpu_ratio = models.FloatField(null=True)
    network_rx_bytes_s = models.FloatField(null=True)
    network_tx_bytes_s = models.FloatField(null=True)
    power_w = models.FloatField(null=True)
    uptime_s = models.FloatField(null=True)
    load_1m = models.FloatField(null=True)
    process_memory_bytes = models.FloatField(null=True)
    clock_offset_s = models.FloatField(null=True)

    class Meta:
        managed = False
        db_table = "telemetry_healthsample"


class InferenceWindow(models.Model):
    """What a device's model did in one window: counts, latency, confidence, shadow comparison, sketches."""

    pk = models.CompositePrimaryKey("device_id", "ts", "model_name")
    device_id = models.BigIntegerField()
    ts = models.DateTimeField()  # end of the window
    window_s = models.FloatField()
    model_name = models.TextField()
    version = models.TextField()
    digest = models.TextField()
    inference_count = models.IntegerField()
    error_count = models.IntegerField()
    latency_ms_mean = models.FloatField(null=True)
    latency_ms_p50 = models.FloatField(null=True)
    latency_ms_p95 = models.FloatField(null=True)
    confidence_mean = models.FloatField(null=True)  # 0 to 1
    # While in probation: inputs run through the previous version too, and how often the answers differed.
    shadow_count = models.IntegerField()
    shadow_disagreement_count = models.IntegerField()
    shadow_latency_ms_mean = models.FloatField(null=True)  # the previous version's, on the same inputs
    sketches = models.BinaryField(null=True)  # see telemetry/policy/sketches.py

    class Meta:
        managed = False
        db_table = "telemetry_inferencewindow"


class DeviceLatest(models.Model):
    """The newest values of each device, and the last sequence taken of each of its streams (exactly-once)."""

    device = models.OneToOneField("fleet.Device", on_delete=models.CASCADE, primary_key=True, related_name="+")
    health_at = models.DateTimeField(null=True)
    health = models.JSONField(null=True)  # column name -> value
    window_at = models.DateTimeField(null=True)
    window = models.JSONField(null=True)  # inference window without its sketches
    # Highest sequence number committed per stream: 0 urgent, 1 windows, 2 health, 3 backlog.
    sequence_0 = models.BigIntegerField(default=0)
    sequence_1 = models.BigIntegerField(default=0)
    sequence_2 = models.BigIntegerField(default=0)
    sequence_3 = models.BigIntegerField(default=0)
