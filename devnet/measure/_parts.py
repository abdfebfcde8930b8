"""Connected parts of many sets of nodes at once: one graph in which every set is a block of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from devnet._core.errors import ConfigError

LINK_SPACINGS = 2.0
"""Two nodes of a set are linked when they are closer than so many mean spacings."""

CHUNK = 1 << 16
"""Members that are handled at once, so that memory stays bounded."""


def mean_spacing(positions: Float[np.ndarray, "n d"]) -> float:
    """Estimate the mean spacing 1/sqrt(density) of nodes from their neighbors; borders, holes and outliers matter little.

    A disc that reaches to the k-th neighbor (k = 12) of a random node holds k - 1/3 nodes in the median, so
    ``spacing = sqrt(pi median(r_k)^2 / (k - 1/3))``: exact for random nodes, 4 % too large on a square lattice.

    Args:
        positions: (n, d), places in the plane, or of a surface in space.

    Returns:
        A length.

    Raises:
        ConfigError: Fewer than two nodes, or nodes that lie on one another.
    """
    k = min(12, len(positions) - 1)
    if k < 1:
        raise ConfigError("positions", f"{len(positions)} nodes", "at least 2 nodes")
    distance = float(np.median(KDTree(positions).query(positions, k=k + 1)[0][:, -1]))
    if distance == 0:
        raise ConfigError("positions", "nodes that lie on one another", "nodes at different places")
    return distance * math.sqrt(math.pi / (k - 1 / 3))


class Neighbors:
    """Which nodes are closer to one another than a link.

    Attributes:
        n: Number of nodes.
        first: (n + 1,), where the partners of a node begin; each pair stands once, with its lower node.
        partner: The partners.
    """

    def __init__(self, positions: Float[np.ndarray, "n d"], link: float | None) -> None:
        if link is None:
            link = LINK_SPACINGS * mean_spacing(positions)
        if not link > 0:
            raise ConfigError("link", link, "a length above 0")
        self.n = len(positions)
        # query_pairs takes "at most"; a link is "closer than".
        pairs = KDTree(positions).query_pairs(math.nextafter(link, 0), output_type="ndarray").astype(np.int32)
        self.partner = pairs[np.argsort(pairs[:, 0], kind="stable"), 1]
        self.first = np.concatenate([[0], np.cumsum(np.bincount(pairs[:, 0], minlength=self.n))])

    def parts(
        self, owner: Int[np.ndarray, " K"], node: Int[np.ndarray, " K"], owners: int
    ) -> Int[np.ndarray, " K"]:
        """Number the connected parts of sets.

        Args:
            owner: Set to which each member belongs, ascending.
            node: Node of each member; within a set each at most once.
            owners: Number of sets.

        Returns:
            Part of each member, counted over all sets.
        """
        members = len(node)
        if not members:
            return np.empty(0, dtype=np.int32)
        place = np.full((owners, self.n), -1, dtype=np.int32)
        place[owner, node] = np.arange(members, dtype=np.int32)
        degree = np.diff(self.first)[node]
        ends = np.cumsum(degree)
        # Partner number k of member i stands at first[node_i] + k.
        shift = np.repeat(self.first[node] - (ends - degree), degree)
        other = place[np.repeat(owner, degree), self.partner[np.arange(len(shift)) + shift]]
        linked = other >= 0
        links = np.concatenate([[0], np.cumsum(linked)])
        row_ends = np.concatenate([[0], links[ends]]).astype(np.int32)
        graph = sparse.csr_matrix(
            (np.ones(links[-1], dtype=np.int8), other[linked], row_ends), shape=(members, members)
        )
        return connected_components(graph, directed=True, connection="weak")[1]


def chunks(sizes: Int[np.ndarray, " sets"]) -> Iterator[tuple[int, int]]:
    """Yield (first, last + 1) of runs of sets that together hold about ``CHUNK`` members, or are one large set."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + CHUNK, side="right")))
        yield first, last
        first = last
