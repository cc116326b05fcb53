"""The robust objective of many parameter vectors at once, with gradient and curvature."""

import numpy as np

from densing.fitters.scaling.coordinates import Coordinates
from densing.fitters.scaling.losses import Loss
from densing.laws.base import Law
from densing.laws.power_sum import PowerSum

_MANY_TERMS = 5  # beyond this the pairwise products of terms cost more than dense derivatives
_BLOCK_ROWS = 100_000  # rows whose derivatives are held at once
_STEP = 1e-6  # of the differences of derivatives, in log units or units of an exponent


class Objective:
    """Sum over rows of weight times loss of the residual, for a batch of coordinate vectors.

    Parameters
    ----------
    law, x : the law and its inputs (k, n) in scaled units.
    coordinates : of the free parameters (q of them).
    loss : of a residual; log y-hat minus log y with ``on="log"``, else y-hat minus y.
    """

    def __init__(self, law: Law, x: np.ndarray, coordinates: Coordinates, loss: Loss, on: str):
        self.law, self.x, self.coordinates, self.loss, self.on = law, x, coordinates, loss, on
        self.rows, self.free = x.shape[1], coordinates.mixing.shape[1]

    def residuals(self, z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Residuals (B, n); `y` is (n,) or (B, n), its logarithm with ``on="log"``."""
        with np.errstate(all="ignore"):
            return self._fitted(z) - y

    def value(self, z: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Objective (B,); infinite where the law overflows."""
        with np.errstate(all="ignore"):
            total = (weights * self.loss.value(self.residuals(z, y))).sum(axis=1)
        return np.where(np.isfinite(total), total, np.inf)

    def derivatives(self, z, y, weights, *, exact: bool):
        """Objective (B,), gradient (B, q) and curvature (B, q, q).

        The curvature is the second derivative with `exact`, else that of iteratively reweighted least squares:
        weights min(1, delta/|r|), no second derivatives of the law; always positive semidefinite.
        """
        raise NotImplementedError

    def _fitted(self, z):
        raise NotImplementedError

    def _row_weights(self, r, weights, exact: bool):
        """Objective, weights times psi, and the row weights of the curvature."""
        slope = self.loss.slope(r)
        size = np.abs(r)
        inside = np.minimum(size, self.loss.delta)
        total = np.einsum("...n,...n->...", np.broadcast_to(weights, r.shape), inside * (size - 0.5 * inside))
        if exact:
            curvature = weights * (size < self.loss.delta)
        else:
            curvature = weights * (inside / np.maximum(size, 1e-300))
            if np.isfinite(self.loss.delta):
                curvature = np.where(size > 0, curvature, weights)
            else:
                curvature = np.broadcast_to(weights, r.shape)
        return np.where(np.isfinite(total), total, np.inf), weights * slope, curvature


class GeneralObjective(Objective):
    """For any law: derivatives from its Jacobian, second derivatives by differences of it."""

    def _fitted(self, z):
        return self._rows(z)[0]

    def _rows(self, z):
        """Fitted values (B, n) on the scale of the residuals, and derivatives (B, q, n) by the coordinates."""
        c = self.coordinates
        theta = c.scaled(z)
        fitted, rows = self.law.evaluate(theta, self.x)
        rows = rows * np.where(c.positive, theta, 1.0)[..., None]
        rows = np.einsum("bpn,pq->bqn", rows, c.mixing)
        if self.on == self.law.native:
            return fitted, rows
        if self.on == "identity":
            fitted = np.exp(fitted)
            return fitted, rows * fitted[:, None]
        return np.log(fitted), rows / fitted[:, None]

    def derivatives(self, z, y, weights, *, exact):
        """See `Objective.derivatives`."""
        with np.errstate(all="ignore"):
            fitted, rows = self._rows(z)
            total, pull, curvature = self._row_weights(fitted - y, weights, exact)
            gradient = np.einsum("bqn,bn->bq", rows, pull)
            matrix = (rows * curvature[:, None]) @ np.swapaxes(rows, 1, 2)
            if exact:
                bend = np.empty_like(matrix)
                for j in range(self.free):
                    moved = z.copy()
                    moved[:, j] += _STEP
                    change = self._rows(moved)[1] - rows
                    bend[:, j] = np.einsum("bqn,bn->bq", change, pull) / _STEP
                matrix += 0.5 * (bend + np.swapaxes(bend, 1, 2))
        return total, gradient, matrix


class PowerSumObjective(Objective):
    """For a sum of powers: with u_k the linear forms and P_k = exp(u_k)/y, all derivatives are moments of P.

    On the log scale d log y = sum_k P_k du_k, and d^2 log y = sum_k P_k du_k du_k' - d log y d log y'.
    """

    def __init__(self, law, x, coordinates, loss, on):
        super().__init__(law, x, coordinates, loss, on)
        coefficients, offsets = law.design(x)
        with np.errstate(invalid="ignore"):
            offsets = offsets + np.einsum("kpn,p->kn", coefficients, coordinates.offset)
        forms = np.einsum("kpn,pq->kqn", coefficients, coordinates.mixing)
        self._moves = [np.flatnonzero(np.any(form != 0, axis=1)) for form in forms]
        self._forms = [np.ascontiguousarray(f[m]) for f, m in zip(forms, self._moves, strict=True)]
        self._offsets = list(offsets)
        for k, (form, offset) in enumerate(zip(self._forms, self._offsets, strict=True)):
            if np.all(form == form[:, :1]) and np.all(offset == offset[0]):  # same for all rows: a floor
                self._forms[k], self._offsets[k] = form[:, :1], offset[:1]
        self._own = [self._own_products(k) for k in range(len(forms))]
        pairs = [self._pair_products(k, l) for k in range(len(forms)) for l in range(k, len(forms))]
        self._pairs = [pair for pair in pairs if len(pair[3])]

    def _form(self, k: int) -> np.ndarray:
        return np.broadcast_to(self._forms[k], (len(self._moves[k]), self.rows))

    def _own_products(self, k: int):
        """Columns du_k, then du_k du_k' above the diagonal, and where they belong."""
        form, moves = self._form(k), self._moves[k]
        at = [(a, b) for a in range(len(moves)) for b in range(a, len(moves))]
        columns = [*form, *(form[a] * form[b] for a, b in at)]
        where = [moves[a] * self.free + moves[b] for a, b in at]
        return _as_columns(columns, self.rows), np.array(where, dtype=int)

    def _pair_products(self, k: int, l: int):
        """Columns of du_k du_l' + du_l du_k' (once for k = l), by place above the diagonal."""
        cells: dict[int, np.ndarray] = {}
        for a, row in zip(self._moves[k], self._form(k), strict=True):
            for b, other in zip(self._moves[l], self._form(l), strict=True):
                if k == l and b < a:
                    continue
                place = min(a, b) * self.free + max(a, b)
                # Off the diagonal of the matrix each unordered pair of forms meets once; on it, twice.
                weight = 2.0 if (k != l and a == b) else 1.0
                cells[place] = cells.get(place, 0.0) + weight * row * other
        return k, l, _as_columns(list(cells.values()), self.rows), np.array(list(cells), dtype=int)

    def _powers(self, z):
        powers = []
        for moves, form, offset in zip(self._moves, self._forms, self._offsets, strict=True):
            u = z[:, moves] @ form
            u += offset
            powers.append(np.exp(u, out=u))
        total = powers[0] + powers[1] if len(powers) > 1 else powers[0].copy()
        for power in powers[2:]:
            total = total + power
        if total.shape[1] != self.rows:
            total = np.broadcast_to(total, (len(z), self.rows))
        return powers, total

    def _fitted(self, z):
        total = self._powers(z)[1]
        return np.log(total) if self.on == "log" else total

    def derivatives(self, z, y, weights, *, exact):
        """See `Objective.derivatives`."""
        q = self.free
        with np.errstate(all="ignore"):
            powers, fitted = self._powers(z)
            if self.on == "log":
                inverse = 1 / fitted
                powers = [power * inverse for power in powers]
                fitted = np.log(fitted)
            total, pull, curvature = self._row_weights(fitted - y, weights, exact)
            if exact and self.on == "log":
                curvature = curvature - pull
            gradient, cells = np.zeros((len(z), q)), np.zeros((len(z), q * q))
            for power, moves, (columns, where) in zip(powers, self._moves, self._own, strict=True):
                m = len(moves)
                moments = (pull * power) @ (columns if exact else columns[:, :m])
                gradient[:, moves] += moments[:, :m]
                if exact:
                    cells[:, where] += moments[:, m:]
            weighted = [curvature * power for power in powers]
            for k, l, columns, where in self._pairs:
                cells[:, where] += (weighted[k] * powers[l]) @ columns
        matrix = cells.reshape(len(z), q, q)
        matrix = matrix + np.swapaxes(np.triu(matrix, 1), 1, 2)
        return total, gradient, matrix


def _as_columns(rows: list, n: int) -> np.ndarray:
    """Rows (n,) as the columns of a matrix that a product can run along; none at all for a fixed term."""
    return np.ascontiguousarray(np.reshape(rows, (len(rows), n)).T, dtype=float)


class BlockedObjective(Objective):
    """A sum over blocks of rows, each set up when it is needed, so that a long table does not fill the memory."""

    def __init__(self, law, x, coordinates, loss, on):
        super().__init__(law, x, coordinates, loss, on)
        self._slices = [slice(at, at + _BLOCK_ROWS) for at in range(0, self.rows, _BLOCK_ROWS)]

    def _blocks(self, *arrays):
        for part in self._slices:
            block = objective_for(self.law, self.x[:, part], self.coordinates, self.loss, self.on)
            yield block, *(a[..., part] for a in arrays)

    def _fitted(self, z):
        return np.concatenate([block._fitted(z) for (block,) in self._blocks()], axis=1)

    def value(self, z, y, weights):
        """See `Objective.value`."""
        return sum(block.value(z, *data) for block, *data in self._blocks(y, weights))

    def derivatives(self, z, y, weights, *, exact):
        """See `Objective.derivatives`."""
        parts = [block.derivatives(z, *data, exact=exact) for block, *data in self._blocks(y, weights)]
        return tuple(sum(part[i] for part in parts) for i in range(3))


def objective_for(law: Law, x: np.ndarray, coordinates: Coordinates, loss: Loss, on: str) -> Objective:
    """The fastest objective that fits the law and the length of the table."""
    if x.shape[1] > _BLOCK_ROWS:
        return BlockedObjective(law, x, coordinates, loss, on)
    quick = isinstance(law, PowerSum) and len(law.terms) <= _MANY_TERMS
    return (PowerSumObjective if quick else GeneralObjective)(law, x, coordinates, loss, on)
