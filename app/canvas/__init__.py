"""Pixels only, NumPy and Pillow: fitting pictures to sizes, masks, fills, tone, feathers, and putting kept pixels back.

Pictures are uint8 arrays (H, W, 3) here, masks are float32 arrays (H, W) from 0 (kept) to 1 (painted), boxes are
(left, top, right, bottom) in pixels, the right and bottom edge not counted.

    fit.py      any picture to RGB; the resize modes; padding to the latent grid
    mask.py     a mask handed in -> what is painted, its blurred edge, the part to work on
    fill.py     what an unknown part starts from: pull-push pyramid, edge, mirror
    blend.py    distance, feather, tone match, paste, the guard, the seam score
    layout.py   outpaint: the larger canvas and the windows in which it is painted
    growing.py  outpaint and zoom: a canvas that becomes known window by window
    nested.py   zoom: a picture drawn small, with sub-pixel edges, in the middle of another
    check.py    what a request cannot be done with, before any work
"""
