"""What the pages show: ledger and store read into the theme's page data (`pybots_status.pages`). Nothing is written.

Each view is a blocking function `view(farm, visit, …) -> Page` over one reading transaction: a handful of indexed
queries, bounded rows, prepared cells; no history is walked. Raises `Missing` for what is not there.
"""
