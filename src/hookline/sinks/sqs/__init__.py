"""The sink for AWS SQS; read sink, messages, gatherer, clients, aws, http, outcomes."""

from hookline.sinks.sqs.sink import SqsSink

__all__ = ["SqsSink"]
