"""Joints and limbs → Gaussian pseudo-heatmaps, on whole batches, on the device of the keypoints.

Coordinates are in heatmap pixels: the centre of pixel (y, x) is at the whole numbers (x, y). ``size`` is (H,
W). The bounds of windows and the positions of lines are computed in float64, so that no rounding moves them
by a pixel; maps have the dtype of the keypoints. There are no gradients.

Source: Duan et al., Revisiting Skeleton-based Action Recognition, CVPR 2022, section 3.2; windows and
thresholds as in PySkl.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

MIN_SCORE = 1e-3
"""A joint or limb with a lower score is not drawn."""
CUTOFF_SIGMAS = 5.3
"""A limb is drawn at least this many sigmas on each side. Values further out are below 8e-7 of its score and
are left at 0."""
PIECE_ROWS = 10
"""A limb is drawn in pieces of at most this many rows of pixels."""
CHUNK_PIXELS = {"cpu": 200_000, "cuda": 4_000_000}
"""Pixels drawn at once, by device type: on a CPU they fit in the cache of a core, on a GPU they keep it busy
with about 120 MB."""


def joints(
    keypoints: Float[Tensor, "*batch V 2"],
    scores: Float[Tensor, "*batch V"],
    size: tuple[int, int],
    sigma: float = 0.6,
    persons: bool = False,
) -> Float[Tensor, "*maps V {size[0]} {size[1]}"]:
    """One map for each joint: at pixel (y, x) ``score · exp(−((x − μx)² + (y − μy)²) / 2σ²)`` in a window
    around it, 0 elsewhere.

    The window is ``x ∈ [max(int(μx − 3σ), 0), min(int(μx + 3σ) + 1, W))`` and likewise y; int() truncates
    towards 0. A joint is not drawn where its score is below 1e-3 or a coordinate is not finite. With
    ``persons``, the first axis of the batch is the person axis M, and their maps are merged by maximum.

    Raises ValueError for a size below 1, or a sigma that is not above 0.
    """
    maps = lines(keypoints, keypoints, scores, scores, size, sigma)  # of length 0
    return maps.amax(0) if persons else maps


def limbs(
    keypoints: Float[Tensor, "*batch V 2"],
    scores: Float[Tensor, "*batch V"],
    limbs: Sequence[tuple[int, int]] | Int[Tensor, "L 2"],
    size: tuple[int, int],
    sigma: float = 0.6,
    persons: bool = False,
) -> Float[Tensor, "*maps L {size[0]} {size[1]}"]:
    """One map for each limb (a, b): ``lines`` from joint a to joint b. The other arguments, and the errors,
    are those of ``joints``."""
    a, b = torch.as_tensor(limbs, dtype=torch.long, device=keypoints.device).reshape(-1, 2).T
    maps = lines(keypoints[..., a, :], keypoints[..., b, :], scores[..., a], scores[..., b], size, sigma)
    return maps.amax(0) if persons else maps


@torch.no_grad()
def lines(
    starts: Float[Tensor, "*batch 2"],
    ends: Float[Tensor, "*batch 2"],
    start_scores: Float[Tensor, "*batch"],
    end_scores: Float[Tensor, "*batch"],
    size: tuple[int, int],
    sigma: float = 0.6,
) -> Float[Tensor, "*batch {size[0]} {size[1]}"]:
    """One map for each line: ``min(s_start, s_end) · exp(−d² / 2σ²)``, where d is the distance of a pixel to
    it.

    The window is the line's bounding box plus 3σ on each side, truncated to ints as in ``joints``. Nothing is
    drawn where the lower score is below 1e-3. A line shorter than 1 px is drawn as a joint at its start with
    the start's score. Values below 8e-7 of the score may be left at 0, since only a band around the line is
    computed. Waits for the device once, to read how long the bands are. Raises ValueError as ``joints`` does.
    """
    if min(size) < 1:
        raise ValueError(f"size must be (H, W) of at least 1 pixel each, got {size}")
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0 pixels, got {sigma}")
    drawn = _drawn(starts, ends, start_scores, end_scores, size, sigma)
    if torch.compiler.is_compiling():
        return _all_pixels(size, sigma, *drawn).to(starts.dtype).view(*start_scores.shape, *size)
    maps = _zeros((*start_scores.shape, *size), starts)
    if not start_scores.numel():
        return maps
    bands = _bands(size, sigma, *drawn)
    # Bands are cut into pieces of equal length, so that long and short ones fit in one tensor. Pieces are
    # drawn in the order of the maps, so that the maps of a chunk are in the cache.
    pieces = (bands[0] / PIECE_ROWS).ceil().long()
    rows, columns, total = torch.stack([*bands[:2].amax(1), pieces.sum()]).int().tolist()
    rows = min(rows, PIECE_ROWS)
    owner = torch.arange(len(pieces), device=maps.device).repeat_interleave(pieces, output_size=total)
    begin = (torch.arange(total, device=maps.device) - (pieces.cumsum(0) - pieces)[owner]) * PIECE_ROWS
    chunk = CHUNK_PIXELS.get(maps.device.type, CHUNK_PIXELS["cpu"]) // (rows * columns) + 1
    for chunk_owner, chunk_begin in zip(owner.split(chunk), begin.split(chunk), strict=True):
        _draw(maps.view(-1), bands[:, chunk_owner], chunk_begin, rows, columns)
    return maps


def _drawn(
    starts: Tensor,
    ends: Tensor,
    start_scores: Tensor,
    end_scores: Tensor,
    size: tuple[int, int],
    sigma: float,
) -> tuple[Tensor, ...]:
    """What is drawn of G lines: start, end, first pixel of the window and the one after its last, all (2, G),
    and the logarithm of the score (G,). What is not drawn is one pixel with the score exp(−∞) = 0."""
    height, width = size
    a, b = (x.reshape(-1, 2).T.double().contiguous() for x in (starts, ends))
    a_scores, b_scores = start_scores.double().flatten(), end_scores.double().flatten()
    lower = a_scores.minimum(b_scores)
    short = (b - a).square().sum(0) < 1
    peak, b = torch.where(short, a_scores, lower), torch.where(short, a, b)
    low = (a.minimum(b) - 3 * sigma).trunc().clamp(min=0)
    high = ((a.maximum(b) + 3 * sigma).trunc() + 1).minimum(a.new_tensor([[width], [height]]))
    drawn = (lower >= MIN_SCORE) & peak.isfinite() & (a + b).isfinite().all(0) & (low < high).all(0)
    a, b, low, high = (x.where(drawn, empty) for x, empty in ((a, 0), (b, 0), (low, 0), (high, 1)))
    return a, b, low, high, peak.log().where(drawn, -math.inf)


def _all_pixels(
    size: tuple[int, int], sigma: float, a: Tensor, b: Tensor, low: Tensor, high: Tensor, peak: Tensor
) -> Float[Tensor, "G {size[0]} {size[1]}"]:
    """The maps, computed for every pixel: much slower, and without steps that depend on values, for
    ``torch.export``."""
    length = (b - a).square().sum(0).sqrt()
    direction = (b - a) / length.where(length > 0, 1) + a.new_tensor([[1], [0]]) * (length == 0)
    along_x, along_y = direction.float()[..., None, None]
    y, x = (torch.arange(side, dtype=a.dtype, device=a.device) for side in size)
    inside_x = (x >= low[0, :, None]) & (x < high[0, :, None])
    inside_y = (y >= low[1, :, None]) & (y < high[1, :, None])
    x, y = (x - a[0, :, None]).float()[:, None], (y - a[1, :, None]).float()[..., None]
    along, aside = x * along_x + y * along_y, x * along_y - y * along_x
    beyond = torch.maximum(-along, along - length.float()[:, None, None]).clamp(min=0)
    heights = torch.exp(peak.float()[:, None, None] - (aside.square() + beyond.square()) / (2 * sigma**2))
    return heights.where(inside_x[:, None] & inside_y[..., None], 0)


def _bands(
    size: tuple[int, int], sigma: float, a: Tensor, b: Tensor, low: Tensor, high: Tensor, peak: Tensor
) -> Float[Tensor, "14 G"]:
    """How to draw lines, in float64, in the order in which ``_draw`` unpacks it.

    Step along the longer axis, pixel by pixel. At each step write a short row of pixels at right angles to
    that axis, centred on the line. A row that leaves the window is shifted back into it.
    """
    height, width = size
    # From here on, x is the longer axis of each line.
    steep = torch.greater(*(b - a).abs().flip(0))
    (ax, ay), (bx, by), (low_x, low_y), (high_x, high_y) = (
        torch.where(steep, x.flip(0), x) for x in (a, b, low, high)
    )
    row_stride, stride = torch.where(steep, width, 1).double(), torch.where(steep, 1, width).double()
    first = torch.arange(len(peak), device=a.device) * (height * width) + low_x * row_stride
    length = torch.hypot(bx - ax, by - ay)
    cosine = ((bx - ax) / length).where(length > 0, 1)
    slope = ((by - ay) / (bx - ax)).where(length > 0, 0)
    columns = (2 * CUTOFF_SIGMAS * sigma / cosine.abs() + 1).floor().minimum(high_y - low_y)
    unit = 1 / (sigma * math.sqrt(2))
    line = [ay + (low_x - ax) * slope - columns / 2, slope, low_y, high_y - columns]
    place = [unit * (low_x - ax) / cosine, unit / cosine, unit * length, unit * cosine]
    return torch.stack([high_x - low_x, columns, *line, *place, peak, first, row_stride, stride])


def _draw(maps: Tensor, bands: Float[Tensor, "14 pieces"], begin: Tensor, rows: int, columns: int) -> None:
    """Draw one piece of each band: ``rows`` rows of ``columns`` pixels, from the band's row ``begin``
    (pieces,).

    Pixels are computed as (columns, rows, pieces) and written into the flattened maps. After the last row of
    a band, that row is written again; after the last pixel of a row, that pixel is.
    """
    band_rows, band_columns, line, slope, low, high = bands[:6]
    place, step, length, cosine, peak, first, row_stride, stride = bands[6:]
    row = (begin + torch.arange(rows, device=maps.device)[:, None]).minimum(band_rows - 1)
    column = torch.arange(columns, device=maps.device)[:, None].minimum(band_columns - 1)
    line = torch.addcmul(line, row, slope)
    start = line.ceil().clamp_(low, high)
    pixel = torch.addcmul(first, row, row_stride).addcmul_(start, stride).long()
    pixel = pixel + (column * stride).long()[:, None]
    # Distances in units of σ√2: `place` is along the line, `beyond` is past the nearer end of it, `aside` is
    # across it.
    dtype = torch.promote_types(maps.dtype, torch.float32)
    place = torch.addcmul(place, row, step)
    before, after = (-place).to(dtype), place.sub_(length).to(dtype)
    aside = (
        start.sub_(line).mul_(cosine).to(dtype) + ((column - band_columns / 2) * cosine).to(dtype)[:, None]
    )
    slope, peak = slope.to(dtype), peak.to(dtype)
    beyond = torch.addcmul(before, aside, slope, value=-1)
    beyond = torch.maximum(beyond, torch.addcmul(after, aside, slope), out=beyond).clamp_(min=0)
    heights = torch.addcmul(peak, aside, aside, value=-1).addcmul_(beyond, beyond, value=-1).exp_()
    maps.scatter_(0, pixel.view(-1), heights.view(-1).to(maps.dtype))


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    # NumPy requests zeroed huge pages from Linux. torch.zeros uses many small pages, which take more time
    # than the drawing.
    if like.device.type == "cpu" and like.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.zeros(shape, str(like.dtype).removeprefix("torch.")))
    return like.new_zeros(shape)
