"""The catalog of scenes, tiles and segments. `port` defines the interface that archives use."""
