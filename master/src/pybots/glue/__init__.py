"""The only room that imports Buildbot: configuration, services that wake `farm`, steps, and the process itself."""
