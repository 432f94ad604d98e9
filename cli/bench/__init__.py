"""`tiller bench`: requests per second and latency of a real server, beside an echo service and the bare index.

``command``: options and order of events. ``catalogue``: made bundles. ``workload``: what is asked. ``children``: the
processes (server, ``echo``, ``bare_faiss``, ``load``). ``http2``: the cheap client under ``load``. ``measure``: rounds.
``result``: ratios, bars and noise. ``report`` and ``figure``: what a person reads.
"""
