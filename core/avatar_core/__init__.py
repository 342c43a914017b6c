"""What several rooms need and nothing else: models, limits, errors, the timeline, media, the store."""
