"""The experiments that come with SpoofCache, one TOML file each."""
