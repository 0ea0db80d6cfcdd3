"""Files on S3-compatible storage, and their local cache."""
