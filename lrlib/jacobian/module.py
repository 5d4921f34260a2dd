"""The engine for any module: Jacobians of named submodules' outputs by torch.func, on a float64 twin."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import jvp, vjp, vmap

from lrlib.jacobian import counting, lanczos
from lrlib.jacobian.counting import LayerCounts, LayerValues
from lrlib.jacobian.engine import group_size, selected

DEFAULT = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# A Jacobian is formed, to be counted, if it takes at most LARGEST bytes at one input, or at most TOGETHER bytes
# where its smaller side exceeds EXACT_UP_TO. Otherwise its counts are estimated.
EXACT_UP_TO = 2048
TOGETHER = 2**28  # also the most that the Jacobians of several layers take together
LARGEST = 2**31  # also the most of which a whole spectrum is found
ROUNDINGS = 16.0  # automatic differentiation multiplies factors whose norms nobody sees: rounds J so often


class ModuleEngine:
    """Spectra and counts by automatic differentiation: an :class:`lrlib.jacobian.engine.Engine`.

    Everything happens on a copy in float64 and evaluation mode, so the caller's module is never touched.
    """

    def __init__(
        self,
        net: nn.Module,
        layers: Sequence[str] | None,
        probe: Float[Tensor, "1 *d"],
        factor: Float[Tensor, "d r"] | None,
        chunk: int | None,
        generator: torch.Generator,
    ) -> None:
        self._twin = _twin(net, probe.device)
        modules = dict(self._twin.named_modules(remove_duplicate=False))
        floats = _output_sizes(self._twin, probe)
        default = [name for name in floats if isinstance(modules[name], DEFAULT)]
        if layers is None and not default:
            raise ValueError(
                "net: no Linear or Conv module is called; name the submodules to look at by layers="
            )
        self.layers = selected(layers, default if layers is None else list(modules))
        self._seen: dict[str, Tensor] = {}
        for name in self.layers:
            aliases = [
                other for other, module in modules.items() if module is modules[name] and other != name
            ]
            if aliases:
                raise ValueError(
                    f"layers: {name!r} is shared, {aliases} are the same module: name its callers instead"
                )
            modules[name].register_forward_hook(_keep_output(self._seen, name))
        self._factor, self._generator = factor, generator
        self._shape = probe.shape[1:]
        self._columns = prod(self._shape) if factor is None else factor.shape[1]
        with _differentiable():
            self._rows = {name: out.numel() for name, out in self._outputs(probe[0]).items()}
        self._exact = [name for name in self.layers if not self._too_large(name)]
        rows = sum(self._rows[name] for name in self._exact)
        self.window = self._group = group_size(chunk, max(1, 2 * rows * self._columns), probe.device)
        # while differentiating, every module's output is held once for each direction
        self._directions = group_size(None, self._group * max(1, sum(floats.values())), probe.device)

    def values(self, inputs: Float[Tensor, "n *d"], resolution: float) -> list[LayerValues]:
        """Return every layer's singular values, from Gram matrices where those resolve what is wanted."""
        for name in self.layers:
            size = self._bytes(name)
            if size > LARGEST:
                raise ValueError(
                    f"layers: the Jacobian of {name!r} is {self._rows[name]} x {self._columns}, "
                    f"{size / 2**30:.2f} GiB; at most {LARGEST / 2**30:g} GiB are formed; "
                    "local_rank and jacobian_counts estimate its counts"
                )
        answers = []
        for _, jacobian in self._jacobians(inputs, self.layers):
            error = self._error(jacobian)
            if resolution == 0:
                answers.append(counting.from_svd(*counting.svd_values(jacobian, error)))
            else:
                gram = counting.smaller_gram(jacobian)
                found, resolved = counting.gram_values(gram, _squared(jacobian, error))
                answers.append(counting.refined(found, resolved, _svd_where(jacobian, error), resolution))
        return answers

    def counts(
        self, inputs: Float[Tensor, "n *d"], eps: Float[Tensor, " E"], relative: bool
    ) -> list[LayerCounts]:
        """Return how many singular values of every layer exceed eps, times sigma_1 if relative."""
        answers = {}
        for name, jacobian in self._jacobians(inputs, self._exact):
            error = self._error(jacobian)
            gram = counting.smaller_gram(jacobian)
            found = counting.gram_counts(gram, _squared(jacobian, error), eps, relative)
            answers[name] = counting.certified(found, _svd_where(jacobian, error), eps, relative)
        for name in self.layers:
            if name not in answers:
                answers[name] = self._estimate(name, inputs, eps, relative)
        return [answers[name] for name in self.layers]

    def _bytes(self, name: str) -> int:
        return 8 * self._rows[name] * self._columns

    def _too_large(self, name: str) -> bool:
        """Return whether this layer's counts are estimated rather than found."""
        small_side = min(self._rows[name], self._columns) <= EXACT_UP_TO
        return self._bytes(name) > (LARGEST if small_side else TOGETHER)

    def _outputs(self, one: Float[Tensor, "*d"]) -> dict[str, Float[Tensor, " n_l"]]:
        self._seen.clear()
        self._twin(one.unsqueeze(0))
        missing = [name for name in self.layers if name not in self._seen]
        if missing:
            raise ValueError(f"layers={missing}: not called when net runs on x; name submodules that are")
        return {name: self._seen[name].flatten() for name in self.layers}

    def _jacobians(
        self, inputs: Float[Tensor, "n *d"], names: Sequence[str]
    ) -> Iterator[tuple[str, Float[Tensor, "n n_l r"]]]:
        """Yield the names and dp_l/dx (times the input factor), as many layers together as memory holds."""
        together: list[str] = []
        for name in names:
            if together and len(inputs) * sum(map(self._bytes, [*together, name])) > TOGETHER:
                yield from self._jacobians_together(inputs, together)
                together = []
            together.append(name)
        if together:
            yield from self._jacobians_together(inputs, together)

    def _jacobians_together(
        self, inputs: Float[Tensor, "n *d"], names: list[str]
    ) -> Iterator[tuple[str, Float[Tensor, "n n_l r"]]]:
        """Differentiate several layers in one go, in whichever mode needs fewer passes."""
        rows = [self._rows[name] for name in names]

        def outputs(one: Tensor) -> Tensor:
            found = self._outputs(one)
            return torch.cat([found[name] for name in names])

        def by_rows(one: Tensor) -> Tensor:
            _, pull = vjp(outputs, one)
            directions = torch.eye(sum(rows), dtype=one.dtype, device=one.device)
            found = vmap(lambda u: pull(u)[0].flatten(), chunk_size=self._directions)(directions)
            return found if self._factor is None else found @ self._factor

        def by_columns(one: Tensor) -> Tensor:
            if self._factor is None:
                directions = torch.eye(self._columns, dtype=one.dtype, device=one.device)
            else:
                directions = self._factor.mT
            directions = directions.reshape(self._columns, *self._shape)
            return vmap(lambda v: jvp(outputs, (one,), (v,))[1], chunk_size=self._directions)(directions).mT

        with _differentiable():
            if not torch.isfinite(vmap(outputs)(inputs)).all():  # slopes there would be wrong without a word
                raise FloatingPointError(
                    f"net: an output of {', '.join(names)} overflows float64 at these inputs"
                )
            jacobian = vmap(by_rows if sum(rows) <= self._columns else by_columns)(inputs)
        return zip(names, jacobian.split(rows, dim=1), strict=True)

    def _estimate(self, name: str, inputs: Tensor, eps: Tensor, relative: bool) -> LayerCounts:
        """Estimate the counts of a Jacobian too large to form, from products with vectors."""
        tall = self._rows[name] >= self._columns

        def gram_product(one: Tensor, vectors: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
            def output(one: Tensor) -> Tensor:
                return self._outputs(one)[name]

            def push(v: Tensor) -> Tensor:
                direction = v if self._factor is None else self._factor @ v
                return jvp(output, (one,), (direction.reshape(self._shape),))[1]

            _, pull_back = vjp(output, one)

            def pull(u: Tensor) -> Tensor:
                found = pull_back(u)[0].flatten()
                return found if self._factor is None else self._factor.mT @ found

            with _differentiable():
                return vmap(lambda v: pull(push(v)) if tall else push(pull(v)), chunk_size=self._directions)(
                    vectors
                )

        side = min(self._rows[name], self._columns)
        found = [
            lanczos.estimate_counts(
                lambda v, one=one: gram_product(one, v), side, eps, relative, self._generator
            )
            for one in inputs
        ]
        values, stderr = (
            torch.stack(part) for part in zip(*((f.values, f.stderr) for f in found), strict=True)
        )
        ties = torch.zeros(values.shape, dtype=torch.bool, device=values.device)
        resolution = max(f.resolution for f in found)
        return LayerCounts(values, stderr, ties, frozenset({"lanczos"}), resolution)

    def _error(self, jacobian: Float[Tensor, "n n_l r"]) -> Float[Tensor, " n"]:
        return ROUNDINGS * counting.rounding(_norm(jacobian), max(jacobian.shape[-2:]))


def _squared(jacobian: Tensor, error: Tensor) -> Float[Tensor, " n"]:
    """Return a bound on the error of J J^T, given one on that of J."""
    size = _norm(jacobian)
    return 2 * size * error + counting.rounding(size.square(), max(jacobian.shape[-2:]))


def _norm(jacobian: Float[Tensor, "n rows columns"]) -> Float[Tensor, " n"]:
    """Return the Frobenius norm, also where squares overflow or vanish."""
    largest = jacobian.abs().amax((-2, -1))
    scale = torch.where((largest > 0) & torch.isfinite(largest), largest, 1.0)
    return scale * torch.linalg.matrix_norm(jacobian / scale[:, None, None])


def _svd_where(jacobian: Tensor, error: Tensor) -> counting.SvdWhere:
    return lambda mask: counting.svd_values(jacobian[mask], error[mask])


def _twin(net: nn.Module, device: torch.device) -> nn.Module:
    try:
        twin = copy.deepcopy(net)
    except Exception as error:
        raise TypeError(
            f"net: cannot be copied ({error}), and its spectra are those of a float64 copy"
        ) from error
    return twin.to(device).double().eval().requires_grad_(False)


def _output_sizes(twin: nn.Module, probe: Float[Tensor, "1 *d"]) -> dict[str, int]:
    """Return the number of floats that each module returns for one input, for those that are called."""
    sizes: dict[str, int] = {}
    handles = []
    for name, module in twin.named_modules():

        def count(_module: nn.Module, _inputs: tuple, output: object, name: str = name) -> None:
            tensors = output if isinstance(output, tuple | list) else [output]
            sizes[name] = sum(t.numel() for t in tensors if isinstance(t, Tensor))

        handles.append(module.register_forward_hook(count))
    with torch.no_grad(), _differentiable():
        twin(probe)
    for handle in handles:
        handle.remove()
    return {name: sizes[name] for name, _ in twin.named_modules() if name in sizes}


def _keep_output(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
    def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        if not isinstance(output, Tensor):
            raise TypeError(f"layers: {name!r} returns {type(output).__name__}; it must return one tensor")
        if name in seen:
            raise ValueError(f"layers: {name!r} is called twice for one input, so its Jacobian is ambiguous")
        seen[name] = output.clone()  # an in-place activation behind it would change it

    return hook


@contextmanager
def _differentiable() -> Iterator[None]:
    """Keep attention off its fused kernels, which have no forward derivative; restored afterwards."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
