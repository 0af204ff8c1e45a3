"""The sink for AWS SQS; read sink, urls, messages, gatherer, clients, aws."""

from hookline.sinks.sqs.sink import SqsSink

__all__ = ["SqsSink"]
