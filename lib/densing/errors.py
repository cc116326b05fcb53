"""Errors and warnings of the library, each a kind of the built-in error that a caller would expect."""


class InputError(ValueError):
    """A parameter, a column or a file that the caller gave cannot be used; says which, and what is allowed."""


class ExternalDataMissing(InputError):
    """A table that the book may not ship is not on this machine; says where it comes from."""


class ArchiveMissing(ExternalDataMissing):
    """A package archive that the book reads is not on this machine; says which command gets it."""


class ChapterError(RuntimeError):
    """A chapter stopped while it ran; names the cell and the exception."""


class FitError(ValueError):
    """A law could not be fitted; the text ends with what to try."""


class IdentifiabilityWarning(UserWarning):
    """The data cannot tell some parameters of a law apart."""
