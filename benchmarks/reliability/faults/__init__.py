"""Faults, one file each: ``run(folder, trials, rng)`` hurts Tiller and gives figures, ``wrong`` among them."""
