"""Wrong statements for the chapter on the deep variational bottleneck."""

from wrong_statement import Wrong

WRONG = [
    Wrong("10", "gap: of the marginal, without beta", "right = H_y + beta", "beta * gap_m", "gap_m"),
    Wrong("10", "floor: not attained", "p_x, copy = random_table(0, 5)", "- torch", "- 0.9 * torch"),
    Wrong(
        "10",
        "rate: twice the logarithm",
        "KL to the standard normal for each row",
        "scale.log()",
        "2 * scale.log()",
        "integral = (log_q.exp()",
    ),
    Wrong(
        "10",
        "reparametrised: the scale's share forgotten",
        "The distortion of class 0 at z",
        "s * noise)",
        "s.detach() * noise)",
        "up, down = exact(",
    ),
    Wrong("10", "floor: the same at every price", "assert H_y < D + R", "min(beta, 1) * H_y", "H_y"),
    Wrong(
        "10",
        "bracket: lower bound without 1/N",
        "def bracket(",
        "+ math.log(N)",
        "+ 2 * math.log(N)",
        "(err, _) = both",
    ),
    Wrong(
        "10",
        "bracket: upper bound without 1/(N - 1)",
        "def bracket(",
        "+ math.log(N - 1)",
        "+ 0",
        "(err, _) = both",
    ),
    Wrong("10", "averaging: raises the log-loss", "losses = [averaged", "> losses[1] > losses", "< losses"),
    Wrong("10", "relative: no shift from below", "S, flat = low_rank", "flat[9:] <= s[:-9]", "flat <= s"),
    Wrong("10", "relative: no shift from above", "S, flat = low_rank", "s[9:] <= flat[:-9]", "s <= flat"),
    Wrong("10", "plateau: as many directions as classes", "new_mu, new_noise = ", "== 2", "== 3"),
    Wrong("10", "plateau: no noise beside", "new_mu, new_noise = ", " + torch.eye(6) - P", ""),
    Wrong(
        "10",
        "Gaussian: beta squared",
        "exact_ib = [gaussian_ib(",
        "1 / beta)",
        "1 / beta**2)",
        "assert fitted.converged",
    ),
    Wrong(
        "10",
        "empty code: correlations not squared",
        "def squared_correlations(",
        "bases[1]) ** 2",
        "bases[1])",
        "curvature = hessian(",
    ),
    Wrong("10", "empty code: one more direction", "curvature = hessian(", "* square, i)", "* square, i + 1)"),
    Wrong("10", "class code: twice the gain", "(D, R), excess = three(r)", "* r**2 / 2", "* r**2"),
    Wrong(
        "10", "class code: pays at 1, too", "three(math.sqrt(1 - beta) / 2)", "0.8, 0.98)", "0.8, 0.98, 1.0)"
    ),
    Wrong(
        "10",
        "plane: the decoder's constant doubled",
        "def plane_code(",
        "(m**2 / s**2).sum(1) / 2",
        "(m**2 / s**2).sum(1)",
        "two = min(",
    ),
    Wrong(
        "10",
        "noisy labels: the empty code is best wherever it is stable",
        "half = torch.full(",
        "> 0.64 *",
        "< (1 - 2 / 9) ** 2 *",
    ),
    Wrong("10", "collapse: in proportion to 1 - beta", "near, nearer = ", "math.sqrt(1 - b)", "(1 - b)"),
]
