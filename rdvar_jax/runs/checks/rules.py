"""What several sections ask of a setting. Each rule gives the sentences of what is wrong."""


def one_of(name: str, value: str, choices: tuple[str, ...]) -> list[str]:
    """The value is one of the choices."""
    return [] if value in choices else [f"{name}={value} is not one of {', '.join(choices)}."]


def at_least(name: str, value: int, least: int) -> list[str]:
    """The value is not under `least`."""
    return [] if value >= least else [f"{name}={value} must be at least {least}."]
