"""Makes bundles: data sets, recommenders, concepts, evaluation, export. Never imports the server."""
