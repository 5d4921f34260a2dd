"""Wrong statements for chapter 11: what its checks have to notice."""

from wrong_statement import Wrong

WRONG = [
    Wrong(
        "11",
        "decimals: relu as much as x",
        "by_decimal = torch.tensor",
        "[1.0, 0.5, 0.0]",
        "[1.0, 1.0, 0.0]",
    ),
    Wrong(
        "11", "link: half of the rank", "_, s = random_matrix(seed, rank)", "slope - rank", "slope - rank / 2"
    ),
    Wrong("11", "link: largest rank", "rank = moving(*pieces)", "moving(*pieces)", "1.0"),
    Wrong(
        "11", "link: pieces of rank one do not count", "mixture = 2 * both", "prod() + (", "prod() + 0 * ("
    ),
    Wrong(
        "11", "surface: all of J's rank", '(("all directions", s)', '("on a line", line)', '("on a line", s)'
    ),
    Wrong("11", "I-MMSE: half of it", "curve, _, _ = random_curve", "slope - diff", "slope / 2 - diff"),
    Wrong("11", "soft count: twice the blur", "thresholds = 0.3 *", "logit(level) / 2", "logit(level)"),
    Wrong("11", "soft and hard: near ones only", "bound = near.sum(1)", " + 10 / (1 + c**2)", ""),
    Wrong("11", "area: half of the gap", "most = 10 * math.log(2)", "math.log(2) / 2", "math.log(2) / 4"),
    Wrong("11", "finite sample: noise four times", "bound = math.log(7)", "(8 * sigma**2)", "(2 * sigma**2)"),
    Wrong(
        "11",
        "scale: fixed noise does not see it",
        "grown_first, grown_second",
        "torch.allclose(grown_second, second",
        "torch.allclose(grown_first, first",
    ),
    Wrong(
        "11",
        "kinds: matched and crossed swapped",
        'assert four.loc[(task, "scaled"), "fixed"] > 0.5',
        '(task, "scaled"), "fixed"] > 0.5',
        '(task, "scaled"), "layer"] > 0.5',
    ),
    Wrong(
        "11",
        "final phase: falls in layer 1 on MNIST, too",
        "first[LOGDETS] > 1",
        "first[LOGDETS] > 1",
        "first[LOGDETS] < 1",
    ),
    Wrong(
        "11",
        "final phase: a certain fall in all four",
        "sure = each.apply(certain)",
        "[True, False, False, False]",
        "[True, True, True, True]",
    ),
    Wrong(
        "11",
        "bins: ReLU compresses",
        "answers = last.xs",
        'binned["tanh"].loc["L4":"L5"]',
        'binned["relu"].loc["L4":"L5"]',
    ),
    Wrong(
        "11",
        "exact: tanh loses",
        "outputs[lost > 1].max() < whole",
        'lost["tanh"].max()',
        'lost["relu"].max()',
    ),
]
