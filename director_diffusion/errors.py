"""Errors that a person can act on.

Belongs here: the exception types that cross a module's edge. Each names the thing, the problem and the way out.
"""


class DirectorError(Exception):
    """Something a person can mend.  `str()` reads as: thing: problem. way out."""

    def __init__(self, thing: str, problem: str, way_out: str):
        self.thing, self.problem, self.way_out = thing, problem.rstrip("."), way_out
        super().__init__(thing, problem, way_out)

    def __str__(self) -> str:
        return f"{self.thing}: {self.problem}. {self.way_out}"


class SpecError(DirectorError):
    """A configuration file that cannot be read as what it should be."""


class StoreError(DirectorError):
    """The store lacks, refuses or cannot hold something."""


class BusyError(DirectorError):
    """Somebody else is writing this very thing."""


class DeviceError(DirectorError):
    """A machine has not the devices that are asked for, or they do not work."""


class DevicesBusyError(DeviceError):
    """Devices that there are did not become free in time."""


class StillsError(DirectorError):
    """A director's stills cannot be used as they are."""


class CaptionError(DirectorError):
    """Captions cannot be made or joined to a trigger."""


class ModelError(DirectorError):
    """A model's files are absent, gated, incomplete or of another kind."""


class DataError(DirectorError):
    """Pictures that a base is to be trained on from scratch cannot be used as they are."""


class TrainingError(DirectorError):
    """A training cannot start or go on."""


class EvaluationError(DirectorError):
    """Samples or scores cannot be made or judged."""


class PublishError(DirectorError):
    """A model card or repository cannot be written."""


class AlertError(DirectorError):
    """An alert did not reach whom it was for."""


class OrderError(DirectorError):
    """What somebody asks of the studio is refused.  Its words may be shown to whoever sent it."""


class EditError(DirectorError):
    """What somebody would change or choose is refused.  Its words may be shown to whoever sent it."""


class ChangedError(EditError):
    """Somebody else has changed something since it was shown to who would change it now."""


class QueueFullError(OrderError):
    """Too many wait for the studio's one place to draw."""


class VoteError(DirectorError):
    """A voter, a ballot or an answer that is refused.  Its words may be shown to whoever sent it."""


class AlreadyVotedError(VoteError):
    """This voter has voted on this pair before; that vote stands."""


class LedgerError(DirectorError):
    """The ledger of votes, or the booth's key, cannot be read or written.  Its words are for who runs the server."""


class TransientError(DirectorError):
    """Likely to pass by itself (a network fault, a rate limit); the orchestrator may try again."""
