"""What can be set in the playground: the same choices in the page, in an address and in Python."""

from typing import Any

# Name -> its choices: what a menu or a slider offers, and what an address may hold.
CHOICES: dict[str, tuple] = {
    "data": ("teacher", "digits", "spirals", "rings", "moons"),
    "inputs": (2, 3, 5, 10, 15, 20, 30),  # of the teacher; the other data have their own
    "rank": (1, 2, 3, 4, 5, 6, 8, 10),  # of the teacher
    "width": (4, 8, 16, 24, 32, 48, 64),
    "depth": (1, 2, 3, 4, 5),  # hidden layers
    "activation": ("relu", "leaky_relu", "tanh", "softplus", "silu", "elu", "identity"),
    "loss": ("mse", "cross_entropy"),
    "lr": (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0),
    "momentum": (0.0, 0.5, 0.8, 0.9, 0.95, 0.99),
    "decay": (0.0, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1),
    "scale": (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0),  # a factor on He's start
    "noise": (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0),  # share of labels, or the teacher's deviation
    "batch": (1, 4, 8, 16, 32, 64, 128, 256, 500),
    "steps": (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000),
    "seed": tuple(range(100)),
}
# What the page calls them; `noise` of a teacher is another thing than wrong labels.
LABELS = {
    "data": "Data",
    "inputs": "Input dimensions",
    "rank": "Teacher's rank",
    "width": "Width",
    "depth": "Hidden layers",
    "activation": "Activation",
    "loss": "Loss",
    "lr": "Learning rate η",
    "momentum": "Momentum",
    "decay": "Weight decay λ",
    "scale": "Initial scale",
    "noise": "Wrong labels",
    "batch": "Batch size",
    "steps": "Steps",
    "seed": "Seed",
}
TARGET_NOISE = "Target noise"
TEXTS = {
    "data": ("rank-k teacher", "digits", "two spirals", "rings", "moons"),
    "activation": ("ReLU", "leaky ReLU", "tanh", "softplus", "SiLU", "ELU", "none: linear"),
    "loss": ("squared error", "cross-entropy"),
}
READINGS = ("absolute", "relative", "data-scaled", "effective", "stable")
COUNTED = READINGS[:3]  # compared with a threshold
THRESHOLDS = tuple(float(f"{m}e{e}") for e in (-4, -3, -2, -1, 0) for m in (1, 2, 5))


def checked(settings: Any) -> dict[str, Any]:
    """Return the settings as a dict of one choice for each name of :data:`CHOICES`, in that order.

    Raises ``TypeError`` for what is no dict, and ``ValueError`` for a name that is missing or unknown, for a value that
    is no choice, and for two that do not go together; the message says which, and what is allowed.
    """
    if not isinstance(settings, dict):
        raise TypeError(f"settings={settings!r}: must be a dict")
    if set(settings) != set(CHOICES):
        missing, unknown = sorted(set(CHOICES) - set(settings)), sorted(set(settings) - set(CHOICES))
        raise ValueError(f"settings: {missing} are missing and {unknown} unknown; must be {list(CHOICES)}")
    for name, choices in CHOICES.items():
        if settings[name] not in choices or isinstance(settings[name], bool):
            raise ValueError(f"{name}={settings[name]!r}: must be one of {list(choices)}")
    if settings["data"] == "teacher" and settings["rank"] > settings["inputs"]:
        raise ValueError(
            f"rank={settings['rank']}: must be at most the teacher's inputs={settings['inputs']}"
        )
    if settings["data"] == "teacher" and settings["loss"] != "mse":
        raise ValueError(
            f"loss={settings['loss']!r}: must be 'mse' with data='teacher', which has no classes"
        )
    return {name: next(c for c in choices if c == settings[name]) for name, choices in CHOICES.items()}
