"""Commands beside the main road: demonstration data, random checkpoints, conversions, imports, surveys."""
