"""The sink for AWS SQS; read sink, urls, messages, gatherer, clients, aws, http, outcomes."""

from hookline.sinks.sqs.sink import SqsSink

__all__ = ["SqsSink"]
