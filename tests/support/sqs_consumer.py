"""A customer's consumer: plain boto3, reading, verifying and deleting, as the guide says."""

from typing import Any

import boto3

from support.sqs_shipments import REGION, is_signed

Message = dict[str, Any]  # as boto3 gives it to a consumer


class Consumer:
    """Queues of one emulator, seen from the customer's side. Blocks: call it in a thread."""

    def __init__(self, endpoint: str) -> None:
        self._boto: Any = boto3.client(  # boto3 builds its clients at run time
            "sqs",
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id="consumer",
            aws_secret_access_key="another secret",
        )

    def create(self, name: str, **attributes: str) -> str:
        """Make a queue and return its URL, as the emulator names it."""
        url: str = self._boto.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    def read(self, url: str, expected: int) -> list[Message]:
        """Take messages until `expected` have come, or none comes for two seconds."""
        messages: list[Message] = []
        while len(messages) < expected:
            answer = self._boto.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
                WaitTimeSeconds=2,
            )
            batch = answer.get("Messages", [])
            if not batch:
                break
            messages += batch
            self._boto.delete_message_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                    for index, message in enumerate(batch)
                ],
            )
        return messages

    def close(self) -> None:
        """Close every connection."""
        self._boto.close()


def is_verified(message: Message) -> bool:
    """Check a message's `X-SIGNATURE` over its body."""
    return is_signed(message["Body"], message["MessageAttributes"]["X-SIGNATURE"]["StringValue"])
