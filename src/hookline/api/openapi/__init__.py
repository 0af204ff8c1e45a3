"""The OpenAPI document, from which clients are generated: what FastAPI gathers, set right."""

from hookline.api.openapi.document import document_of, operation_id, printed, text_of

__all__ = ["document_of", "operation_id", "printed", "text_of"]
