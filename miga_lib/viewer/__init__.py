"""A viewer that shows, plays and compares clips in the browser. The kernel sends each clip once.

The kernel's part is Python: ``widget`` sends the list and the chosen clip, ``beside`` computes the second
figure, ``page`` replaces the viewer without a kernel. All drawing is in ``figures.js``, the list in
``clips.js``, the rest of the page in ``viewer.js``.
"""

from .video import Video
from .views import available_layouts
from .widget import COLOURS, HEATMAP, SkeletonViewer, save_page

__all__ = ["COLOURS", "HEATMAP", "SkeletonViewer", "Video", "available_layouts", "save_page"]
