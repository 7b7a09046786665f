"""Documents that describe steps."""

from orq_runtime.workflow.document import Document
from orq_runtime.workflow.step_document import StepDocument, read_step

__all__ = ["Document", "StepDocument", "read_step"]
