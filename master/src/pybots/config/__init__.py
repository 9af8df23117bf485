"""farm.toml and projects/*.toml -> model; every mistake in one pass, each with file, key and mend. No network."""
