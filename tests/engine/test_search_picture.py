from spoofcache.engine.search_picture import draw_cells
from spoofcache.models.light_darts import PUBLISHED


def test_the_picture_names_every_operation(tmp_path, monkeypatch):
    texts = []
    monkeypatch.setattr("matplotlib.axes.Axes.text", lambda axes, x, y, text, **style: texts.append(text))
    draw_cells(tmp_path / "cells.png", PUBLISHED, "light")
    assert (tmp_path / "cells.png").read_bytes()[:4] == b"\x89PNG"
    assert texts[:8] == [
        *["MFM sep conv 5×5"] * 2,
        *["MFM sep conv 3×3", "MFM dil conv 5×5"],
        *["avg pool 3×3", "max pool 3×3"],
        *["avg pool 3×3"] * 2,
    ]
