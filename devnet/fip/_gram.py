r"""The dual Gram matrix of a metric tensor: small where the metric is huge, with the same non-zero eigenvalues.

With rows :math:`r_{ic} = J_i^T B e_c` the metric is :math:`g = R^T R / N` and the Gram matrix :math:`K = R R^T / N`.
For a linear layer a row is an outer product, so its part of K is the entry-wise product of two small matrices and no
row is ever formed; rows of all other parameters are, one example at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from devnet._core.errors import ConfigError, ResourceError
from devnet.fip._metric import LocalMetric
from devnet.fip._network import CHUNK, Network, seeded

LARGEST = 2 << 30  # bytes that formed rows, or the Gram matrix itself, may take


def gram_matrix(local: LocalMetric) -> Tensor:
    """Return the dual Gram matrix of a metric tensor.

    Args:
        local: The metric tensor at a point.

    Returns:
        Symmetric float64 matrix ``[N D, N D]``; D is the number of columns of ``B`` for an example.

    Raises:
        ResourceError: The matrix or its rows do not fit into 2 GiB.
        ConfigError: The module's output for one example depends on the others.
    """
    size = len(local.inputs) * _columns(local)
    if 8 * size**2 > LARGEST:
        raise ResourceError(f"the Gram matrix has {size}^2 entries; take fewer inputs, or Spectrum.lanczos")
    for layers in (_dense_layers(local.network), {}):
        gram = _assemble(local, layers)
        if gram is not None:
            return gram
    raise ConfigError(
        "module", type(local.network.module).__name__, "a module that treats every example alone"
    )


def _columns(local: LocalMetric) -> int:
    """Return D, the number of columns of ``B`` for an example."""
    return local.metric.factors * local.outputs[0].numel()


def _dense_layers(network: Network) -> dict[str, nn.Linear]:
    """Return the linear layers whose parameters belong to no other module."""
    owners: dict[int, int] = {}
    for module in network.module.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {
        name: module
        for name, module in network.module.named_modules()
        if isinstance(module, nn.Linear) and all(owners[id(p)] == 1 for p in module.parameters(recurse=False))
    }


def _assemble(local: LocalMetric, layers: dict[str, nn.Linear]) -> Tensor | None:
    """Return the Gram matrix, these layers as products, or None where that form does not hold for the module."""
    count, wide = len(local.inputs), _columns(local)
    moving = set(local.network.layout.names)
    layers = {n: m for n, m in layers.items() if {f"{n}.weight", f"{n}.bias"} & moving}
    parts = local.network.parts(count, lambda rows: _outer(local, layers, rows), CHUNK)
    known = [n for n in layers if all(n in part for part in parts)]
    gram = torch.zeros(count * wide, count * wide, dtype=torch.float64, device=local.weights.device)
    for name in known:
        seen, error = (torch.cat([part[name][i] for part in parts]).double() for i in (0, 1))
        inside = torch.zeros(count, count, dtype=torch.float64, device=gram.device)
        if f"{name}.weight" in moving:
            inside += seen @ seen.T
        if f"{name}.bias" in moving:
            inside += 1.0
        error = error.flatten(0, 1)
        gram += (error @ error.T) * inside.repeat_interleave(wide, 0).repeat_interleave(wide, 1)
    done = {f"{n}.{kind}" for n in known for kind in ("weight", "bias")}
    rest = [n for n in local.network.layout.names if n not in done]
    if rest:
        rows = _rows(local, rest)
        gram += rows @ rows.T
    gram /= count
    return gram if _agrees(local, gram) else None


def _outer(local: LocalMetric, layers: dict[str, nn.Linear], rows: slice) -> dict[str, tuple[Tensor, Tensor]]:
    """Return, for some examples, the two factors of the rows that belong to linear layers.

    Args:
        local: The metric tensor.
        layers: The layers.
        rows: Which examples, n of them.

    Returns:
        Inputs ``[n, in]`` and errors ``[n, D, out]`` of every layer that sees each example once, as a vector.
    """
    if not layers:
        return {}
    count = rows.stop - rows.start
    weights = local.weights.clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH), _captured(layers) as calls:
        live = local.network.function(local.inputs[rows])(weights)
    known = {n: c[0] for n, c in calls.items() if len(c) == 1 and c[0][0].ndim == 2 and len(c[0][0]) == count}
    errors: dict[str, list[Tensor]] = {n: [] for n in known}
    for seed in _seeds(local, rows) if known else ():
        pulled = torch.autograd.grad(
            seeded(live, seed),
            [c[1] for c in known.values()],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for name, error in zip(known, pulled, strict=True):
            errors[name].append(error)
    return {n: (seen.detach(), torch.stack(errors[n], dim=1)) for n, (seen, _) in known.items()}


def _seeds(local: LocalMetric, rows: slice) -> Iterator[Tensor]:
    """Yield ``B e_c`` of some examples at once for every column c."""
    outputs = local.outputs[rows]
    for column in range(_columns(local)):
        unit = outputs.new_zeros(*outputs.shape[:-1], local.metric.factors * outputs.shape[-1])
        unit.flatten(1)[:, column] = 1.0
        yield local.metric.factor_mv(outputs, unit)


@contextmanager
def _captured(layers: dict[str, nn.Linear]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Collect input and output of every call of these layers while the block runs."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}
    handles = []
    for name, layer in layers.items():

        def keep(_: nn.Module, args: tuple[Tensor, ...], output: Tensor, name: str = name) -> Tensor:
            calls[name].append((args[0], output))
            return output.clone()  # what follows may work in place

        handles.append(layer.register_forward_hook(keep))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _rows(local: LocalMetric, names: list[str]) -> Tensor:
    """Form the rows of some parameters, one example after another: float64 ``[N D, their entries]``."""
    layout = local.network.layout
    sizes = dict(zip(layout.names, layout.sizes, strict=True))
    high = len(local.inputs) * _columns(local)
    if 8 * high * sum(sizes[n] for n in names) > LARGEST:
        raise ResourceError(
            f"{high} rows of {sum(sizes[n] for n in names)} entries; take fewer inputs, or Spectrum.lanczos"
        )
    seeds = torch.stack(list(_seeds(local, slice(None))), dim=1)
    rows = torch.empty(high, sum(sizes[n] for n in names), dtype=torch.float64, device=seeds.device)
    place = 0
    for i in range(len(local.inputs)):
        weights = local.weights.clone().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):
            live = local.network.function(local.inputs[i : i + 1])(weights)
        for seed in seeds[i]:
            pulled = layout.split(torch.autograd.grad(seeded(live, seed), weights, retain_graph=True)[0])
            torch.cat([pulled[n].reshape(-1).double() for n in names], out=rows[place])
            place += 1
    return rows


def _agrees(local: LocalMetric, gram: Tensor) -> bool:
    """Return whether ``u^T K u = |J^T B u|^2 / N`` for two probes, by plain products with the Jacobian."""
    places = torch.arange(len(gram), dtype=torch.float64, device=gram.device)
    for probe in ((places * 12.9898).sin(), (places * 78.233).cos()):
        u = probe.to(local.outputs).view(*local.outputs.shape[:-1], -1)
        pulled = local.jacobian_rmv(local.metric.factor_mv(local.outputs, u)).double()
        plain = pulled.dot(pulled) / len(local.inputs)
        tolerance = 1e3 * torch.finfo(local.outputs.dtype).eps
        if not bool((probe @ gram @ probe - plain).abs() <= tolerance * plain + 1e-30):
            return False
    return True
