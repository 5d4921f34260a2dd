"""A stack of VIBs does for each of its models what that model does alone."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from vib_cases import CLASSES, D, X, Y, make

from lrlib.bottleneck.vib import VIB, VIBStack, vib_loss
from lrlib.runtime import generator
from lrlib.train import fit_many, train

# Sums in another order in float64, and after training a few updates of Adam, which divide by small roots.
ROUNDING, REORDERED = 1e-11, 1e-8
BETAS = [0.0, 0.01, 0.5]
XS = torch.randn(3, *X.shape, generator=generator(200), dtype=torch.float64)  # every model at its own inputs
YS = torch.stack([Y, Y.flip(0), (Y + 1) % CLASSES])
KINDS = pytest.mark.parametrize(("marginal", "code"), [(None, 2), (None, 1), (3, 2), (1, 1)])


def models(marginal, code):
    return [make(marginal, code=code, seed=seed) for seed in range(3)]


def generators():
    return [generator(10 + m) for m in range(3)]


def close(found, expected, rounding=ROUNDING):
    torch.testing.assert_close(found, expected, rtol=rounding, atol=rounding)


@KINDS
def test_values_are_those_of_each_model(marginal, code):
    own = models(marginal, code)
    stack = VIBStack(own)
    assert len(stack) == 3
    z = stack.sample(XS, generators(), samples=4)
    assert z.shape == (3, 4, len(X), code)
    found = {
        "mean": stack.encode(XS)[0],
        "scale": stack.encode(XS)[1],
        "sample": z,
        "forward": stack(XS),
        "predict": stack.predict(XS, generators(), samples=4),
        "rate": stack.rate(XS, generators(), samples=4),
        "distortion": stack.distortion(XS, YS, generators(), samples=4),
        "log_marginal": stack.log_marginal(z),
    }
    for m, vib in enumerate(own):
        g = 10 + m
        close(found["mean"][m], vib.encode(XS[m])[0])
        close(found["scale"][m], vib.encode(XS[m])[1])
        close(z[m], vib.sample(XS[m], generator(g), samples=4))
        close(found["forward"][m], vib(XS[m]))
        close(found["predict"][m], vib.predict(XS[m], generator(g), samples=4))
        close(found["rate"][m], vib.rate(XS[m], generator(g), samples=4))
        close(found["distortion"][m], vib.distortion(XS[m], YS[m], generator(g), samples=4))
        close(found["log_marginal"][m], vib.log_marginal(z[m]))


@KINDS
@pytest.mark.parametrize("beta", [0.3, BETAS], ids=["one", "each"])
def test_losses_and_gradients_are_those_of_each_model(marginal, code, beta):
    own = models(marginal, code)
    stack = VIBStack(own)
    losses = vib_loss(beta, samples=2)(stack, XS, YS, generators())
    losses.sum().backward()
    for m, vib in enumerate(own):
        price = beta if isinstance(beta, float) else beta[m]
        loss = vib_loss(price, samples=2)(vib, XS[m], YS[m], generator(10 + m))
        loss.backward()
        close(losses[m], loss)
        for part in ("encoder", "decoder"):
            stacked, single = getattr(stack, part), getattr(vib, part)
            for l, name in enumerate(single.layers):
                close(stacked.weights[l].grad[m].T, single.get_submodule(name).weight.grad)
                close(stacked.biases[l].grad[m, 0], single.get_submodule(name).bias.grad)
        if marginal:
            for name in ("mixture_means", "mixture_log_scales", "mixture_logits"):
                close(getattr(stack, name).grad[m], getattr(vib, name).grad)


@KINDS
def test_training_ends_where_that_of_each_model_ends(marginal, code):
    own = models(marginal, code)
    stack = VIBStack(own)
    course = {"steps": 20, "lr": 0.01, "batch_size": 4, "optimiser": "adam", "adam_betas": (0.5, 0.999)}
    histories = fit_many(stack, X, Y, **course, loss=vib_loss(BETAS), generators=generators(), progress=False)
    for m, vib in enumerate(own):
        history = train(
            vib, X, Y, **course, loss=vib_loss(BETAS[m]), generator=generator(10 + m), progress=False
        )
        np.testing.assert_allclose(histories[m].loss, history.loss, rtol=1e-5)  # kept in float32
        for name, value in stack[m].state_dict().items():
            close(value, vib.state_dict()[name], REORDERED)


@KINDS
def test_a_model_comes_back_out_of_the_stack_as_it_went_in(marginal, code):
    own = models(marginal, code)
    stack = VIBStack(own)
    assert [type(vib) for vib in stack] == [VIB] * 3
    for m, vib in enumerate(own):
        found = stack[m]
        assert (found.code, found.marginal) == (code, marginal)
        assert found.state_dict().keys() == vib.state_dict().keys()
        for name, value in vib.state_dict().items():
            assert torch.equal(found.state_dict()[name], value)
    with torch.no_grad():
        for p in found.parameters():
            p.zero_()  # a copy: the stack does not follow
    assert torch.equal(stack[2].encoder.L1.weight, own[2].encoder.L1.weight)
    with pytest.raises(IndexError, match="m=3: must be 0 to 2"):
        stack[3]


@pytest.mark.parametrize("marginal", [None, 3])
def test_it_follows_to_float32_with_all_it_holds(marginal):
    """The noise is drawn in the dtype of the code, so the draws differ; what is without noise does not."""
    stack = VIBStack(models(marginal, 2))
    single = copy.deepcopy(stack).to(torch.float32)
    x, z = XS.float(), stack.sample(XS, generators()).detach()
    single_precision = 1e-5  # float32 rounding, 6e-8, over sums of some ten terms up to about 10
    torch.testing.assert_close(single(x).double(), stack(XS), rtol=single_precision, atol=single_precision)
    torch.testing.assert_close(
        single.log_marginal(z.float()).double(), stack.log_marginal(z), rtol=single_precision,
        atol=single_precision,
    )  # fmt: skip
    distortion, rate = single.terms(x, YS, generators())
    assert distortion.dtype == rate.dtype == single[1].predict(x[1], generator(0)).dtype == torch.float32


def test_what_does_not_stack_is_named():
    own = models(None, 2)
    with pytest.raises(TypeError, match=r"vibs\[1\]: must be a VIB, not Linear"):
        VIBStack([own[0], nn.Linear(2, 2)])
    with pytest.raises(
        ValueError, match=r"vibs: codes and marginals are \[\(1, None\), \(2, None\)\]; must be one"
    ):
        VIBStack([make(code=1), make(code=2)])
    with pytest.raises(ValueError, match=r"vibs: codes and marginals are .*; must be one"):
        VIBStack([make(), make(3)])
    with pytest.raises(TypeError, match=r"nets\[0\]: must be an MLP, not Linear"):
        VIBStack([VIB(nn.Linear(D, 4), nn.Linear(2, 3), code=2)])
    for bad in (generator(0), generators()[:2]):  # noise would be shared, or a model be left without
        with pytest.raises(TypeError, match=r"generator=.*: must be a sequence of 3, one for each model"):
            VIBStack(own).sample(XS, bad)


def test_prices_must_be_one_a_model():
    stack = VIBStack([make(), make()])
    x, y = X.expand(2, -1, -1), Y.expand(2, -1)
    generators = [generator(0), generator(1)]
    for betas, model in (([0.1, 0.2, 0.3], stack), ([0.1], stack), ([0.1, 0.2], None)):
        count = 1 if model is None else 2
        arguments = (make(), X, Y, generator(0)) if model is None else (stack, x, y, generators)
        with pytest.raises(
            ValueError, match=rf"beta: there are {len(betas)}; must be one number, or {count}, one a model"
        ):
            vib_loss(betas)(*arguments)
