"""Hookline: PBX events to webhooks and SQS queues, durable, signed and bounded."""

__version__ = "0.2.0"
