"""The deep variational information bottleneck (Alemi, Fischer, Dillon & Murphy, ICLR 2017), one model or M at once.

A stochastic code Z of x: q(z|x) = N(mean(x), diag(scale(x)^2)). With a decoder d(y|z) and a marginal m(z), for labels,

- the distortion D = E[-ln d(y|z)] is at least H(Y|Z), so I(Z;Y) >= H(Y) - D;
- the rate R = E KL(q(z|x) || m(z)) is at least I(X;Z).

Training minimises D + beta R. All in nats.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib import _checks
from lrlib.nets import MLP, MLPStack

SHIFT = 5.0  # scale = softplus(raw - SHIFT): raw scales near 0 give a narrow code, 0.0067, as in Alemi's code
LOG_2PI = math.log(2 * math.pi)

Generators = torch.Generator | Sequence[torch.Generator]


class VIB(nn.Module):
    """An encoder, a code of K numbers with Gaussian noise, a decoder of it, and a marginal.

    Args:
        encoder: takes (n, ...) to (n, 2K): K means, then K raw scales; scale = softplus(raw - 5).
        decoder: takes (n, K) to (n, C), the log-odds of C classes.
        code: K >= 1.
        marginal: None for m(z) = N(0, I), or G >= 1, the number of Gaussians with diagonal covariance in a learned
            mixture. Their means start as draws from N(0, I), their scales at 1.
        generator: CPU generator of the mixture's first means; the global generator is never touched.

    Raises ``TypeError`` or ``ValueError`` for arguments outside these rules.

    Example:
        >>> from lrlib.runtime import generator
        >>> g = generator(0)
        >>> vib = VIB(MLP([784, 64, 4], generator=g), MLP([2, 10], generator=g), code=2)
        >>> mean, scale = vib.encode(torch.zeros(5, 784))
        >>> mean.shape, scale.shape, vib(torch.zeros(5, 784)).shape
        (torch.Size([5, 2]), torch.Size([5, 2]), torch.Size([5, 10]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        code: int,
        marginal: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _checks.integer("code", code, minimum=1)
        if marginal is not None:
            _checks.integer("marginal", marginal, minimum=1)
            if generator is None:
                raise TypeError("generator=None: must be a torch.Generator where the marginal is a mixture")
        for name, net, at, width in (("encoder", encoder, -1, 2 * code), ("decoder", decoder, 0, code)):
            if not isinstance(net, nn.Module):
                raise TypeError(f"{name}: must be a torch.nn.Module, not {type(net).__name__}")
            if isinstance(net, MLP) and net.widths[at] != width:
                raise ValueError(
                    f"{name}: its width {'at the end' if at else 'at the start'} is {net.widths[at]}; "
                    f"must be {width} for code={code}"
                )
        self.encoder, self.decoder, self.code, self.marginal = encoder, decoder, code, marginal
        if marginal is not None:
            means = torch.randn(marginal, code, generator=_checks.cpu_generator("generator", generator))
            like = next(encoder.parameters(), means)
            self.mixture_means = nn.Parameter(means.to(like))
            self.mixture_log_scales = nn.Parameter(torch.zeros_like(self.mixture_means))
            self.mixture_logits = nn.Parameter(torch.zeros(marginal).to(like))

    def encode(self, x: Float[Tensor, "*M n d"]) -> tuple[Float[Tensor, "*M n K"], Float[Tensor, "*M n K"]]:
        """Return the mean and the scale (standard deviation, > 0) of q(z|x)."""
        out = self.encoder(x)
        if out.shape[-1] != 2 * self.code:
            raise ValueError(
                f"encoder: gives {out.shape[-1]} numbers an input; must be {2 * self.code}, a mean and a scale for "
                f"each of code={self.code}"
            )
        return out[..., : self.code], F.softplus(out[..., self.code :] - SHIFT)

    def sample(
        self, x: Float[Tensor, "*M n d"], generator: Generators, *, samples: int = 1
    ) -> Float[Tensor, "*M S n K"]:
        """Return draws of z given each x; a stack takes one CPU generator a model."""
        return _draws(*self.encode(x), generator, samples)

    def decode(self, z: Float[Tensor, "*M S n K"]) -> Float[Tensor, "*M S n C"]:
        """Return the log-odds of the classes at codes z."""
        return self.decoder(z.flatten(-3, -2)).unflatten(-2, z.shape[-3:-1])

    def forward(self, x: Float[Tensor, "*M n d"]) -> Float[Tensor, "*M n C"]:
        """Return the log-odds at the mean code: what the network says without its noise."""
        return self.decode(self.encode(x)[0].unsqueeze(-3)).squeeze(-3)

    def predict(
        self, x: Float[Tensor, "*M n d"], generator: Generators, *, samples: int = 12
    ) -> Float[Tensor, "*M n C"]:
        """Return the probabilities of the classes, averaged over draws of z."""
        return self.decode(self.sample(x, generator, samples=samples)).softmax(-1).mean(-3)

    def rate(
        self, x: Float[Tensor, "*M n d"], generator: Generators | None = None, *, samples: int = 1
    ) -> Float[Tensor, "*M n"]:
        """Return KL(q(z|x) || m(z)) at every x, in nats: its mean bounds I(X;Z) from above.

        In closed form for the standard normal; for a mixture the mean over draws of z, for which a generator is
        needed (``TypeError`` without).
        """
        mean, scale = self.encode(x)
        if self.marginal is None:
            return _rate_to_normal(mean, scale)
        if generator is None:
            raise TypeError("generator=None: must be a torch.Generator: the rate to a mixture is sampled")
        return self._sampled_rate(_draws(mean, scale, generator, samples), mean, scale)

    def distortion(
        self, x: Float[Tensor, "*M n d"], y: Int64[Tensor, "*M n"], generator: Generators, *, samples: int = 1
    ) -> Float[Tensor, "*M n"]:
        """Return the mean of -ln d(y|z) over draws of z at every x, in nats: its mean is at least H(Y|Z)."""
        return self._distortion(self.sample(x, generator, samples=samples), y)

    def terms(
        self, x: Float[Tensor, "*M n d"], y: Int64[Tensor, "*M n"], generator: Generators, *, samples: int = 1
    ) -> tuple[Float[Tensor, "*M n"], Float[Tensor, "*M n"]]:
        """Return distortion and rate at every x, from the same draws of z."""
        mean, scale = self.encode(x)
        z = _draws(mean, scale, generator, samples)
        rate = _rate_to_normal(mean, scale) if self.marginal is None else self._sampled_rate(z, mean, scale)
        return self._distortion(z, y), rate

    def log_marginal(self, z: Float[Tensor, "*M S n K"]) -> Float[Tensor, "*M S n"]:
        """Return ln m(z)."""
        if self.marginal is None:
            return -0.5 * (z.square() + LOG_2PI).sum(-1)
        # (*M, 1, 1, G, K) against (*M, S, n, 1, K)
        means, log_scales = (p[..., None, None, :, :] for p in (self.mixture_means, self.mixture_log_scales))
        each = _log_normal(z.unsqueeze(-2), means, log_scales.exp(), log_scales)
        return (each + self.mixture_logits.log_softmax(-1)[..., None, None, :]).logsumexp(-1)

    def _sampled_rate(self, z: Tensor, mean: Tensor, scale: Tensor) -> Float[Tensor, "*M n"]:
        own = _log_normal(z, mean.unsqueeze(-3), scale.unsqueeze(-3), scale.log().unsqueeze(-3))
        return (own - self.log_marginal(z)).mean(-2)

    def _distortion(self, z: Tensor, y: Tensor) -> Float[Tensor, "*M n"]:
        log_p = self.decode(z).log_softmax(-1)
        if y.dtype != torch.int64 or y.shape != z.shape[:-3] + z.shape[-2:-1]:
            raise ValueError(
                f"y: is {y.dtype} of shape {tuple(y.shape)}; must be int64 of shape "
                f"{tuple(z.shape[:-3] + z.shape[-2:-1])}, a class for each input"
            )
        index = y[..., None, :, None].expand(*log_p.shape[:-1], 1)
        return -log_p.gather(-1, index).squeeze(-1).mean(-2)


class VIBStack(VIB):
    """M VIBs of one shape as one module, for :func:`lrlib.train.fit_many`: every tensor has a first axis of length M.

    Args:
        vibs: M :class:`VIB` whose encoders and decoders are MLPs, all of one shape. Their weights are copied.

    Methods are those of :class:`VIB`, with one generator a model; ``stack[m]`` is a copy of model m.
    Raises ``TypeError`` or ``ValueError`` for none, for other encoders or decoders, or for different shapes.
    """

    def __init__(self, vibs: Sequence[VIB]) -> None:
        if not vibs:
            raise ValueError("vibs: there are none; must be at least one")
        for m, vib in enumerate(vibs):
            if not isinstance(vib, VIB):
                raise TypeError(f"vibs[{m}]: must be a VIB, not {type(vib).__name__}")
        kinds = {(vib.code, vib.marginal) for vib in vibs}
        if len(kinds) > 1:
            raise ValueError(f"vibs: codes and marginals are {sorted(kinds, key=str)}; must be one")
        encoder, decoder = (MLPStack([getattr(vib, part) for vib in vibs]) for part in ("encoder", "decoder"))
        super().__init__(encoder, decoder, code=vibs[0].code)
        self.marginal = vibs[0].marginal
        if self.marginal is not None:
            for name in ("mixture_means", "mixture_log_scales", "mixture_logits"):
                stacked = torch.stack([getattr(vib, name).detach() for vib in vibs])
                self.register_parameter(name, nn.Parameter(stacked))

    def __len__(self) -> int:
        """Return M."""
        return len(self.encoder)

    def __getitem__(self, m: int) -> VIB:
        """Return a copy of model m."""
        vib = VIB(self.encoder[m], self.decoder[m], code=self.code)
        vib.marginal = self.marginal
        if self.marginal is not None:
            for name in ("mixture_means", "mixture_log_scales", "mixture_logits"):
                vib.register_parameter(name, nn.Parameter(getattr(self, name)[m].detach().clone()))
        return vib


def one_model(vib: VIB) -> None:
    """Raise ``TypeError`` for what is no VIB, or a stack of them."""
    if not isinstance(vib, VIB) or isinstance(vib, VIBStack):
        raise TypeError(f"vib: is a {type(vib).__name__}; must be one VIB, such as stack[0]")


def vib_loss(
    beta: float | Sequence[float], *, samples: int = 1
) -> Callable[[VIB, Tensor, Tensor, Generators], Tensor]:
    """Return the loss D + beta R, nats, for :func:`lrlib.train.train`, or for ``fit_many`` with M betas or one.

    Args:
        beta: >= 0; the price of a nat of rate, or one for each model of a stack.
        samples: draws of z for each input and step, >= 1.
    """
    betas = list(beta) if isinstance(beta, Sequence) else [beta]
    for i, value in enumerate(betas):
        _checks.number(f"beta[{i}]" if isinstance(beta, Sequence) else "beta", value)
    _checks.integer("samples", samples, minimum=1)

    def loss(vib: VIB, x: Tensor, y: Tensor, generator: Generators) -> Tensor:
        models = len(vib) if isinstance(vib, VIBStack) else 1
        if isinstance(beta, Sequence) and len(betas) != models:
            raise ValueError(f"beta: there are {len(betas)}; must be one number, or {models}, one a model")
        distortion, rate = vib.terms(x, y, generator, samples=samples)
        price = rate.new_tensor(betas if isinstance(beta, Sequence) else beta)
        return distortion.mean(-1) + price * rate.mean(-1)

    return loss


def _draws(mean: Tensor, scale: Tensor, generator: Generators, samples: int) -> Float[Tensor, "*M S n K"]:
    _check_draws(mean, generator, samples)
    shape = (samples, *mean.shape[-2:])
    if isinstance(generator, torch.Generator):
        noise = torch.randn(shape, generator=generator, dtype=mean.dtype)
    else:
        noise = torch.stack([torch.randn(shape, generator=g, dtype=mean.dtype) for g in generator])
    return mean.unsqueeze(-3) + scale.unsqueeze(-3) * noise.to(mean.device)


def _check_draws(mean: Tensor, generator: Generators, samples: int) -> None:
    """Raise unless there is a generator for each model: broadcasting would share noise among them without a word."""
    _checks.integer("samples", samples, minimum=1)
    if mean.ndim == 2:
        if not isinstance(generator, torch.Generator):
            raise TypeError(f"generator={generator!r}: must be a torch.Generator, for there is one model")
    elif not isinstance(generator, Sequence) or len(generator) != len(mean):
        raise TypeError(f"generator={generator!r}: must be a sequence of {len(mean)}, one for each model")


def _rate_to_normal(mean: Tensor, scale: Tensor) -> Float[Tensor, "*M n"]:
    return (0.5 * (mean.square() + scale.square() - 1) - scale.log()).sum(-1)


def _log_normal(z: Tensor, mean: Tensor, scale: Tensor, log_scale: Tensor) -> Tensor:
    """Return ln N(z; mean, diag(scale^2)), summed over the last axis."""
    return -(0.5 * ((z - mean) / scale).square() + log_scale + 0.5 * LOG_2PI).sum(-1)
