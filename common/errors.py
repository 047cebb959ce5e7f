"""The base class of every error that a command prints as a sentence instead of a stack trace."""


class InputError(ValueError):
    """An input of the user is wrong and can be corrected.

    The message is a sentence that names the file, the value and what was expected. A command prints it on standard
    error and ends with exit status 2. Each part of the package derives its own classes from this one, so that callers
    in Python can distinguish them.
    """
