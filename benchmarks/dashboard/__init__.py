"""The dashboard's panels drawn from real data, without a Grafana: `python -m benchmarks.dashboard --help`."""
