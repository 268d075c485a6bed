"""Checks: questions asked of what a stage made.

Belongs here: how a check is named and answered.  What is asked lives beside the work it judges.
"""

from dataclasses import dataclass
from typing import Any

from director_diffusion.storage.artifact import CheckOutcome


@dataclass(frozen=True)
class Check:
    """A question with a name; a blocking one that fails keeps later stages from reading the artifact."""

    name: str
    description: str
    blocking: bool

    def outcome(self, passed: bool, description: str, **metadata: Any) -> CheckOutcome:
        """The answer, with its reason in words and numbers for the UI (plain JSON values)."""
        return CheckOutcome(
            name=self.name, passed=bool(passed), blocking=self.blocking, description=description, metadata=metadata
        )
